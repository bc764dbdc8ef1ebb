from dataclasses import replace

import pytest
import torch

from opnet.evaluation.adjoint_study import adjoint_error, graph_gradients, limit_gradients, study_adjoint
from opnet.evaluation.graphon_study import UntrainedGNDE
from opnet.graphs.features import FourierFeature
from opnet.graphs.graphons import arithmetic_mean, hsbm, tent
from opnet.graphs.limit import Panels
from opnet.graphs.sampling import sample_graph
from opnet.models.graph_nde import GraphNDE
from opnet.models.graphon_nde import GraphonNDE

MODELS = UntrainedGNDE(steps=4)
SMALL = UntrainedGNDE(features=(1, 4, 1), time_basis=None, steps=2)
CASES = {
    "tent": (tent(), [100, 200, 400], {}, -2),
    "tent, zero diagonal": (tent(), [100, 200, 400], {"keep_diagonal": False}, -1),
    "arithmetic mean": (arithmetic_mean(), [100, 200, 400], {}, -2),
    "hsbm, aligned": (hsbm(2), [100, 200, 400], {"regime": "cell"}, -2),
}


@pytest.mark.parametrize("case", CASES)
def test_gradients_on_weighted_graphs_follow_the_nodal_error(case):
    W, sizes, options, expected = CASES[case]
    study = study_adjoint(W, sizes, range(1), models=MODELS, **options)
    for part in ("adjoint", "parameter"):
        assert study[part].expected == expected
        assert study[part].order == pytest.approx(expected, abs=0.02)
        assert study[part].agrees


def test_random_graphs_lose_half_an_order_in_the_adjoint_alone():
    study = study_adjoint(arithmetic_mean(), [100, 200, 400], range(10), models=SMALL, regime="random")
    assert study["adjoint"].order == pytest.approx(-0.5, abs=0.06)
    assert study["parameter"].order == pytest.approx(-1.0, abs=0.3)


def test_theory_is_silent_about_nodes_off_the_midpoints():
    study = study_adjoint(tent(), [10, 20, 30], [0], models=UntrainedGNDE(modes=2, steps=2), nodes="linspace")
    assert study["adjoint"].expected is None
    assert study.agrees == {"adjoint": None, "parameter": None}


@pytest.mark.slow
def test_orders_on_sparse_random_graphs_are_in_alpha_n():
    study = study_adjoint(tent(), [900, 1800, 3600], range(10), models=SMALL, regime="random", sparsity=0.5)
    assert study["adjoint"].sizes == pytest.approx((30, 1800**0.5, 60))
    assert all(study.agrees.values())


def test_the_limit_gradient_predicts_the_change_of_the_loss():
    # Central differences of J along a change of X(0) and one of the weights, on a quadrature of another order.
    W, panels = tent(), Panels.smooth(tent(), order=9)
    gnde, x0, ts = MODELS.draw(3)
    target, change = replace(x0, sample=1), replace(x0, sample=2)
    u = panels.nodes

    def loss(step):
        X = GraphonNDE(gnde, W, panels)(lambda v: x0(v) + step * change(v), ts[[0, -1]])[0, -1]
        return float(0.5 * (X - target(u)[0]).square().sum(-1) @ panels.weights)

    found = limit_gradients(gnde, W, x0, target, ts, u)
    h = 1e-4
    with torch.no_grad():
        by_state = (loss(h) - loss(-h)) / (2 * h)
        direction = torch.randn(len(found.parameters), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        weights = torch.nn.utils.parameters_to_vector(gnde.parameters())
        moved = []
        for step in (h, -h):
            torch.nn.utils.vector_to_parameters(weights + step * direction, gnde.parameters())
            moved.append(loss(0.0))
    assert float((found.adjoint * change(u)[0]).sum(-1) @ panels.weights) == pytest.approx(by_state, rel=1e-6)
    assert float(found.parameters @ direction) == pytest.approx((moved[0] - moved[1]) / (2 * h), rel=1e-6)


def test_the_limit_gradient_is_that_of_a_fine_graph():
    # Three times as many nodes, a ninth of the difference: midpoints of thirds are midpoints of wholes again.
    W, n = tent(), 30
    gnde, x0, ts = MODELS.draw(1)
    target = replace(x0, sample=1)
    u = sample_graph(W, n).positions
    limit = limit_gradients(gnde, W, x0, target, ts, u)
    differences = []
    for q in (3, 9, 27):
        graph = sample_graph(W, q * n)
        fine = graph_gradients(gnde, graph, x0(graph.positions), target(graph.positions), ts).adjoint[q // 2 :: q]
        differences.append(float((fine - limit.adjoint).abs().max()))
    assert differences[0] / differences[1] == pytest.approx(9, rel=0.02)
    assert differences[1] / differences[2] == pytest.approx(9, rel=0.02)


def test_adjoints_are_found_at_points_as_at_quadrature_nodes():
    gnde, x0, ts = MODELS.draw(0)
    target = replace(x0, sample=1)
    coarse, fine = Panels.smooth(tent()), Panels.smooth(tent(), order=18)
    apart = limit_gradients(gnde, tent(), x0, target, ts, fine.nodes, coarse).adjoint
    within = limit_gradients(gnde, tent(), x0, target, ts, fine.nodes, fine).adjoint
    assert torch.allclose(apart, within, rtol=0, atol=1e-11)


def test_no_error_where_there_is_nothing_between_graph_and_limit():
    # Without S (one tap) nodes do not see each other: every n gives the limit's adjoint.
    gnde = GraphNDE((1, 3, 1), taps=1, solver={"method": "RK4", "step": 0.25}).double()
    ts = torch.tensor([0.0, 1.0], dtype=torch.float64)
    x0 = FourierFeature(0, modes=2)
    u = sample_graph(tent(), 7).positions
    target = replace(x0, sample=1)
    found = graph_gradients(gnde, sample_graph(tent(), 7), x0(u), target(u), ts)
    limit = limit_gradients(gnde, tent(), x0, target, ts, u)
    assert torch.allclose(found.adjoint, limit.adjoint, rtol=1e-13, atol=1e-13)


def test_bad_arguments_are_refused():
    gnde, x0, ts = MODELS.draw(0)
    rough = FourierFeature(0, features=2, modes=200, decay=0.0)
    with pytest.raises(ValueError, match="gradient is in doubt"):
        adjoint_error(gnde, tent(), 400, rough, rough, ts)
    with pytest.raises(ValueError, match="adjoint_error: expected float64"):
        adjoint_error(gnde.float(), tent(), 20, x0, x0, ts)
    with pytest.raises(ValueError, match="all or none divisible by the 32 blocks"):
        study_adjoint(hsbm(5), [64, 97, 128])
    with pytest.raises(ValueError, match="density: expected 1, or in"):
        study_adjoint(tent(), [20, 40, 80], sparsity=0.5)
