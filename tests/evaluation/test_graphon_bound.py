from math import exp

import pytest
import torch

from opnet.evaluation import graphon_bound
from opnet.evaluation.convergence import measure_convergence
from opnet.evaluation.graphon_bound import a_priori_bound, filter_gains, step_operator
from opnet.evaluation.graphon_study import UntrainedGNDE, split_error
from opnet.graphs.features import FourierFeature
from opnet.graphs.graphons import arithmetic_mean, checkerboard, hsbm, tent, weierstrass
from opnet.graphs.limit import Panels
from opnet.graphs.sampling import sample_graph
from opnet.linops.dense import Dense
from opnet.linops.operator_norm import operator_norm
from opnet.models.blocks.activations import LIPSCHITZ
from opnet.models.blocks.graph_filter import GraphFilter
from opnet.models.blocks.time_basis import TimeBasis
from opnet.models.graph_nde import GraphNDE

TIMES = torch.linspace(0, 1, 5, dtype=torch.float64)
CASES = {
    "tent": (tent(), 40, {}),
    "tent, Bernoulli": (tent(), 60, {"regime": "random"}),
    "hsbm": (hsbm(3), 41, {"regime": "cell"}),
    "tent, zero diagonal": (tent(), 40, {"keep_diagonal": False}),
    "tent, sparse": (tent(), 60, {"regime": "random", "density": 0.3}),
    "tent, uniform nodes": (tent(), 40, {"nodes": "uniform"}),
    "arithmetic mean, linspace": (arithmetic_mean(), 40, {"nodes": "linspace"}),
    "checkerboard": (checkerboard(4), 41, {"regime": "centre"}),
    "rough": (weierstrass(), 41, {}),
}
QUICK = list(CASES)[:3]
EACH = QUICK + [pytest.param(case, marks=pytest.mark.slow) for case in list(CASES)[3:]]
# A model of one layer, for what no model enters.
PLAIN = UntrainedGNDE(features=(1, 1), modes=2)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def filter_of(*shape, activation=None, basis=None):
    basis = TimeBasis() if basis is None else basis
    return GraphFilter(*shape, activation, basis).double()


def models(activation):
    return UntrainedGNDE(taps=3, activation=activation, modes=3)


@pytest.mark.parametrize("case", EACH)
def test_holds(case):
    W, n, options = CASES[case]
    gnde, x0, ts = models("tanh").draw(0)
    bound = a_priori_bound(gnde, W, n, x0, ts, **options)
    assert bound.observed == split_error(gnde, W, n, x0, ts, **options)["total"]
    assert bound.holds
    assert 0 < bound.observed <= bound.residual <= bound.value <= bound.fully_a_priori
    assert bound.ratios["residual form"] < 6


def test_holds_for_the_operator_alone():
    gnde, _, ts = models("tanh").draw(0)
    bound = a_priori_bound(gnde, hsbm(3), 41, lambda u: u.new_ones(1, len(u), 2), ts, regime="cell")
    assert bound.feature == 0
    assert 0 < bound.observed <= bound.residual <= bound.value <= bound.fully_a_priori
    assert bound.ratios["residual form"] < 6


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_holds_for_every_seed(case):
    W, n, options = CASES[case]
    for seed in range(1, 5):
        gnde, x0, ts = models(("tanh", "gelu")[seed % 2]).draw(seed)
        bound = a_priori_bound(gnde, W, n, x0, ts, seed=seed, **options)
        assert bound.observed <= bound.residual <= bound.value <= bound.fully_a_priori


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["relu", "softplus", "sin"])
def test_holds_for_every_activation(activation):
    gnde, x0, ts = models(activation).draw(3)
    bound = a_priori_bound(gnde, arithmetic_mean(), 30, x0, ts)
    assert bound.observed <= bound.residual <= bound.value <= bound.fully_a_priori


@pytest.mark.parametrize("rho", LIPSCHITZ, ids=lambda rho: rho.__name__)
def test_lipschitz_constants_are_the_least(rho):
    x = torch.linspace(-20, 20, 400_001, dtype=torch.float64)
    steepest = float((rho(x).diff() / x.diff()).abs().max())
    assert steepest <= LIPSCHITZ[rho] * (1 + 1e-9)
    assert steepest == pytest.approx(LIPSCHITZ[rho], rel=1e-6)


