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


@pytest.mark.parametrize("name", METRICS)
def test_single_precision_is_close_and_half_precision_is_taken(name):
    metric, grid = lookup("metric", name)(), GRIDS["plane"].resized((16, 17))
    # Noise in every mode: where a scale holds nothing but rounding, precisions may differ.
    prediction, target = (values + 0.3 * torch.randn_like(values) for values in functions(grid))
    exact, single = metric(prediction, target, grid), metric(prediction.float(), target.float(), grid)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), exact, rtol=1e-4, atol=1e-6)
    half = metric(prediction.bfloat16(), target.bfloat16(), grid)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half.double(), exact, rtol=0.1, atol=0)


@pytest.mark.parametrize("name", METRICS)
def test_nothing_broadcasts_and_what_is_not_finite_shows(name):
    metric, grid = lookup("metric", name)(), GRIDS["plane"]
    prediction, target = functions(grid)
    for wrong in (prediction[:1], prediction[:, :1], prediction[..., :1], prediction[0]):
        with pytest.raises(ValueError, match="expected prediction and target of one shape"):
            metric(wrong, target, grid)
    with pytest.raises(ValueError, match=r"expected \(batch, channel, 9, 8\) on the grid"):
        metric(prediction, target, grid.resized((9, 8)))
    prediction[0, 0, 3, 3] = torch.nan
    values = metric(prediction, target, grid)
    assert torch.isnan(values[0, 0])
    assert torch.isfinite(values[1]).all()


@pytest.mark.parametrize("name", [name for name in METRICS if lookup("metric", name).unit == "1"])
def test_relative_metrics_name_targets_that_vanish(name):
    prediction, target = functions(GRIDS["plane"])
    target[1, 0] = 0
    with pytest.raises(ValueError, match="expected targets of non-zero norm, found zero in channel 0 of sample 1"):
        lookup("metric", name)()(prediction, target, GRIDS["plane"])
