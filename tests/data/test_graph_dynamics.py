import pytest
import torch

from opnet.data.graph_dynamics import ReactionDiffusion, reaction_diffusion_data
from opnet.graphs.graphons import arithmetic_mean, hsbm, tent
from opnet.graphs.sampling import sample_graph

TIMES = (0.0, 0.5, 1.0)


@pytest.mark.parametrize("coupling", ["sine", "linear", "consensus"])
@pytest.mark.parametrize("reaction", ["none", "allen_cahn"])
def test_vector_field_is_the_double_sum(coupling, reaction):
    D = {"sine": torch.sin, "linear": lambda x: x, "consensus": lambda x: x / (1 + x**2)}[coupling]
    graph = sample_graph(tent(), 8)
    u = torch.randn(3, 8, dtype=torch.float64)
    S = graph.shift.to_dense()
    expected = (S * D(u[:, None, :] - u[:, :, None])).sum(2)
    if reaction == "allen_cahn":
        expected = expected + u - u**3
    found = ReactionDiffusion(coupling, reaction).vector_field(graph.shift)(torch.zeros(()), u)
    torch.testing.assert_close(found, expected)


def test_a_batch_takes_its_graph_along():
    data = reaction_diffusion_data(ReactionDiffusion(), tent(), 10, range(3), TIMES)
    moved = data.all().to(dtype=torch.float64)
    assert moved.domain.shift.dtype == moved.domain.positions.dtype == moved.inputs.dtype == torch.float64
    assert data.domain.shift.dtype == torch.float32
    assert data.all().to("cpu", torch.float32).domain is data.domain


def test_diffusion_keeps_the_mean_and_allen_cahn_goes_to_plus_or_minus_one():
    heat = reaction_diffusion_data(ReactionDiffusion("sine"), tent(), 30, range(4), (0.0, 20.0), dtype=torch.float64)
    torch.testing.assert_close(heat.targets.mean(2), heat.inputs.mean(1, keepdim=True).expand(-1, 2, -1))
    assert heat.targets[:, -1].std(1).max() < 1e-3
    dynamics = ReactionDiffusion("linear", "allen_cahn")
    late = reaction_diffusion_data(dynamics, tent(), 30, range(4), (0.0, 40.0)).targets[:, -1]
    torch.testing.assert_close(late.abs(), torch.ones_like(late), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("W", [tent(), arithmetic_mean(), hsbm(2)], ids=lambda W: W.name)
def test_graph_and_limit_truth_meet_as_the_graph_grows(W):
    gaps = []
    for n in (40, 80):  # aligned with the blocks
        truths = [
            reaction_diffusion_data(ReactionDiffusion(), W, n, [0], TIMES, truth=t, dtype=torch.float64)
            for t in ("graph", "limit")
        ]
        torch.testing.assert_close(truths[0].inputs, truths[1].inputs)
        gaps.append(float((truths[0].targets - truths[1].targets).abs().max()))
    assert 3.5 < gaps[0] / gaps[1] < 4.5
    assert gaps[1] < 2e-3


def test_samples_are_the_same_functions_on_every_graph_and_in_any_selection():
    coarse = reaction_diffusion_data(ReactionDiffusion(), tent(), 10, [3], TIMES)
    fine = reaction_diffusion_data(ReactionDiffusion(), tent(), 30, [7, 3], TIMES)
    torch.testing.assert_close(coarse.inputs[0], fine.inputs[1, 1::3])  # midpoints of thirds: the middle third's
    assert coarse.batch([0]).domain.shift.dtype == torch.float32


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="coupling: expected one of"):
        ReactionDiffusion("cubic")
    with pytest.raises(ValueError, match="truth: expected one of graph, limit"):
        reaction_diffusion_data(ReactionDiffusion(), tent(), 5, [0], TIMES, truth="both")
    with pytest.raises(ValueError, match="expects a sine or linear"):
        reaction_diffusion_data(ReactionDiffusion("consensus"), tent(), 5, [0], TIMES, truth="limit")
