import pytest
import torch

from opnet.spaces.fields import series
from opnet.spaces.fields.gaussian import GaussianField
from opnet.spaces.grid import Grid


@pytest.mark.parametrize("boundary", series.BOUNDARIES)
@pytest.mark.parametrize("nodes", ["cell", "vertex", "left", "interior"])
@pytest.mark.parametrize("shape", [(33,), (20, 24)])
def test_fft_and_products_give_the_same_values(monkeypatch, boundary, nodes, shape):
    """Also where there are more modes than nodes, which the FFT folds onto one another."""
    field = GaussianField(3.0, 1.0, boundary=boundary, max_mode=40)
    grid = Grid(shape, ((-1.0, 2.0),) * len(shape), "neumann", nodes)
    dense = field.sample(0, [1, 4], grid)
    monkeypatch.setattr(series, "FFT_ABOVE", 0)
    assert isinstance(series.axis_series(boundary, 40, grid, 0, 3.0), series.FourierAxis)
    torch.testing.assert_close(field.sample(0, [1, 4], grid), dense, rtol=0, atol=1e-13)


def test_a_longer_period_is_summed_directly(monkeypatch):
    monkeypatch.setattr(series, "FFT_ABOVE", 0)
    assert isinstance(series.axis_series("periodic", 4, Grid((8,)), 0, 1.5), series.DenseAxis)


def test_many_modes_take_the_fft():
    grid = Grid((8192,), boundary="periodic")
    assert isinstance(series.axis_series("periodic", 4096, grid, 0, 1.0), series.FourierAxis)
    assert isinstance(series.axis_series("periodic", 16, grid, 0, 1.0), series.DenseAxis)


def test_shells_come_in_order_and_may_be_of_unequal_axes():
    order = series._shell_order("neumann", (1, 2))
    modes = [divmod(int(place), 3) for place in order]
    assert modes == [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (1, 2)]
