import pytest
import torch

from opnet.evaluation.metrics import MSE, AbsoluteL2, RelativeH1, RelativeL2, RelativeLp
from opnet.graphs.graph import Graph
from opnet.linops.dense import Dense
from opnet.spaces.grid import Grid

GRID = Grid((4, 6), nodes="cell")
GRAPH = Graph(Dense(torch.eye(5)))


def test_relative_l2_is_the_ratio_of_norms():
    target = torch.randn(3, 2, 4, 6, dtype=torch.float64)
    prediction = torch.randn_like(target)
    expected = (prediction - target).flatten(2).norm(dim=-1) / target.flatten(2).norm(dim=-1)
    torch.testing.assert_close(RelativeL2()(prediction, target, GRID), expected)


def test_relative_lp_is_the_ratio_of_integrals():
    target = torch.randn(3, 2, 3, 5, dtype=torch.float64)
    prediction, grid = torch.randn_like(target), Grid((3, 5), extent=((0, 2), (0, 7)))
    for p in (1.0, 1.5, 3.0):
        above, below = ((v.abs() ** p * grid.weights()).sum((2, 3)) for v in (prediction - target, target))
        torch.testing.assert_close(RelativeLp(p)(prediction, target, grid), (above / below) ** (1 / p))
    torch.testing.assert_close(RelativeLp(2)(prediction, target, grid), RelativeL2()(prediction, target, grid))
    largest = (prediction - target).abs().amax((2, 3)) / target.abs().amax((2, 3))
    torch.testing.assert_close(RelativeLp(float("inf"))(prediction, target, grid), largest)
    for p in (0.5, float("nan"), True):
        with pytest.raises(ValueError, match=r"RelativeLp.p: expected a number of at least 1, found"):
            RelativeLp(p)


def test_relative_h1_by_differences_forgives_the_highest_modes():
    grid = Grid((16,), boundary="periodic")
    x = 2 * torch.pi * grid.axis(0)[None, None]
    smooth, rough = torch.sin(x), torch.sin(x) + 0.1 * torch.sin(7 * x)
    spectral, difference = RelativeH1()(rough, smooth, grid), RelativeH1("difference")(rough, smooth, grid)
    # sin(7 x) has the slope 7, its quotients 2 sin(7 pi / 16) / h with h = 2 pi / 16.
    assert difference < 0.75 * spectral
    assert RelativeH1("difference").name == "RelativeH1(derivative=difference)"
    with pytest.raises(ValueError, match=r"RelativeH1.derivative: expected one of spectral, difference, found 'fem'"):
        RelativeH1("fem")


def test_mse_is_the_mean_on_uniform_nodes_and_weighted_at_vertices():
    error = torch.randn(2, 1, 4, 6)
    torch.testing.assert_close(MSE()(error, torch.zeros_like(error), GRID), error.square().mean((2, 3)))
    ends = torch.tensor([[[1.0, 0.0, 0.0]]])
    torch.testing.assert_close(MSE()(ends, torch.zeros_like(ends), Grid((3,))), torch.tensor([[0.25]]))


def test_absolute_l2_has_the_units_of_the_box():
    grid = Grid((8,), extent=((0, 4),), nodes="cell")
    assert AbsoluteL2()(torch.full((1, 1, 8), 3.0), torch.zeros(1, 1, 8), grid).item() == pytest.approx(6.0)


def test_signals_are_measured_a_feature_by_the_node_mean():
    target = torch.randn(3, 5, 2)
    prediction = torch.randn_like(target)
    expected = (prediction - target).norm(dim=1) / target.norm(dim=1)
    torch.testing.assert_close(RelativeL2()(prediction, target, GRAPH), expected)
    torch.testing.assert_close(AbsoluteL2()(prediction, target, GRAPH), (prediction - target).norm(dim=1) / 5**0.5)
    torch.testing.assert_close(MSE()(prediction, target, GRAPH), (prediction - target).square().mean(1))


def test_trajectories_take_the_mean_or_the_supremum_over_time():
    target = torch.ones(1, 3, 5, 1)
    target[:, 1] = 2
    prediction = target.clone()
    prediction[:, 2] += 1
    torch.testing.assert_close(RelativeL2()(prediction, target, GRAPH), torch.tensor([[(1 / 6) ** 0.5]]))
    torch.testing.assert_close(RelativeL2(time="max")(prediction, target, GRAPH), torch.tensor([[0.5]]))
    assert RelativeL2(time="max").name == "RelativeL2(time=max)"
    assert RelativeL2().name == "RelativeL2"
    with pytest.raises(ValueError, match="expected one of mean, max, found 'median'"):
        RelativeL2(time="median")


@pytest.mark.parametrize(
    ("prediction", "target", "message"),
    [
        ((4, 1, 4, 6), (4, 4, 6), r"one shape, found \(4, 1, 4, 6\) and \(4, 4, 6\)"),
        ((1, 1, 4, 6), (4, 1, 4, 6), r"found \(1, 1, 4, 6\) and \(4, 1, 4, 6\)"),
        ((2, 1, 6, 4), (2, 1, 6, 4), r"expected \(batch, channel, 4, 6\) on the grid, found \(2, 1, 6, 4\)"),
    ],
)
@pytest.mark.parametrize("metric", [RelativeL2(), RelativeLp(), RelativeH1(), AbsoluteL2(), MSE()])
def test_nothing_broadcasts(metric, prediction, target, message):
    with pytest.raises(ValueError, match=message):
        metric(torch.ones(prediction), torch.ones(target), GRID)


def test_integers_and_foreign_graphs_are_refused():
    with pytest.raises(ValueError, match=r"floating dtype, found torch.float32 and torch.int64"):
        MSE()(torch.ones(1, 1, 4, 6), torch.ones(1, 1, 4, 6, dtype=torch.long), GRID)
    with pytest.raises(ValueError, match=r"\(batch, \[time,\] 5, feature\) on the graph, found \(1, 4, 2\)"):
        MSE()(torch.ones(1, 4, 2), torch.ones(1, 4, 2), GRAPH)
    with pytest.raises(ValueError, match="expected a Grid, found a Graph"):
        RelativeH1()(torch.ones(1, 5, 2), torch.ones(1, 5, 2), GRAPH)


def test_a_vanishing_target_is_named():
    target = torch.ones(3, 2, 4, 6)
    target[1, 1] = 0
    with pytest.raises(ValueError, match="zero in channel 1 of sample 1"):
        RelativeL2()(torch.ones_like(target), target, GRID)


def test_half_precision_does_not_overflow():
    target = torch.full((1, 1, 4, 6), 1000.0, dtype=torch.float16)
    assert RelativeL2()(target * 1.5, target, GRID).item() == pytest.approx(0.5)
