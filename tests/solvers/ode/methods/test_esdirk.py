import math

import numpy as np
import pytest
import torch
from marching import march, problem_of
from scipy.integrate import solve_ivp

from opnet.linops.dense import Dense
from opnet.solvers.linear.direct import DirectSolver
from opnet.solvers.linear.gmres import GMRES
from opnet.solvers.linear.surrogate import Surrogate
from opnet.solvers.ode.fields import Field, Split
from opnet.solvers.ode.methods.esdirk import KenCarp4, Kvaerno3, Kvaerno5
from opnet.solvers.ode.solve import solve_ode

D = torch.float64
KINDS = [Kvaerno3, KenCarp4, Kvaerno5]
kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def pendulum(t, y):
    """Driven, and damped by time."""
    return torch.cat([y[:, 1:], -4 * torch.sin(y[:, :1]) + torch.cos(3 * t) * (1 + y[:, 1:])], 1)


def van_der_pol(t, y, mu):
    return torch.cat([y[:, 1:], mu * ((1 - y[:, :1] ** 2) * y[:, 1:] - y[:, :1])], 1)


def robertson(t, y):
    a, b, c = y.unbind(-1)
    slow, fast, last = 0.04 * a, 1e4 * b * c, 3e7 * b**2
    return torch.stack([fast - slow, slow - fast - last, last], -1)


@kinds
@pytest.mark.parametrize(
    "span", [(0.0, 3.0), pytest.param((3.0, 0.0), marks=pytest.mark.slow)], ids=["forward", "backward"]
)
def test_observed_order(kind, span):
    y0 = torch.tensor([[0.3, 0.8], [1.0, -0.4]], dtype=D)
    fine = march(Kvaerno5(adaptive=False), Field(pendulum), y0, *span, 250)
    errors = [float((march(kind(adaptive=False), Field(pendulum), y0, *span, n) - fine).abs().max()) for n in (32, 64)]
    assert errors[-1] > 1e-11
    assert math.log2(errors[0] / errors[1]) == pytest.approx(kind().order, abs=0.2)


@kinds
def test_order_of_the_continuous_extension_and_of_the_error_estimate(kind):
    y0, t0 = torch.tensor([[0.3, 0.8]], dtype=D), 0.2
    dense, estimate = [], []
    for h in (0.1, 0.05):
        problem = problem_of(Field(pendulum), y0)
        method = kind(adaptive=False)
        step = method.step(problem, t0, y0, h, method.start(problem, t0, y0, problem.f(t0, y0)))
        at = step.interpolant()
        middle = march(Kvaerno5(adaptive=False), Field(pendulum), y0, t0, t0 + 0.4 * h, 20)
        dense.append(float((at(0.4, None) - middle).abs().max()))
        estimate.append(float(step.error.abs().max()))
        torch.testing.assert_close(at(1.0, None), step.y)
    assert math.log2(dense[0] / dense[1]) == pytest.approx(kind().dense_order + 1, abs=0.4)
    assert math.log2(estimate[0] / estimate[1]) == pytest.approx(kind().error_order, abs=0.4)


@kinds
def test_stiff_van_der_pol_each_element_with_its_own_steps(kind):
    mu = torch.tensor([[10.0], [100.0], [1000.0]], dtype=D)
    y0, ts = torch.tensor([[2.0, 0.0]], dtype=D).repeat(3, 1), torch.tensor([0.0, 0.7], dtype=D)
    sol = solve_ode(Field(van_der_pol, args=(mu,)), y0, ts, kind(), rtol=1e-6, atol=1e-8)
    for i, m in enumerate(mu[:, 0].tolist()):
        exact = solve_ivp(
            lambda t, y, m=m: [y[1], m * ((1 - y[0] ** 2) * y[1] - y[0])],
            (0, 0.7),
            [2, 0],
            "Radau",
            rtol=1e-10,
            atol=1e-12,
        )
        np.testing.assert_allclose(sol.ys[-1, i], exact.y[:, -1], rtol=2e-5)
    assert int(sol.steps.max()) < 1000  # an explicit method needs over 1000 for mu = 1000 alone


@kinds
def test_a_conserved_sum_as_an_algebraic_equation(kind):
    """Robertson's reactions to t = 1e4, as differential equations and with y_1 + y_2 + y_3 = 1 in place of the last."""

    def constrained(t, y):
        return torch.cat([robertson(t, y)[..., :2], y.sum(-1, keepdim=True) - 1], -1)

    y0, ts = torch.tensor([1.0, 0.0, 0.0], dtype=D), torch.tensor([0.0, 1e4], dtype=D)
    mass = torch.diag(torch.tensor([1.0, 1.0, 0.0], dtype=D))
    exact = solve_ivp(
        lambda t, y: robertson(t, torch.from_numpy(y)).numpy(), (0, 1e4), [1.0, 0, 0], "Radau", rtol=1e-10, atol=1e-14
    ).y[:, -1]
    for field in (Field(robertson), Field(constrained, mass=mass)):
        sol = solve_ode(field, y0, ts, kind(), rtol=1e-6, atol=1e-11)
        np.testing.assert_allclose(sol.ys[-1], exact, rtol=2e-5)


