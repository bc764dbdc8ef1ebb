from math import pi

import pytest
import torch

from opnet.solvers.pde.periodic_box import beyond, evaluate, spectrum_tail, squared, wave_numbers
from opnet.spaces.grid import Grid

EXTENT = ((-1.0, 2.0), (0.5, 1.5))


def function(grid):
    x, y = grid.coordinates()
    return 0.3 + torch.cos(2 * pi * (2 * x / 3 - 3 * y) + 1) + torch.sin(2 * pi * (3 * x / 3 + y))


def test_wave_numbers_differentiate():
    box = Grid((12, 10), EXTENT, "periodic")
    modes = torch.fft.rfftn(function(box))
    kx, ky = wave_numbers(box)
    x, y = box.coordinates()
    derivative = -6 * pi * (-torch.sin(2 * pi * (2 * x / 3 - 3 * y) + 1)) + 2 * pi * torch.cos(2 * pi * (x + y))
    torch.testing.assert_close(torch.fft.irfftn(1j * ky * modes, box.shape), derivative, rtol=0, atol=1e-12)
    torch.testing.assert_close(squared((kx, ky)), kx**2 + ky**2)


@pytest.mark.parametrize("nodes", ["left", "cell"])
@pytest.mark.parametrize("shape", [(5, 4), (8, 8), (9, 30), (64, 8)])
def test_values_anywhere(nodes, shape):
    """On fewer nodes than the function has modes, on more, and between those of the box."""
    box, grid = Grid((12, 10), EXTENT, "periodic"), Grid(shape, EXTENT, "periodic", nodes)
    values = evaluate(function(box)[None, None], box, grid)
    torch.testing.assert_close(values[0, 0], function(grid), rtol=0, atol=1e-13)


def test_the_nodes_of_the_box_itself_are_not_touched():
    box = Grid((12, 10), EXTENT, "periodic")
    values = torch.randn(3, 12, 10, dtype=torch.float64)
    assert torch.equal(evaluate(values, box, box), values)
    half = evaluate(values, box, Grid((6, 5), EXTENT, "periodic"))
    assert torch.equal(half, values[:, ::2, ::2])


def test_the_highest_mode_of_an_even_number_of_nodes_is_a_cosine():
    box, grid = Grid((8,), boundary="periodic"), Grid((24,), boundary="periodic")
    values = torch.cos(8 * pi * box.axis(0))
    torch.testing.assert_close(evaluate(values, box, grid), torch.cos(8 * pi * grid.axis(0)), rtol=0, atol=1e-14)


def test_tail_is_the_share_of_the_highest_third():
    box = Grid((24, 24), boundary="periodic")
    x, y = box.coordinates()
    low, high = torch.cos(2 * pi * 3 * x), torch.cos(2 * pi * 9 * y)
    tail = spectrum_tail(torch.fft.rfftn(torch.stack([low, low + high, 0 * low]), dim=(1, 2)), box)
    torch.testing.assert_close(tail, torch.tensor([0.0, 0.5, 0.0], dtype=torch.float64), rtol=1e-12, atol=1e-30)
    assert float(spectrum_tail(torch.fft.rfftn(torch.cos(2 * pi * 6 * x)), box, kept=2 / 3)) == pytest.approx(1)


def test_two_thirds_of_the_modes_are_kept():
    kx, ky = beyond(Grid((12, 12), boundary="periodic"), 2 / 3)
    assert torch.nonzero(~kx.flatten()).flatten().tolist() == [0, 1, 2, 3, 9, 10, 11]
    assert torch.nonzero(~ky.flatten()).flatten().tolist() == [0, 1, 2, 3]
