import pytest
import torch

from opnet.core.errors import SolveError
from opnet.graphs.features import FourierFeature
from opnet.graphs.graph import Graph
from opnet.graphs.graphons import arithmetic_mean, hsbm, tent
from opnet.graphs.limit import Panels, integral_operator
from opnet.graphs.sampling import sample_graph
from opnet.linops.dense import Dense
from opnet.models.blocks.time_basis import TimeBasis
from opnet.models.graph_nde import GraphNDE
from opnet.models.graphon_nde import GraphonNDE

TIMES = torch.linspace(0, 1, 4, dtype=torch.float64)


def model(features=(2, 4, 2), **arguments):
    torch.manual_seed(0)
    return GraphNDE(features, **{"solver": {"method": "RK4", "step": 1 / 12}, **arguments}).double()


def test_vector_field_is_the_filter_formula():
    gnde = model((2, 4, 2), taps=3, time_basis={"kind": "fourier", "terms": 3, "horizon": 0.7})
    graph = sample_graph(tent(), 7)
    S = graph.shift.to_dense()
    X = torch.randn(1, 7, 2, dtype=torch.float64)
    t = torch.tensor(0.3, dtype=torch.float64)
    Y, c = X[0], TimeBasis("fourier", 3, 0.7)(t)
    for i, layer in enumerate(gnde.layers):
        H = torch.einsum("m,mkgf->kgf", c, layer.weight)
        Y = sum(torch.linalg.matrix_power(S, k) @ Y @ H[k] for k in range(3)) + layer.bias
        Y = torch.tanh(Y) if i == 0 else Y
    torch.testing.assert_close(gnde.vector_field(graph)(t, X)[0], Y)


def test_a_linear_model_has_the_exponential_as_its_answer():
    gnde = model((1, 1), solver={"method": "Dopri5", "rtol": 1e-10, "atol": 1e-12})
    S = sample_graph(tent(), 6).shift.to_dense()
    with torch.no_grad():
        gnde.layers[0].bias.zero_()
        h0, h1 = gnde.layers[0].weight.flatten().tolist()
        x0 = torch.randn(1, 6, 1, dtype=torch.float64)
        expected = torch.linalg.matrix_exp(h0 * torch.eye(6) + h1 * S) @ x0
        torch.testing.assert_close(gnde(Graph(Dense(S)), x0, TIMES)[:, -1], expected, rtol=1e-8, atol=1e-8)


def hsbm2_integral(u):
    """integral W(u, v) v^3 dv = (1/4 - t(u) sum_i t_i integral over block i of v^3 dv) / 2."""
    signs = torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64)
    blocks = (torch.linspace(0, 1, 5, dtype=torch.float64) ** 4 / 4).diff()
    return 0.5 * (0.25 - hsbm(2).sign(u) * (signs * blocks).sum())


@pytest.mark.parametrize(
    ("W", "exact"),
    [
        (tent(), lambda u: 1 / 20 + u / 4 - u**5 / 10),
        (arithmetic_mean(), lambda u: u / 8 + 1 / 10),
        (hsbm(2), hsbm2_integral),
    ],
    ids=["tent", "arithmetic_mean", "hsbm(2)"],
)
def test_integral_operator_is_exact_for_a_cubic(W, exact):
    # Points on edges and between; what stands at them must not matter.
    points = torch.tensor([0.0, 0.1, 0.5, 0.77, 1.0], dtype=torch.float64)
    panels = Panels.smooth(W, order=5)
    u = torch.cat([panels.nodes, points])
    g = torch.cat([panels.nodes**3, torch.full_like(points, 7.0)])
    operator = integral_operator(W, panels, points)
    torch.testing.assert_close(operator @ g, exact(u), rtol=0, atol=1e-13)
    torch.testing.assert_close(operator.columns(g[:, None])[:, 0], exact(u), rtol=0, atol=1e-13)
    torch.testing.assert_close(operator.T.to_dense(), operator.to_dense().T, rtol=0, atol=1e-13)


@pytest.mark.parametrize("W", [tent(), arithmetic_mean(), hsbm(2)], ids=lambda W: W.name)
def test_limit_is_reached_by_quadrature_of_any_kind(W):
    gnde, x0 = model(), FourierFeature(0, features=2, modes=3)
    points = torch.tensor([0.03, 0.4, 0.9], dtype=torch.float64)
    with torch.no_grad():
        limit = GraphonNDE(gnde, W)(x0, TIMES, points)
        finer = GraphonNDE(gnde, W, Panels.smooth(W, order=18))(x0, TIMES, points)
        torch.testing.assert_close(finer, limit, rtol=0, atol=1e-11)
        errors = []
        for N in (200, 400):  # midpoints, as a graph of N nodes has them
            edges = torch.linspace(0, 1, N + 1, dtype=torch.float64)
            errors.append(float((GraphonNDE(gnde, W, Panels(edges, 1))(x0, TIMES, points) - limit).abs().max()))
        assert 3.8 < errors[0] / errors[1] < 4.2
        graph = sample_graph(W, 400)
        at_nodes = GraphonNDE(gnde, W)(x0, TIMES, graph.positions)
        assert float((gnde(graph, x0(graph.positions), TIMES) - at_nodes).abs().max()) < 1e-4


def test_points_may_lie_anywhere_in_any_order():
    gnde, x0 = model(), FourierFeature(0, features=2, modes=3)
    points = torch.tensor([0.9, 0.1, 0.5], dtype=torch.float64)
    with torch.no_grad():
        limit = GraphonNDE(gnde, tent())
        together = limit(x0, TIMES, points)
        for i in range(3):
            torch.testing.assert_close(limit(x0, TIMES, points[i : i + 1])[:, :, 0], together[:, :, i])


@pytest.mark.parametrize("kind", ["constant", "polynomial", "fourier", "piecewise"])
def test_time_bases(kind):
    basis = TimeBasis(kind, 1 if kind == "constant" else 4, 2.0)
    values = torch.stack([basis(t) for t in torch.linspace(0, 2, 9, dtype=torch.float64)])
    assert values.shape == (9, basis.terms)
    assert torch.linalg.matrix_rank(values) == basis.terms
    if kind == "piecewise":
        assert (values.sum(1) == 1).all()
    else:
        assert (values[:, 0] == 1).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": (2, 3)}, "features: expected .* first and last equal"),
        ({"taps": 0}, "taps: expected at least 1"),
        ({"activation": "tahn"}, "did you mean 'tanh'"),
        ({"solver": {"method": "RK5"}}, "unknown stepper 'RK5'"),
        ({"solver": {"methd": "RK4"}}, "unexpected keyword"),
        ({"time_basis": {"kind": "fourrier"}}, "time_basis.kind"),
        ({"time_basis": {"periods": 2}}, "time_basis: expected keys"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        GraphNDE(**arguments)


def test_signals_are_checked():
    graph = sample_graph(tent(), 5)
    with pytest.raises(ValueError, match=r"x0: expected \(batch, 5, 2\), found \(1, 4, 2\)"):
        model()(graph, torch.zeros(1, 4, 2).double(), TIMES)
    with pytest.raises(ValueError, match=r"x0: expected torch.float64 on cpu, the graph's .* found torch.float32"):
        model()(graph, torch.zeros(1, 5, 2), TIMES)


def test_a_sample_that_blows_up_is_named():
    gnde, graph = model(activation="relu"), sample_graph(tent(), 5)
    x0 = torch.zeros(3, 5, 2, dtype=torch.float64)
    x0[2] = float("nan")
    with pytest.raises(SolveError, match="batch element 2 of 3"):
        gnde(graph, x0, TIMES)
