import pytest
import torch

from opnet.graphs.graph import Graph
from opnet.graphs.graphons import hsbm
from opnet.graphs.sampling import sample_graph
from opnet.linops.dense import Dense
from opnet.models.graph_diffusion import GraphDiffusion
from opnet.models.graph_reaction_diffusion import REACTIONS, GraphReactionDiffusion

TIMES = torch.linspace(0, 2, 3, dtype=torch.float64)
EXACT = {"method": "Dopri5", "rtol": 1e-10, "atol": 1e-12}


@pytest.fixture
def graph():
    return Graph(Dense(sample_graph(hsbm(2), 8, regime="random", seed=1).shift.to_dense()))


def signal(n, seed=0):
    return torch.randn(2, n, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("attention", ["none", "linear"])
def test_linear_diffusion_has_the_exponential_as_its_answer(graph, attention):
    torch.manual_seed(0)
    model, x0 = GraphDiffusion(3, attention, 2, diffusion=0.75, source=0.25, solver=EXACT).double(), signal(8)
    A = model.averaging(graph, x0)(x0).to_dense()
    L = 0.75 * (A - torch.eye(8))
    # d/dt (X, X0) = [[L, b], [0, 0]] (X, X0)
    block = torch.zeros(*L.shape[:-2], 16, 16, dtype=torch.float64)
    block[..., :8, :8], block[..., :8, 8:] = L, 0.25 * torch.eye(8)
    expected = (torch.matrix_exp(2 * block) @ torch.cat([x0, x0], 1))[:, :8]
    torch.testing.assert_close(model(graph, x0, TIMES)[:, -1], expected, rtol=1e-7, atol=1e-9)


def test_nonlinear_attention_looks_at_the_state_and_linear_at_the_start(graph):
    x0, X = signal(8), signal(8, 1)
    for attention, source in (("linear", x0), ("nonlinear", X)):
        torch.manual_seed(0)
        model = GraphDiffusion(3, attention).double()
        expected = model.averaging.attention(graph_edges(graph), source).columns(X) - X
        torch.testing.assert_close(model.vector_field(graph, x0)(torch.tensor(0.0), X), expected)


def graph_edges(graph):
    from opnet.models.blocks.graph_attention import edges_of

    return edges_of(graph.shift)


def test_attention_keeps_values_within_those_of_the_start(graph):
    torch.manual_seed(0)
    shift = graph.shift.matrix + torch.eye(8)  # every node has an edge
    model, x0 = GraphDiffusion(3, "nonlinear", solver=EXACT).double(), signal(8)
    X = model(Graph(Dense(shift)), x0, 5 * TIMES)
    low, high = x0.amin(1, keepdim=True)[:, None], x0.amax(1, keepdim=True)[:, None]
    assert ((low - 1e-8 <= X) & (high + 1e-8 >= X)).all()


@pytest.mark.parametrize("reaction", REACTIONS)
def test_reactions_are_their_formulas(graph, reaction):
    model, x0, X = GraphReactionDiffusion(3, reaction, diffusion=0.5, rate=0.3).double(), signal(8), signal(8, 1)
    S = graph.shift.matrix
    R = {
        "fisher": X - X**2,
        "allen_cahn": X - X**3,
        "zeldovich": X**2 - X**3,
        "blurring_sharpening": (S - S @ S) @ X,
        "source": x0,
        "relaxation": x0 - X,
    }[reaction]
    torch.testing.assert_close(model.vector_field(graph, x0)(torch.tensor(0.0), X), 0.5 * (S @ X - X) + 0.3 * R)


def test_strengths_are_learned_or_fixed():
    assert {n for n, _ in GraphDiffusion(3).named_parameters()} == {"diffusion", "source"}
    fixed = GraphDiffusion(3, learnable=False)
    assert list(fixed.parameters()) == []
    assert {n for n, _ in fixed.named_buffers()} == {"diffusion", "source"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GraphDiffusion(0), "features: expected at least 1, found 0"),
        (lambda: GraphDiffusion(3, "linaer"), "attention: expected one of none, linear, nonlinear, found 'linaer'"),
        (lambda: GraphDiffusion(3, diffusion=float("nan")), "diffusion: expected a finite number, found nan"),
        (lambda: GraphReactionDiffusion(3, "fissure"), "reaction: expected one of fisher, .* found 'fissure'"),
    ],
)
def test_arguments_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()
