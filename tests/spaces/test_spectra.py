from math import inf, pi

import pytest
import torch

from opnet.spaces.grid import Grid
from opnet.spaces.norms import l2_norm
from opnet.spaces.spectra import spectral_shells


@pytest.mark.parametrize(
    "grid",
    [
        Grid((9,), nodes="vertex"),
        Grid((8,), nodes="cell"),
        Grid((7, 8), boundary="periodic", extent=((0, 1), (0, 3))),
        Grid((6, 5, 4), boundary=("periodic", "neumann", "dirichlet"), nodes=("left", "cell", "vertex")),
    ],
)
def test_the_squares_of_all_coefficients_are_that_of_the_norm(grid):
    values = torch.randn(2, 3, *grid.shape, dtype=torch.float64)
    power = sum(part.square().sum(-1) for part in spectral_shells(values, grid))
    torch.testing.assert_close(power, l2_norm(values, grid).square())
    (whole,) = spectral_shells(values, grid, (0.0, inf))
    torch.testing.assert_close(whole.square().sum(-1), l2_norm(values, grid).square())


@pytest.mark.parametrize("nodes", ["left", "interior"])
def test_missing_ends_take_the_nearest_value(nodes):
    grid = Grid((8,), nodes=nodes)
    shells = spectral_shells(torch.full((1, 1, 8), 3.0), grid)
    norms = torch.stack([part.norm() for part in shells])
    torch.testing.assert_close(norms, 3.0 * (torch.arange(len(norms)) == 0))


def test_shells_are_counted_in_periods_of_the_longest_side():
    grid = Grid((32, 32), extent=((0, 2), (0, 1)), boundary=("periodic", "neumann"), nodes="cell")
    x, y = grid.coordinates()
    for wave, k in (
        (torch.cos(pi * 3 * x), 3),  # three periods in 2
        (torch.cos(pi * 3 * y), 3),  # one and a half in 1
        (torch.cos(pi * 3 * x) * torch.cos(pi * 4 * y), 5),
    ):
        powers = torch.stack([part.square().sum() for part in spectral_shells(wave[None, None], grid)])
        assert powers.argmax() == k
        torch.testing.assert_close(powers[k], powers.sum())


def test_edges_belong_to_the_shell_above_and_what_is_outside_is_left_out():
    grid = Grid((16,), boundary="periodic")
    waves = torch.stack([torch.cos(2 * pi * k * grid.axis(0)) for k in range(1, 6)])[None]
    parts = spectral_shells(waves, grid, (2.0, 4.0, 5.0, 100.0, 200.0))
    held = torch.stack([part.square().sum(-1)[0] for part in parts])
    expected = 0.5 * torch.tensor([[0, 1, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]]).double()
    torch.testing.assert_close(held, expected)


def test_training_after_inference_mode():
    grid, values = Grid((6, 10), boundary="periodic"), torch.randn(1, 1, 6, 10)
    with torch.inference_mode():
        spectral_shells(values, grid)
    values.requires_grad_()
    sum(part.square().sum() for part in spectral_shells(values, grid)).backward()
    torch.testing.assert_close(values.grad, 2 * values.detach() / 60)