def test_sharp_for_growth_without_a_graph():
    # One tap: X' = h X + b, so that the error of the start grows by exp(int h) exactly.
    basis = {"kind": "piecewise", "terms": 4, "horizon": 2.0}
    gnde = GraphNDE((1, 1), 1, "tanh", basis, {"method": "RK4", "step": 0.05}).double()
    h = [0.3, 1.5, 0.2, 9.0]
    gnde.layers[0].weight.data[:, 0, 0, 0] = torch.tensor(h, dtype=torch.float64)
    ts = torch.tensor([0.0, 0.5, 1.0, 1.2], dtype=torch.float64)
    x0 = FourierFeature(0, modes=2)
    bound = a_priori_bound(gnde, tent(), 50, x0, ts)
    growth = exp(0.5 * h[0] + 0.5 * h[1] + 0.2 * h[2])
    assert bound.value == pytest.approx(growth * bound.feature, rel=1e-12)
    assert bound.residual == pytest.approx(bound.value, rel=1e-12)
    assert bound.observed == pytest.approx(bound.value, rel=1e-2)


def test_only_the_feature_is_left_where_blocks_are_aligned():
    gnde, x0, ts = models("tanh").draw(0)
    bound = a_priori_bound(gnde, hsbm(3), 48, x0, ts, regime="cell")
    assert bound.eps < 1e-14
    growth = exp(float(bound.L.mean()) * float(ts[-1]))
    for name in ("residual form", "bound", "fully a priori"):
        assert bound.curves[name] == pytest.approx(growth * bound.feature, rel=1e-12)
    assert bound.observed <= bound.value


def test_scales_with_the_feature_of_a_linear_equation():
    gnde, x0, ts = PLAIN.draw(0)
    gnde.layers[0].bias.data.zero_()
    one = a_priori_bound(gnde, hsbm(2), 31, x0, ts, regime="cell")
    ten = a_priori_bound(gnde, hsbm(2), 31, lambda u: 10 * x0(u), ts, regime="cell")
    for name, value in one.curves.items():
        assert ten.curves[name] == pytest.approx(10 * value, rel=1e-9)
    assert (ten.eps, ten.s) == (one.eps, one.s)
    torch.testing.assert_close(ten.C, 10 * one.C)


@pytest.mark.slow
def test_falls_at_the_rates_of_theory():
    def bound_at(n, seed):
        gnde, x0, ts = models("tanh").draw(seed)
        bound = a_priori_bound(gnde, tent(), n, x0, ts)
        return {**bound.curves, "eps": bound.eps}

    study = measure_convergence(bound_at, [50, 100, 200], seeds=[0])
    for part, order in study.order.items():
        assert order == pytest.approx(-1, abs=0.03), part


@pytest.mark.parametrize("case", QUICK[1:])
def test_norms_of_the_operators_against_fine_matrices(case):
    # T_W and T_{W_n} on q n midpoints, q large, whose matrices are symmetric.
    W, n, options = CASES[case]
    q = 24
    u = (torch.arange(n * q).double() + 0.5) / (n * q)
    A = sample_graph(W, n, **options).shift.to_dense() * n
    step = A.repeat_interleave(q, 0).repeat_interleave(q, 1)
    fine = W(u[:, None], u[None, :])
    gnde, x0, ts = PLAIN.draw(0)
    bound = a_priori_bound(gnde, W, n, x0, ts, **options)
    spectrum = torch.linalg.eigvalsh((step - fine) / len(u)).abs().max()
    assert bound.eps == pytest.approx(float(spectrum), rel=1e-2)
    largest = max(float(torch.linalg.eigvalsh(matrix / len(u)).abs().max()) for matrix in (step, fine))
    assert largest * (1 - 1e-4) <= bound.s <= 1.005 * largest


def test_step_operator_averages_over_cells():
    panels = Panels.merged(hsbm(2), 6)
    u, w = panels.nodes, panels.weights
    S = random(6, 6)
    cell = (u * 6).long()
    g = random(len(u), 2)
    means = torch.stack([(w[cell == i, None] * g[cell == i]).sum(0) * 6 for i in range(6)])
    T = step_operator(Dense(S), panels)
    torch.testing.assert_close(T.columns(g), (S @ means)[cell])
    torch.testing.assert_close(T.transpose().to_dense(), T.to_dense().T)


@pytest.mark.parametrize("taps", [1, 2, 3, 5])
def test_gain_is_the_supremum(taps):
    s = 0.9
    layer = filter_of(3, 4, taps, activation=torch.nn.functional.gelu)
    layer.weight.data.copy_(random(*layer.weight.shape, seed=taps))
    (gain,), (sensitivity,) = filter_gains(layer, s, torch.zeros(1).double())
    lam = torch.linspace(-s, s, 20_001, dtype=torch.float64)
    H = layer.weight.detach()[0]
    values = torch.linalg.matrix_norm(sum(lam[:, None, None] ** k * H[k] for k in range(taps)), 2)
    supremum = LIPSCHITZ[layer.activation] * float(values.max())
    assert supremum * (1 - 1e-12) <= float(gain) <= supremum * (1 + 1e-3)
    (any_gain,), (same,) = filter_gains(layer, s, torch.zeros(1).double(), symmetric=False)
    assert float(any_gain) >= float(gain) * (1 - 1e-12)
    assert float(same) == float(sensitivity)
    if taps == 1:
        assert float(sensitivity) == 0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("symmetric", [True, False])