def reaction_diffusion(n):
    dx = 1 / (n + 1)

    def f(t, y):
        padded = torch.nn.functional.pad(y, (1, 1))
        return 0.01 * (padded[:, 2:] - 2 * y + padded[:, :-2]) / dx**2 + 5 * y * (1 - y) * (y + 0.2)

    x = torch.linspace(dx, 1 - dx, n, dtype=D)
    return f, torch.stack([torch.sin(math.pi * x), torch.exp(-100 * (x - 0.5) ** 2)])


def test_large_states_factorised_coloured_and_by_krylov_agree():
    n = 500
    f, y0 = reaction_diffusion(n)
    ts = torch.tensor([0.0, 0.1], dtype=D)
    band = torch.ones(n, n).tril(1).triu(-1).bool()
    near = torch.eye(n, dtype=D) - 0.005 * torch.func.jacrev(lambda y: f(0.0, y[None])[0])(torch.zeros(n, dtype=D))
    preconditioned = GMRES(preconditioner=Surrogate(Dense(near), DirectSolver()))
    solve = {"rtol": 1e-6, "atol": 1e-8}
    dense = solve_ode(Field(f), y0, ts, Kvaerno5(), **solve).ys[-1]
    coloured = solve_ode(Field(f, sparsity=band), y0, ts, Kvaerno5(), **solve).ys[-1]
    torch.testing.assert_close(coloured, dense, rtol=1e-11, atol=1e-11)
    for linear in (GMRES(), preconditioned):
        krylov = solve_ode(Field(f), y0, ts, Kvaerno5(linear=linear), **solve).ys[-1]
        assert 0 < float((krylov - dense).abs().max()) < 2e-7


def test_states_of_any_form_by_krylov():
    """Heat on a 2-D grid beside a number: the operator acts on rows; on a grid alone, on the grid."""

    def heat(u):
        return 50 * (torch.nn.functional.pad(u, (1, 1, 1, 1)).unfold(1, 3, 1).unfold(2, 3, 1) * KERNEL).sum((-1, -2))

    u0 = torch.rand(2, 6, 5, generator=torch.Generator().manual_seed(0), dtype=D)
    ts = torch.tensor([0.0, 0.1], dtype=D)
    alone = solve_ode(lambda t, u: heat(u), u0, ts, Kvaerno5(linear=GMRES())).ys[-1]
    pair = solve_ode(
        lambda t, y: {"u": heat(y["u"]), "m": y["u"].mean((1, 2))[:, None]},
        {"u": u0, "m": torch.zeros(2, 1, dtype=D)},
        ts,
        Kvaerno5(linear=GMRES()),
    ).ys
    exact = solve_ode(lambda t, u: heat(u), u0, ts, Kvaerno5(), rtol=1e-9, atol=1e-11).ys[-1]
    torch.testing.assert_close(alone, exact, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(pair["u"][-1], exact, rtol=1e-4, atol=1e-5)
    assert bool((pair["m"][-1] > 0).all())


KERNEL = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]], dtype=D)


