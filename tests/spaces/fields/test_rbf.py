import math

import pytest
import torch

from opnet.spaces.fields.rbf import RBFField
from opnet.spaces.fields.series import axis_series, wave_numbers
from opnet.spaces.grid import Grid


def covariance(field, grid):
    """E[g(x) g(y)] of the series itself, on an axis."""
    periods = field.periods(grid.lengths)
    modes = field.modes(periods)
    amplitudes = torch.from_numpy(field.amplitudes([wave_numbers("periodic", modes[0])], periods))
    basis = axis_series("periodic", modes[0], grid, 0, periods[0]).basis
    return basis * amplitudes.square() @ basis.T


@pytest.mark.parametrize("length", [0.05, 0.2, 1.5])
def test_covariance_is_the_kernel(length):
    grid = Grid((31,), ((0.0, 2.0),), nodes="vertex")
    x = grid.axis(0)
    kernel = 4 * torch.exp(-((x[:, None] - x).square()) / (2 * length**2))
    torch.testing.assert_close(covariance(RBFField(length, 2.0), grid), kernel, rtol=0, atol=2e-11)


def test_periodic_covariance_is_the_sum_over_images():
    grid = Grid((16,), ((0.0, 2.0),), boundary="periodic")
    x = grid.axis(0)
    distance = x[:, None] - x
    kernel = sum(torch.exp(-((distance + 2.0 * image).square()) / (2 * 0.8**2)) for image in range(-12, 13))
    measured = covariance(RBFField(0.8, periodic=True), grid)
    torch.testing.assert_close(measured, kernel / kernel[0, 0], rtol=0, atol=1e-11)


def test_samples_have_it_too():
    g = RBFField(0.2).sample(0, range(6000), Grid((5,), nodes="vertex"))
    assert float((g[:, 0] * g[:, 1]).mean()) == pytest.approx(math.exp(-(0.25**2) / 0.08), abs=0.05)
    assert float((g[:, 0] * g[:, 4]).mean()) == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("wrong", [{"length": 0.0}, {"length": -1.0}, {"sigma": 0.0}, {"sigma": float("inf")}])
def test_arguments_are_checked(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RBFField(**{"length": 0.2, **wrong})
