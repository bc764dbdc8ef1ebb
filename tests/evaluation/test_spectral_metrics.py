from math import inf, pi

import pytest
import torch

from opnet.evaluation.metrics import MSE, RelativeL2
from opnet.evaluation.spectral_metrics import AMSE, SpectralBands
from opnet.graphs.graph import Graph
from opnet.linops.dense import Dense
from opnet.spaces.grid import Grid

GRID = Grid((32, 32), boundary="periodic")


def noise(*shape):
    return torch.randn(*shape, *GRID.shape, dtype=torch.float64)


def test_one_band_of_everything_is_the_relative_norm():
    u, v = noise(2, 3), noise(2, 3)
    torch.testing.assert_close(
        SpectralBands((0.0, inf), floor=1e-9)(u, v, GRID), RelativeL2()(u, v, GRID), rtol=1e-12, atol=0
    )


def test_each_band_is_measured_by_itself():
    x = 2 * pi * GRID.coordinates()[0]
    v = (torch.sin(2 * x) + 0.01 * torch.sin(8 * x))[None, None]
    u = (torch.sin(2 * x) + 0.02 * torch.sin(8 * x))[None, None]
    metric = SpectralBands((0.0, 4.0, 12.0, inf))
    bands = metric.bands(u, v, GRID)
    torch.testing.assert_close(bands, torch.tensor([[[0.0, 0.995037, 0.0]]]).double(), atol=1e-4, rtol=0)
    torch.testing.assert_close(metric(u, v, GRID), bands.mean(-1))


def test_a_band_that_holds_nothing_is_measured_against_the_floor():
    x = 2 * pi * GRID.coordinates()[0]
    v = torch.sin(2 * x)[None, None]
    u = v + 0.001 * torch.sin(8 * x)
    bands = SpectralBands((0.0, 4.0, inf), floor=0.01).bands(u, v, GRID)
    torch.testing.assert_close(bands, torch.tensor([[[0.0, 0.1]]]).double(), atol=1e-9, rtol=1e-6)


def test_the_adjusted_error_is_that_of_the_formula():
    u, v = 2 * noise(2, 1), noise(2, 1)
    a, b = (torch.fft.fftn(w, dim=(-2, -1)) / 32**2 for w in (u, v))
    j = torch.fft.fftfreq(32, 1 / 32)
    shell = torch.floor((j[:, None] ** 2 + j**2).sqrt() + 0.5)
    expected = torch.zeros(2, 1).double()
    for k in shell.unique():
        p, q = ((w.abs().square() * (shell == k)).sum((-2, -1)) for w in (a, b))
        coherence = ((a * b.conj()).real * (shell == k)).sum((-2, -1)) / (p * q).sqrt()
        expected += (p.sqrt() - q.sqrt()) ** 2 + 2 * torch.maximum(p, q) * (1 - coherence)
    torch.testing.assert_close(AMSE()(u, v, GRID), expected)


def test_where_powers_agree_it_is_the_mean_squared_error_and_blur_does_not_pay():
    grid = Grid((64,), boundary="periodic", extent=((0, 5),))
    x = 2 * pi * 7 * grid.axis(0)[None, None] / 5
    wave, misplaced = torch.sin(x), torch.cos(x)
    torch.testing.assert_close(AMSE()(misplaced, wave, grid), MSE()(misplaced, wave, grid))
    sizes = [0.01, 0.5, 0.9, 1.0, 1.1]
    mean_squared = [float(MSE()(s * misplaced, wave, grid)) for s in sizes]
    adjusted = [float(AMSE()(s * misplaced, wave, grid)) for s in sizes]
    assert min(mean_squared) == mean_squared[0]
    assert min(adjusted) == adjusted[3]


@pytest.mark.parametrize("metric", [SpectralBands(), AMSE()])
def test_gradients_are_finite_where_a_function_or_a_shell_vanishes(metric):
    for size in (0.0, 1e-300, 1.0):
        prediction = (size * torch.ones(1, 1, *GRID.shape).double()).requires_grad_()
        metric(prediction, noise(1, 1), GRID).sum().backward()
        assert torch.isfinite(prediction.grad).all()


@pytest.mark.parametrize("metric", [SpectralBands(), AMSE()])
def test_graphs_and_other_shapes_are_refused(metric):
    with pytest.raises(ValueError, match="expected a Grid, found a Graph"):
        metric(torch.ones(1, 5, 2), torch.ones(1, 5, 2), Graph(Dense(torch.eye(5))))
    with pytest.raises(ValueError, match="one shape"):
        metric(torch.ones(1, 1, 32, 32), torch.ones(2, 1, 32, 32), GRID)
    with pytest.raises(ValueError, match="one shape"):
        SpectralBands().bands(torch.ones(1, 1, 32, 32), torch.ones(2, 1, 32, 32), GRID)


@pytest.mark.parametrize("edges", [(1.0,), (2.0, 1.0), (-1.0, 3.0), (0.0, float("nan"))])
def test_edges_out_of_order_are_refused(edges):
    with pytest.raises(ValueError, match=r"SpectralBands.edges: expected two or more ascending from 0"):
        SpectralBands(edges)


def test_the_floor_is_positive():
    with pytest.raises(ValueError, match=r"SpectralBands.floor: expected a positive"):
        SpectralBands(floor=0.0)
