import pytest
import torch

from opnet.spaces.fields.gaussian import GaussianField
from opnet.spaces.fields.level_set import LevelSet
from opnet.spaces.grid import Grid

FIELD = GaussianField(3.0, 2.0, sigma=3.0, max_mode=8)


def test_phases_lie_between_the_thresholds():
    grid = Grid((32, 32), nodes="cell")
    g = FIELD.sample(0, [0, 1], grid)
    values = LevelSet(FIELD, (1.0, 5.0, 2.0), (-0.2, 0.3)).sample(0, [0, 1], grid)
    expected = torch.full_like(g, 5.0).masked_fill(g < -0.2, 1.0).masked_fill(g >= 0.3, 2.0)
    assert torch.equal(values, expected)
    assert set(values.unique().tolist()) == {1.0, 2.0, 5.0}


@pytest.mark.parametrize(
    ("values", "thresholds", "message"),
    [((1.0,), (0.0,), "values: expected 2"), ((1.0, 2.0, 3.0), (0.5, 0.0), "ascending")],
)
def test_arguments_are_checked(values, thresholds, message):
    with pytest.raises(ValueError, match=message):
        LevelSet(FIELD, values, thresholds)
