from math import pi

import pytest
import torch

from opnet.models.blocks.stored_functions import StoredFunctions
from opnet.spaces.grid import Grid
from opnet.spaces.interpolation import sine_interpolate


def test_functions_are_of_the_unit_coordinates():
    grid, other = Grid((5,)), Grid((9,), extent=((-1, 3),))
    stored = StoredFunctions("Model", 2, 1, None)
    with pytest.raises(ValueError, match=r"Model: expected to have seen training data: call adapt\(inputs, targets"):
        stored.at(grid)
    x = grid.axis(0)
    stored.hold(torch.stack([x, 1 - 2 * x])[:, None], grid)
    y = other.unit_coordinates()[0]
    assert torch.allclose(stored.at(other), torch.stack([y, 1 - 2 * y])[:, None])
    assert torch.equal(stored.at(grid), stored.values)


def test_a_sine_series_vanishes_on_the_boundary():
    grid, fine = Grid((8,), nodes="cell"), Grid((33,))
    stored = StoredFunctions("Model", 1, 1, grid.describe(), sine_interpolate).double()
    stored.hold(torch.sin(pi * 3 * grid.axis(0))[None, None], grid)
    assert torch.allclose(stored.at(fine)[0, 0], torch.sin(pi * 3 * fine.axis(0)))


def test_a_description_makes_room_for_weights():
    described = StoredFunctions("Model", 2, 3, Grid((4, 5)).describe())
    assert described.values.shape == (2, 3, 4, 5)
    assert list(described.state_dict()) == ["values"]
    assert not list(StoredFunctions("Model", 2, 3, None).state_dict())
