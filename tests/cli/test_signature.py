from dataclasses import dataclass, field

import pytest

from opnet.cli.signature import check_arguments
from opnet.core.errors import RecipeError
from opnet.spaces.fields.base import RandomField
from opnet.spaces.fields.rbf import RBFField


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


@dataclass(frozen=True)
class Started:
    """What begins with a field."""

    initial: RandomField = field(default_factory=lambda: RBFField(0.5))
    other: float | RandomField = 1.0


def test_values_are_tables_that_name_their_class():
    table = {"initial": {"class": "RBFField", "length": 0.2}, "other": {"class": "RBFField", "length": 1}}
    found = Started(**check_arguments(Started, table, "file: "))
    assert found == Started(RBFField(0.2), RBFField(1.0))
    assert Started(**check_arguments(Started, {"other": 2}, "file: ")) == Started(other=2.0)


@pytest.mark.parametrize(
    ("initial", "message"),
    [
        ("RBFField", r"file: initial: expected a table such as \{ class = .*\}, found 'RBFField'"),
        ({"length": 1.0}, "file: initial.class: expected one of .*RBFField.*, found None"),
        ({"class": "Darcy"}, "file: initial.class: expected one of .*RBFField.*, found 'Darcy'"),
        ({"class": "RBFField", "lenght": 1.0}, r"initial.lenght: unknown key \(did you mean 'length'\?\)"),
        ({"class": "RBFField", "length": -1.0}, "file: initial: RBFField.length: expected a positive"),
    ],
)
def test_what_is_wrong_inside_a_value_names_it(initial, message):
    with pytest.raises(RecipeError, match=message):
        check_arguments(Started, {"initial": initial}, "file: ")
