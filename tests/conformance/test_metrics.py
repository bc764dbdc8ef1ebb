"""Laws of every registered metric: it measures functions, whatever grid they are sampled on."""

from itertools import pairwise
from math import pi

import pytest
import torch

import opnet.evaluation.metrics
import opnet.evaluation.spectral_metrics  # noqa: F401  (registers)
from opnet.core.registry import lookup, names
from opnet.spaces.grid import Grid

METRICS = names("metric")
GRIDS = {
    "vertex": Grid((8,), nodes="vertex"),
    "cell": Grid((8,), nodes="cell", boundary="neumann"),
    "left": Grid((8,), nodes="left"),
    "interior": Grid((8,), nodes="interior"),
    "periodic": Grid((8,), boundary="periodic"),
    "plane": Grid((8, 8), extent=((0, 2), (0, 1)), nodes=("cell", "vertex"), boundary=("periodic", "dirichlet")),
}


def functions(grid):
    """Two smooth functions that every placement and boundary admits: (2, 2, *shape) predictions and targets."""
    x = [(2 * pi * (c - low) / (high - low)) for c, (low, high) in zip(grid.coordinates(), grid.extent, strict=True)]
    wave, twist = torch.ones(grid.shape).double(), torch.ones(grid.shape).double()
    for c in x:
        wave, twist = wave * torch.sin(c), twist * torch.sin(c) * torch.exp(torch.cos(c))
    target = torch.stack([wave, 1.5 * twist])
    prediction = torch.stack([wave + 0.2 * twist, twist])
    return torch.stack([prediction, 2 * prediction]), torch.stack([target, 3 * target - wave])


def test_there_are_metrics_and_each_is_a_loss():
    assert {"RelativeL2", "RelativeLp", "RelativeH1", "AbsoluteL2", "MSE", "SpectralBands", "AMSE"} <= set(METRICS)
    for name in METRICS:
        assert lookup("loss", name) is lookup("metric", name)
        assert lookup("metric", name)().name == name


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("name", METRICS)
def test_refinement_converges(name, grid):
    metric = lookup("metric", name)()
    values = []
    for factor in (2, 4, 8, 16):
        refined = GRIDS[grid].resized(tuple(8 * factor + (kind == "vertex") for kind in GRIDS[grid].nodes))
        values.append(metric(*functions(refined), refined))
    assert values[0].shape == (2, 2)
    changes = [float(((b - a) / b).abs().max()) for a, b in pairwise(values)]
    assert changes[2] < 1e-2
    assert changes[2] < 0.5 * changes[1] or changes[2] < 1e-10


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("name", METRICS)
def test_identity_and_scale(name, grid):
    metric, grid = lookup("metric", name)(), GRIDS[grid]
    prediction, target = functions(grid)
    assert torch.equal(metric(target, target, grid), torch.zeros(2, 2).double())
    value = metric(prediction, target, grid)
    assert (value > 0).all()
    assert torch.isfinite(value).all()
    scaled = metric(-1000 * prediction, -1000 * target, grid)
    torch.testing.assert_close(scaled, value * (1 if metric.unit == "1" else scaled[0, 0] / value[0, 0]))


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("name", METRICS)
def test_each_sample_and_channel_is_measured_alone(name, grid):
    metric, grid = lookup("metric", name)(), GRIDS[grid]
    prediction, target = functions(grid)
    alone = metric(prediction[1:, 1:], target[1:, 1:], grid)
    torch.testing.assert_close(alone, metric(prediction, target, grid)[1:, 1:])


@pytest.mark.parametrize("name", METRICS)
def test_gradients_are_right_and_finite_at_zero_error(name):
    metric, grid = lookup("metric", name)(), GRIDS["plane"].resized((4, 5))
    prediction, target = functions(grid)
    perfect = target.clone().requires_grad_()
    metric(perfect, target, grid).sum().backward()
    assert torch.isfinite(perfect.grad).all()
    # Away from zeros of the error, where some norms have kinks.
    prediction = prediction + 0.1 * torch.randn_like(prediction)
    assert torch.autograd.gradcheck(lambda p: metric(p, target, grid), prediction.requires_grad_())
