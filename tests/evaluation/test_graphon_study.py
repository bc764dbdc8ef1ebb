import pytest
import torch

from opnet.evaluation.graphon_study import UntrainedGNDE, split_error, study_graphon
from opnet.graphs.features import FourierFeature
from opnet.graphs.graphon import EXACT
from opnet.graphs.graphons import (
    arithmetic_mean,
    checkerboard,
    exponential_of_powers,
    hsbm,
    sigmoid_of_squares,
    square_and_root,
    stochastic_block,
    tent,
    weierstrass,
)
from opnet.graphs.limit import Panels
from opnet.graphs.sampling import sample_graph
from opnet.models.graph_nde import GraphNDE
from opnet.models.graphon_nde import GraphonNDE

CASES = {
    "tent": (tent(), [201, 401, 801, 1201], {}),
    "tent, zero diagonal": (tent(), [201, 401, 801, 1201], {"keep_diagonal": False}),
    "arithmetic mean": (arithmetic_mean(), [201, 401, 801, 1601], {}),
    "hsbm": (hsbm(5), [225, 417, 833, 1665, 3329], {"regime": "cell"}),
    "checkerboard": (checkerboard(10), [201, 401, 801, 1601], {"regime": "cell"}),
    "hsbm, aligned": (hsbm(5), [224, 448, 896], {"regime": "cell"}),
    "checkerboard, aligned": (checkerboard(10), [200, 400, 800], {"regime": "cell"}),
    "blocks of any width": (stochastic_block([[0.9, 0.1], [0.1, 0.5]], [0.3, 0.7]), [201, 401, 801], {}),
    "exponential of powers": (exponential_of_powers(), [200, 400, 800], {}),
    "sigmoid of squares": (sigmoid_of_squares(), [200, 400, 800], {}),
    "weierstrass": (weierstrass(0.5), [101, 201, 401], {}),
}
ORDERS = {
    "tent": (-1, -1, -2),
    "tent, zero diagonal": (-1, -1, -1),
    "arithmetic mean": (-1, -1, -2),
    "hsbm": (-1, -0.5, -0.5),
    "checkerboard": (-1, -0.5, -0.5),
    "hsbm, aligned": (-1, EXACT, -2),
    "checkerboard, aligned": (-1, EXACT, -2),
    "blocks of any width": (-1, -0.5, None),
    "exponential of powers": (-1, -1, -1.7),
    "sigmoid of squares": (-1, -1, -2),
    "weierstrass": (-1, -0.5, None),
}


QUICK = ("tent", "hsbm", "hsbm, aligned", "weierstrass")


@pytest.mark.parametrize("case", [c if c in QUICK else pytest.param(c, marks=pytest.mark.slow) for c in CASES])
def test_orders_are_those_of_theory(case):
    W, sizes, options = CASES[case]
    study = study_graphon(W, sizes, range(2), **options)
    for part, expected in zip(("feature", "operator", "nodal"), ORDERS[case], strict=True):
        assert study[part].expected == expected
        if expected is None:
            continue
        assert study[part].agrees, (part, study[part].order, study[part].local_orders)
        if expected == EXACT:
            assert study[part].errors.max() < 1e-12
        else:
            assert abs(study[part].local_orders[-1] - expected) <= abs(study[part].order - expected) + 2e-3


def test_a_derivative_that_is_just_not_square_integrable_slows_the_operator_by_little():
    study = study_graphon(square_and_root(), [200, 400, 800], range(2))
    assert all(study[part].agrees for part in ("feature", "operator", "nodal"))
    assert -1 < study["operator"].order < -0.96


def test_random_graphs_follow_the_square_root():
    study = study_graphon(tent(), [100, 200, 400], range(4), regime="random")
    assert abs(study["operator"].order + 0.5) < 0.06
    assert abs(study["nodal"].order + 0.5) < 0.06


@pytest.mark.slow
def test_sparse_random_graphs_follow_it_in_their_mean_degree():
    study = study_graphon(tent(), [900, 1800, 3600], range(3), regime="random", sparsity=0.5)
    assert study["operator"].sizes == (30.0, 1800**0.5, 60.0)
    assert study["feature"].expected == -2
    assert study["feature"].agrees
    assert abs(study["operator"].order + 0.5) < 0.06