def test_gains_bound_what_a_layer_does(symmetric, seed):
    basis = TimeBasis("fourier", 3)
    layer = filter_of(3, 2, 4, activation=torch.tanh, basis=basis)
    t = torch.tensor([0.3], dtype=torch.float64)
    S, change = random(8, 8, seed=seed), 0.1 * random(8, 8, seed=seed + 10)
    if symmetric:
        S, change = S + S.T, change + change.T
    s = max(float(torch.linalg.matrix_norm(M, 2)) for M in (S, S + change))
    S, change, s = S / s, change / s, 1.0
    X, X_other = random(8, 1, 3, seed=seed), random(8, 1, 3, seed=seed + 20)
    (gain,), (sensitivity,) = filter_gains(layer, s, t, symmetric=symmetric)
    with torch.no_grad():
        moved = (layer(Dense(S), X_other, t[0]) - layer(Dense(S), X, t[0])).norm()
        shifted = (layer(Dense(S + change), X, t[0]) - layer(Dense(S), X, t[0])).norm()
    assert moved <= gain * (X_other - X).norm()
    assert shifted <= sensitivity * torch.linalg.matrix_norm(change, 2) * X.norm()


def test_the_gain_is_attained_by_a_linear_layer():
    layer = filter_of(2, 2, 3)
    lam = torch.linspace(-1, 1, 201, dtype=torch.float64)
    with torch.no_grad():
        H = layer.weight[0]
        matrix = sum(torch.kron(torch.diag(lam**k), H[k].T.contiguous()) for k in range(3))
    (gain,), _ = filter_gains(layer, 1.0, torch.zeros(1).double())
    assert float(gain) == pytest.approx(operator_norm(Dense(matrix)), rel=5e-3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fourier", "polynomial", "piecewise"])
def test_integrals_over_time_are_resolved(kind, monkeypatch):
    basis = {"kind": kind, "terms": 3, "horizon": 1.0}
    gnde, x0, _ = UntrainedGNDE(time_basis=basis, modes=2).draw(0)
    ts = torch.tensor([0.0, 1.3], dtype=torch.float64)
    coarse = a_priori_bound(gnde, hsbm(1), 9, x0, ts, regime="cell")
    monkeypatch.setattr(graphon_bound, "_INSTANTS", 512)
    fine = a_priori_bound(gnde, hsbm(1), 9, x0, ts, regime="cell")
    for name in ("residual form", "bound", "fully a priori"):
        assert coarse.curves[name] == pytest.approx(fine.curves[name], rel=1e-3)


def test_records():
    gnde, x0, ts = PLAIN.draw(0)
    bound = a_priori_bound(gnde, arithmetic_mean(), 20, x0, ts)
    rows = bound.records(graphon="arithmetic_mean", n=20, seed=0)
    found = {(row["name"], row.get("part")): row["value"] for row in rows}
    assert found["error_bound", "bound"] == bound.value
    assert found["bound_over_error", "residual form"] == bound.residual / bound.observed
    assert found["bound_eps", None] == bound.eps
    assert all(row["n"] == 20 for row in rows)


def test_a_bound_that_overflows_is_no_record():
    gnde, x0, _ = UntrainedGNDE(features=(1, 1), taps=1, modes=1).draw(0)
    gnde.layers[0].weight.data[:] = 0
    gnde.layers[0].weight.data[0] = -1000.0
    bound = a_priori_bound(gnde, arithmetic_mean(), 10, x0, 0.8 * TIMES)
    assert bound.value == float("inf")
    assert bound.holds
    assert "bound" not in {row.get("part") for row in bound.records()}


def test_arguments_are_checked():
    gnde, x0, ts = PLAIN.draw(0)
    with pytest.raises(ValueError, match="float64"):
        a_priori_bound(gnde.float(), tent(), 20, x0, ts)
    gnde.double()
    with pytest.raises(ValueError, match="ts: expected at least two ascending times"):
        a_priori_bound(gnde, tent(), 20, x0, ts.flip(0))
    with pytest.raises(ValueError, match="x0: expected one function, found a batch of 2"):
        a_priori_bound(gnde, tent(), 20, lambda u: x0(u).repeat(2, 1, 1), ts)
    layer = filter_of(1, 1, 2, activation=torch.exp)
    with pytest.raises(ValueError, match="filter_gains: expected an activation"):
        filter_gains(layer, 1.0, ts)