@kinds
@pytest.mark.parametrize("joint", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_gradients(kind, joint):
    """To y0, t, h, parameters and the mass matrix, of the state, the estimates and the continuous extension."""
    y0 = torch.tensor([[1.5, 0.3], [0.2, -1.0]], dtype=D, requires_grad=True)
    t0 = torch.tensor(0.2 if joint else [[0.2], [0.5]], dtype=D, requires_grad=True)
    h = torch.tensor(0.1 if joint else [[0.1], [-0.07]], dtype=D, requires_grad=True)
    a = torch.tensor(1.3, dtype=D, requires_grad=True)
    mass = torch.tensor([[2.0, 0.3], [0.1, 1.0]], dtype=D, requires_grad=True)

    def run(y0, t0, h, a, mass):
        problem = problem_of(Field(lambda t, y: a * pendulum(t, y), mass=mass), y0, joint=joint)
        problem.keep = problem.estimates = True
        method = kind(adaptive=False)
        t, y, out = t0, y0, []
        carry = method.start(problem, t, y, problem.f(t, y))
        for _ in range(2):
            step = method.step(problem, t, y, h, carry)
            out += [step.error, step.interpolant()(0.3, None)]
            out += [step.stiffness()] if kind is Kvaerno3 else []  # of order 5 the differences round too much
            t, y, carry = t + h, step.y, step.carry
        return (y, *out)

    assert torch.autograd.gradcheck(run, (y0, t0, h, a, mass))


def test_gradients_by_krylov_are_those_by_factors():
    y0 = torch.tensor([[1.5, 0.3], [0.2, -1.0]], dtype=D, requires_grad=True)
    a = torch.tensor(1.3, dtype=D, requires_grad=True)
    gradients = []
    for linear in (None, GMRES()):
        method = Kvaerno5(adaptive=False, linear=linear)
        y = march(method, Field(lambda t, y: a * pendulum(t, y)), y0, 0.0, 1.0, 4)
        gradients.append(torch.autograd.grad(y.square().sum(), (y0, a)))
    for ours, exact in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, exact, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
def test_gradients_through_an_adaptive_solve():
    mu = torch.tensor([[2.0], [8.0]], dtype=D, requires_grad=True)
    y0 = torch.tensor([[2.0, 0.0], [1.8, -0.1]], dtype=D)
    ts = torch.tensor([0.0, 0.3], dtype=D)

    def loss(mu, **settings):
        return solve_ode(Field(van_der_pol, args=(mu,)), y0, ts, Kvaerno5(), **settings).ys[-1].square().sum()

    (gradient,) = torch.autograd.grad(loss(mu, rtol=1e-8, atol=1e-10), mu)
    with torch.no_grad():
        for i in range(2):
            e = torch.zeros_like(mu)
            e[i] = 1e-3
            difference = (loss(mu + e, rtol=1e-10, atol=1e-12) - loss(mu - e, rtol=1e-10, atol=1e-12)) / 2e-3
            assert float(gradient[i]) == pytest.approx(float(difference), rel=1e-4)


@kinds
def test_a_stiff_decay_is_damped_in_one_long_step(kind):
    y0 = torch.tensor([[1.0]], dtype=D)
    y = march(kind(adaptive=False), Field(lambda t, y: -1e8 * (y - torch.cos(t))), y0, 0.0, 1.0, 4)
    assert float(y) == pytest.approx(math.cos(1), abs=1e-7)


@pytest.mark.parametrize("kind", [Kvaerno3, Kvaerno5], ids=lambda kind: kind.__name__)
def test_stiffness_is_the_eigenvalue(kind):
    problem = problem_of(Field(lambda t, y: -30 * (y - torch.sin(t))), torch.tensor([[1.0], [0.5]], dtype=D))
    method = kind()
    step = method.step(problem, 0.0, problem.y0, 0.02, method.start(problem, 0.0, problem.y0, -30 * problem.y0))
    torch.testing.assert_close(step.stiffness(), torch.full((2, 1), 30.0, dtype=D), rtol=1e-4, atol=0)
    assert KenCarp4().tableau.pair_at_end is False
    still = problem_of(Field(lambda t, y: 0 * y), problem.y0)
    step = method.step(still, 0.0, still.y0, 0.02, (0 * still.y0,))
    assert step.stiffness().tolist() == [[0.0], [0.0]]


@kinds
@pytest.mark.parametrize("adaptive", [True, False])
def test_one_bad_element_fails_alone(kind, adaptive):
    def f(t, y):
        return torch.where((t > 0.5) & (y[:, :1] > 0), torch.nan, -y)

    y0, ts = torch.tensor([[1.0], [-0.1], [-1.0]], dtype=D), torch.tensor([0.0, 1.0], dtype=D)
    sol = solve_ode(f, y0, ts, kind(adaptive=adaptive), step=0.01, throw=False)
    assert [bool(s) for s in sol.status] == [True, False, False]
    assert 0.3 < float(sol.reached[0]) <= 0.51
    torch.testing.assert_close(sol.ys[-1, 1:], y0[1:] * math.exp(-1), rtol=1e-4, atol=1e-5)


def test_inconsistent_algebraic_components_are_moved():
    """y' = -z, 0 = z - y, from z = 2 y."""
    mass = torch.diag(torch.tensor([1.0, 0.0], dtype=D))
    f = Field(lambda t, y: torch.stack([-y[..., 1], y[..., 1] - y[..., 0]], -1), mass=mass)
    ts = torch.tensor([0.0, 1.0], dtype=D)
    sol = solve_ode(f, torch.tensor([[1.0, 2.0], [1.0, 1.0]], dtype=D), ts, Kvaerno5())
    torch.testing.assert_close(sol.ys[-1], torch.full((2, 2), math.exp(-1), dtype=D), rtol=1e-4, atol=1e-5)


@kinds
def test_single_precision(kind):
    y0, ts, mu = torch.tensor([[2.0, 0.0], [1.0, 0.5]]), torch.linspace(0, 1, 4), torch.tensor([[5.0], [100.0]])
    sol = solve_ode(Field(van_der_pol, args=(mu,)), y0, ts, kind(), rtol=1e-4, atol=1e-5)
    fine = solve_ode(Field(van_der_pol, args=(mu.to(D),)), y0.to(D), ts.to(D), KenCarp4(), rtol=1e-7, atol=1e-9)
    assert sol.ys.dtype == torch.float32
    torch.testing.assert_close(sol.ys, fine.ys.float(), rtol=1e-2, atol=1e-2)


def test_what_it_refuses():
    y = torch.ones(1, 1)
    with pytest.raises(ValueError, match=r"f: Kvaerno5 needs the structure of Field.*, found Split"):
        march(Kvaerno5(), Split(lambda t, y: y, lambda t, y: y), y, 0.0, 1.0, 1)
    with pytest.raises(ValueError, match=r"Kvaerno5.iterations: expected at least 1, found 0"):
        Kvaerno5(iterations=0)
