from dataclasses import fields

import pytest
import torch

from opnet.core.registry import lookup, names
from opnet.data.graph_trajectories import graph_trajectories
from opnet.graphs.graphons import tent
from opnet.graphs.sampling import sample_graph
from opnet.solvers.pde.graph_dynamics import GraphDynamics
from opnet.solvers.pde.kuramoto import Kuramoto
from opnet.solvers.pde.reaction_diffusion import ReactionDiffusion
from opnet.solvers.pde.sir import SIR

GRAPH = sample_graph(tent(), 8)
DYNAMICS = [ReactionDiffusion(), Kuramoto(), SIR()]


def test_every_registered_one_is_tested():
    classes = (lookup("problem", name) for name in names("problem"))
    assert {c for c in classes if issubclass(c, GraphDynamics)} == {type(d) for d in DYNAMICS}


@pytest.mark.parametrize("dynamics", DYNAMICS, ids=lambda d: type(d).__name__)
def test_states_have_named_features_and_units(dynamics):
    g = torch.randn(3, 8, dynamics.random_functions, dtype=torch.float64)
    state = dynamics.initial(g)
    assert state.shape == (3, 8, len(dynamics.feature_names))
    assert dynamics.vector_field(GRAPH.shift)(torch.zeros(()), state).shape == state.shape
    assert {*dynamics.feature_names, *(f.name for f in fields(dynamics))} <= set(dynamics.units)


@pytest.mark.parametrize("coupling", ["sine", "linear", "consensus"])
@pytest.mark.parametrize("reaction", ["none", "allen_cahn"])
def test_reaction_and_diffusion_are_the_double_sum(coupling, reaction):
    D = {"sine": torch.sin, "linear": lambda x: x, "consensus": lambda x: x / (1 + x**2)}[coupling]
    u = torch.randn(3, 8, dtype=torch.float64)
    expected = (GRAPH.shift.to_dense() * D(u[:, None, :] - u[:, :, None])).sum(2)
    if reaction == "allen_cahn":
        expected = expected + u - u**3
    found = ReactionDiffusion(coupling, reaction).vector_field(GRAPH.shift)(torch.zeros(()), u[..., None])
    torch.testing.assert_close(found[..., 0], expected)


def test_kuramoto_is_the_double_sum_and_comes_into_step():
    theta, omega = torch.randn(2, 3, 8, dtype=torch.float64)
    S = GRAPH.shift.to_dense()
    expected = omega + 1.5 * (S * torch.sin(theta[:, None, :] - theta[:, :, None])).sum(2)
    found = Kuramoto(1.5).vector_field(GRAPH.shift)(torch.zeros(()), torch.stack([theta, omega], -1))
    torch.testing.assert_close(found[..., 0], expected)
    assert not found[..., 1].any()
    data = graph_trajectories(Kuramoto(5.0, spread=0.0, phases=0.5), tent(), 20, range(3), (0.0, 30.0))
    assert bool((Kuramoto.order_parameter(data.targets[:, 1]) > 0.999).all())
    assert bool((Kuramoto.order_parameter(data.inputs) < 0.99).all())


def test_an_epidemic_keeps_the_population_and_has_a_threshold():
    times = (0.0, 5.0, 40.0)
    spreads = graph_trajectories(SIR(4.0, 0.5), tent(), 20, range(3), times, dtype=torch.float64).targets
    torch.testing.assert_close(spreads.sum(-1), torch.ones_like(spreads[..., 0]))
    assert float(spreads.min()) > -1e-9
    dies = graph_trajectories(SIR(0.1, 0.5), tent(), 20, range(3), times, dtype=torch.float64).targets
    assert float(spreads[:, -1, :, 2].mean()) > 0.5 > 0.15 > float(dies[:, -1, :, 2].mean())
    assert bool((dies.mean(2)[:, 1:, 1] < dies.mean(2)[:, :1, 1]).all())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ReactionDiffusion("cubic"), "coupling: expected one of"),
        (lambda: ReactionDiffusion(reaction="fire"), "reaction: expected one of"),
        (lambda: Kuramoto(torch.inf), "Kuramoto.strength: expected a finite"),
        (lambda: Kuramoto(spread=-1.0), "Kuramoto.spread: expected .* not negative"),
        (lambda: SIR(beta=-1.0), "SIR.beta: expected"),
        (lambda: SIR(prevalence=0.0), "SIR.prevalence: expected a share"),
    ],
    ids=range(6),
)
def test_arguments_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()
