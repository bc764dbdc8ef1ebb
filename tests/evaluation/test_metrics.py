import pytest
import torch

from opnet.evaluation.metrics import MSE, AbsoluteL2, RelativeH1, RelativeL2
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
@pytest.mark.parametrize("metric", [RelativeL2(), RelativeH1(), AbsoluteL2(), MSE()])
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
