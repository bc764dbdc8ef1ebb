from dataclasses import dataclass

import pytest

from opnet.cli.signature import check_arguments
from opnet.core.errors import RecipeError


@dataclass(frozen=True)
class Thing:
    size: int
    ratio: float = 0.5
    modes: tuple[int, ...] = (12, 12)
    device: str = "cpu"


def test_types_follow_the_signature():
    assert check_arguments(Thing, {"size": 3, "ratio": 1, "modes": [4]}, "file: ", given=("device",)) == {
        "size": 3,
        "ratio": 1.0,
        "modes": (4,),
    }


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "file: size: expected a value, found none"),
        ({"size": 1, "ratoi": 2}, r"file: ratoi: unknown key \(did you mean 'ratio'\?\); expected one of size, ratio"),
        ({"size": 1.5}, "file: size: expected .*integer.*, found 1.5"),
        ({"size": "1"}, "file: size: expected an integer, found '1'"),
        ({"size": True}, "file: size: expected an integer, found True"),
        ({"size": 1, "modes": ["a"]}, "expected an integer, found 'a'"),
        ({"size": 1, "device": "cuda"}, "device: unknown key"),
    ],
)
def test_what_is_wrong_is_one_sentence(table, message):
    with pytest.raises(RecipeError, match=message) as caught:
        check_arguments(Thing, table, "file: ", given=("device",))
    assert "\n" not in str(caught.value)
