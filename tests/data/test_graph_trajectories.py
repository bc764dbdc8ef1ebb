import pytest
import torch

from opnet.data.graph_trajectories import graph_trajectories
from opnet.graphs.graphons import arithmetic_mean, hsbm, tent
from opnet.solvers.pde.kuramoto import Kuramoto
from opnet.solvers.pde.reaction_diffusion import ReactionDiffusion
from opnet.solvers.pde.sir import SIR

TIMES = (0.0, 0.5, 1.0)


def test_a_batch_takes_its_graph_along():
    data = graph_trajectories(ReactionDiffusion(), tent(), 10, range(3), TIMES)
    moved = data.all().to(dtype=torch.float64)
    assert moved.domain.shift.dtype == moved.domain.positions.dtype == moved.inputs.dtype == torch.float64
    assert data.domain.shift.dtype == torch.float32
    assert data.all().to("cpu", torch.float32).domain is data.domain


def test_diffusion_keeps_the_mean_and_allen_cahn_goes_to_plus_or_minus_one():
    heat = graph_trajectories(ReactionDiffusion("sine"), tent(), 30, range(4), (0.0, 20.0), dtype=torch.float64)
    torch.testing.assert_close(heat.targets.mean(2), heat.inputs.mean(1, keepdim=True).expand(-1, 2, -1))
    assert heat.targets[:, -1].std(1).max() < 1e-3
    dynamics = ReactionDiffusion("linear", "allen_cahn")
    late = graph_trajectories(dynamics, tent(), 30, range(4), (0.0, 40.0)).targets[:, -1]
    torch.testing.assert_close(late.abs(), torch.ones_like(late), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("dynamics", "W"),
    [
        (ReactionDiffusion(), tent()),
        (ReactionDiffusion(), arithmetic_mean()),
        (ReactionDiffusion(), hsbm(2)),
        (Kuramoto(), tent()),
        (SIR(), tent()),
    ],
    ids=lambda value: getattr(value, "name", type(value).__name__),
)
def test_graph_and_limit_truth_meet_as_the_graph_grows(dynamics, W):
    gaps = []
    for n in (40, 80):  # aligned with the blocks
        truths = [
            graph_trajectories(dynamics, W, n, [0], TIMES, truth=t, dtype=torch.float64) for t in ("graph", "limit")
        ]
        torch.testing.assert_close(truths[0].inputs, truths[1].inputs)
        gaps.append(float((truths[0].targets - truths[1].targets).abs().max()))
    assert 3.5 < gaps[0] / gaps[1] < 4.5
    assert gaps[1] < 2e-3


def test_samples_are_the_same_functions_on_every_graph_and_in_any_selection():
    coarse = graph_trajectories(ReactionDiffusion(), tent(), 10, [3], TIMES)
    fine = graph_trajectories(ReactionDiffusion(), tent(), 30, [7, 3], TIMES)
    torch.testing.assert_close(coarse.inputs[0], fine.inputs[1, 1::3])  # midpoints of thirds: the middle third's
    assert coarse.batch([0]).domain.shift.dtype == torch.float32


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="truth: expected one of graph, limit"):
        graph_trajectories(ReactionDiffusion(), tent(), 5, [0], TIMES, truth="both")
    with pytest.raises(ValueError, match="expects dynamics with products alone"):
        graph_trajectories(ReactionDiffusion("consensus"), tent(), 5, [0], TIMES, truth="limit")