def test_the_part_of_time_is_that_of_the_steps():
    W, n = tent(), 30
    coarse, fine = (split_error(*_at(W, n, steps)) for steps in (8, 16))
    assert coarse["time"] / fine["time"] == pytest.approx(16, rel=0.3)  # RK4
    assert coarse["operator"] == pytest.approx(fine["operator"], rel=1e-2)
    adaptive = GraphNDE((2, 4, 2), solver={"rtol": 1e-3, "atol": 1e-3}).double()
    assert 0 < split_error(adaptive, W, n, *UntrainedGNDE().draw(0)[1:])["time"] < 1e-3


def _at(W, n, steps):
    gnde, x0, ts = UntrainedGNDE(steps=steps).draw(0)
    return gnde, W, n, x0, ts[[0, -1]]


def test_the_largest_difference_is_no_less_than_the_mean_square():
    gnde, x0, ts = UntrainedGNDE().draw(0)
    mean, largest = (split_error(gnde, tent(), 50, x0, ts, norm=norm) for norm in ("l2", "max"))
    assert all(largest[part] > mean[part] for part in ("feature", "operator", "nodal", "total"))


def test_the_bound_stands_beside_the_errors():
    study = study_graphon(arithmetic_mean(), [10, 20, 40], [0], bound=True)
    assert (study["bound"].errors > study["total"].errors).all()
    assert study["bound"].order == pytest.approx(-1, abs=0.1)


def test_parts_bound_the_total_and_are_norms_of_steps():
    # The feature error at the start alone: the distance of a function from its own step function, by brute force.
    W, n = arithmetic_mean(), 50
    gnde, x0, ts = UntrainedGNDE().draw(0)
    errors = split_error(gnde, W, n, x0, ts)
    assert errors["total"] <= errors["feature"] + errors["operator"]
    start = split_error(gnde, W, n, x0, ts[:1])
    u = (torch.arange(200_000).double() + 0.5) / 200_000
    steps = x0(sample_graph(W, n).positions)[:, (u * n).long()]
    brute = float((steps - x0(u)).square().sum(-1).mean().sqrt())
    assert start["feature"] == pytest.approx(brute, rel=1e-5)
    assert start["operator"] == 0
    assert start["nodal"] == 0


def test_operator_error_against_a_fine_graph():
    # Z by a graph of q n midpoints, q large: the same equation by another discretisation.
    W, n, q = tent(), 20, 25
    gnde, x0, ts = UntrainedGNDE(modes=3).draw(1)
    with torch.no_grad():
        steps = x0(sample_graph(W, n).positions)
        edges = torch.linspace(0, 1, n * q + 1, dtype=torch.float64)
        fine = Panels(edges, 1)
        cell = torch.arange(n * q) // q
        Z = GraphonNDE(gnde, W, fine)(lambda _: steps[:, cell], ts)
        X_n = gnde(sample_graph(W, n), steps, ts)[:, :, cell]
        brute = float((X_n - Z).square().sum(-1).mean(-1).max().sqrt())
    assert split_error(gnde, W, n, x0, ts)["operator"] == pytest.approx(brute, rel=3e-3)


def test_an_unresolved_reference_is_refused():
    gnde, _, ts = UntrainedGNDE().draw(0)
    with pytest.raises(ValueError, match="the limit is in doubt"):
        split_error(gnde, tent(), 400, FourierFeature(0, features=2, modes=200, decay=0.0), ts)


def test_arguments_are_checked():
    gnde, x0, ts = UntrainedGNDE().draw(0)
    with pytest.raises(ValueError, match="float64"):
        split_error(gnde.float(), tent(), 20, x0, ts)
    with pytest.raises(ValueError, match="norm: expected one of l2, max, found 'h1'"):
        split_error(gnde.double(), tent(), 20, x0, ts, norm="h1")
    with pytest.raises(ValueError, match="bound: expected the norm 'l2'"):
        study_graphon(tent(), [10, 20, 40], norm="max", bound=True)
    with pytest.raises(ValueError, match="sparsity: expected a number in"):
        study_graphon(tent(), [10, 20, 40], regime="random", sparsity=1.0)
    with pytest.raises(ValueError, match="all or none divisible by the 32 blocks"):
        study_graphon(hsbm(5), [64, 97, 128])
