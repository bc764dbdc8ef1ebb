import numpy as np
import pytest
import torch

from opnet.solvers.ode.fields import Field, Split
from opnet.solvers.ode.methods import rosenbrock
from opnet.solvers.ode.methods.rosenbrock import Rodas4, Rodas5P
from opnet.solvers.ode.problem import Problem
from opnet.solvers.ode.solve import solve_ode

F64 = torch.float64
METHODS = [Rodas4(), Rodas5P("5P"), Rodas5P("5Pe"), Rodas5P("5Pr")]
each = pytest.mark.parametrize("method", METHODS, ids=["Rodas4", "5P", "5Pe", "5Pr"])


def _problem(f, y, *, joint=False, keep=False, **structure):
    return Problem(Field(f, **structure), y, joint=joint, rtol=1e-5, atol=1e-7, keep=keep, estimates=False)


def _step(method, f, y, t=0.0, h=0.1, **options):
    problem = _problem(f, y, **options)
    method.start(problem, t, y, problem.f(t, y))
    return method.step(problem, t, y, h, ())


def _pair(t, y):
    """Nonlinear and non-autonomous, solved by `_exact`."""
    a, b = y[:, :1], y[:, 1:]
    sine, cosine, decay = torch.sin(t) + 2, torch.cos(t), torch.exp(-t) + 1
    return torch.cat([a * b - sine * decay + cosine, sine**2 - a**2 + b * (decay - b) - torch.exp(-t)], 1)


def _exact(t):
    t = torch.as_tensor(t, dtype=F64)
    return torch.stack([torch.sin(t) + 2, torch.exp(-t) + 1], -1)


@each
@pytest.mark.parametrize("form", ["number", "scalar", "rows"])
def test_observed_order_of_step_estimate_and_extension(method, form):
    errors = []
    for h in (0.05, 0.025):
        y = _exact(0.3)[None]
        t, length = 0.3, h
        if form != "number":
            shape = () if form == "scalar" else (1, 1)
            t, length = (torch.full(shape, x, dtype=F64) for x in (0.3, h))
        step = _step(method, _pair, y, t, length, joint=form != "rows")
        middle = step.interpolant()(0.4, None)
        errors.append(
            [
                (step.y - _exact(0.3 + h)).norm(),
                step.error.norm(),
                (middle - _exact(0.3 + 0.4 * h)).norm(),
            ]
        )
    one, estimate, dense = (torch.tensor(errors[0]) / torch.tensor(errors[1])).log2().tolist()
    assert one == pytest.approx(method.order + 1, abs=0.2)
    assert estimate == pytest.approx(method.error_order, abs=0.2)
    assert dense == pytest.approx(method.dense_order + 1, abs=0.2)


@each
def test_rows_are_what_they_are_alone(method):
    y = torch.randn(4, 2, dtype=F64, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([[0.0], [0.5], [1.0], [2.0]], dtype=F64)
    h = torch.tensor([[0.1], [0.0], [-0.3], [0.7]], dtype=F64)
    step = _step(method, _pair, y, t, h)
    torch.testing.assert_close(step.y[1], y[1], rtol=0, atol=0)
    for i in (0, 2, 3):
        alone = _step(method, _pair, y[i : i + 1], float(t[i]), float(h[i]), joint=True)
        torch.testing.assert_close(step.y[i : i + 1], alone.y)
        torch.testing.assert_close(step.error[i : i + 1], alone.error)
        theta = torch.tensor([[0.3]], dtype=F64)
        found = step.interpolant()(theta, torch.tensor([i]))
        torch.testing.assert_close(found, alone.interpolant()(0.3, None))


@each
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_dtype_and_damping_of_what_is_stiff(method, dtype):
    y = torch.ones(2, 2, dtype=dtype)
    rates = torch.tensor([-1e6, -1.0], dtype=dtype)
    step = _step(method, lambda t, y: rates * y, y, torch.zeros(2, 1, dtype=F64), torch.full((2, 1), 0.1, dtype=F64))
    theta = torch.full((2, 1), 0.5, dtype=F64)
    assert {x.dtype for x in (step.y, step.error, step.interpolant()(theta, torch.arange(2)))} == {dtype}
    assert step.y[:, 0].abs().max() < 1e-3
    torch.testing.assert_close(step.y[:, 1], torch.full((2,), np.exp(-0.1), dtype=dtype), rtol=1e-5, atol=0)


@each
def test_large_systems_are_factorised(method, monkeypatch):
    n = 12
    A = torch.randn(n, n, dtype=F64, generator=torch.Generator().manual_seed(1))
    y = torch.randn(3, n, dtype=F64, generator=torch.Generator().manual_seed(2))

    def f(t, y):
        return torch.tanh(y @ A.T) - t * y

    h = torch.full((3, 1), 0.1, dtype=F64)
    by_lu = _step(method, f, y, h, h)
    monkeypatch.setattr(rosenbrock, "LARGEST_INVERSE", n)
    torch.testing.assert_close(by_lu.y, _step(method, f, y, h, h).y, rtol=1e-12, atol=1e-13)


@each
@pytest.mark.parametrize("n", [2, 12])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, 0.0])
def test_a_row_without_a_solution_fails_alone(method, n, bad):
    """The last equation is algebraic, `0 = rate (y_1 - y_n)`; without a rate it determines nothing."""
    h, rate = torch.full((3, 1), 1 / 8, dtype=F64), torch.ones(3, 1, dtype=F64)
    rate[1] = bad
    mass = torch.eye(n, dtype=F64)
    mass[-1, -1] = 0

    def f(t, y, rate):
        return torch.cat([-y[:, :-1], rate * (y[:, :1] - y[:, -1:])], 1)

    step = _step(method, f, torch.ones(3, n, dtype=F64), 0 * h, h, args=(rate,), mass=mass)
    assert bool(step.failed[1]) or not step.y[1].isfinite().all()
    assert bool(step.failed[1]) or bad != 0
    assert not step.failed[[0, 2]].any()
    torch.testing.assert_close(step.y[[0, 2]], torch.full((2, n), np.exp(-1 / 8), dtype=F64), rtol=1e-5, atol=0)


@each
@pytest.mark.parametrize("n", [1, 2, 12])
@pytest.mark.parametrize("compiling", [False, True])
def test_an_infinite_jacobian_is_no_step_that_stays(method, n, compiling, monkeypatch):
    """`y' = 1 + y^(1/3)` leaves 0, although (1 / (gamma h) - Inf)^-1 is 0."""
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: compiling)
    y = torch.ones(3, n, dtype=F64)
    y[1] = 0
    h = torch.full((3, 1), 0.1, dtype=F64)
    step = _step(
        method, lambda t, y: 1 + y ** (1 / 3), y, h, h, jacobian=lambda t, y: torch.diag_embed(y ** (-2 / 3) / 3)
    )
    assert step.failed[1] or not step.y[1].isfinite().any()
    assert not step.failed[[0, 2]].any()
    assert (step.y[[0, 2]] > 1.2).all()


@each
@pytest.mark.parametrize("n", [1, 2, 8])
@pytest.mark.parametrize("joint", [False, True])
def test_what_the_compiler_traces_is_the_same_step(method, n, joint, monkeypatch):
    """With Jacobians by forward mode and inverses by elementwise operations, for each form of f's structure."""
    generator = torch.Generator().manual_seed(n)
    y, rates = (torch.randn(3, n, dtype=F64, generator=generator) for _ in range(2))
    h = torch.full(() if joint else (3, 1), 0.2, dtype=F64)

    def f(t, y, rates):
        return torch.cos(t + y.flip(1)) - rates.abs() * y**3

    def jacobian(t, y, rates):
        return torch.diag_embed(-3 * rates.abs() * y**2) - torch.diag_embed(torch.sin(t + y.flip(1))).flip(2)

    mass = torch.eye(n, dtype=F64) + torch.ones(n, n, dtype=F64)
    for structure in ({}, {"jacobian": jacobian}, {"mass": mass}):
        problem = _problem(f, y, joint=joint, args=(rates,), **structure)
        steps, counts = [], [0]
        for compiling in (False, True):
            monkeypatch.setattr(torch.compiler, "is_compiling", lambda compiling=compiling: compiling)
            step = method.step(problem, 2 * h, y, h, ())
            steps.append((step.y, step.error, step.failed, step.interpolant()(0.3, None)))
            counts.append(problem.evaluations)
        torch.testing.assert_close(*steps, rtol=1e-11, atol=1e-13)
        assert counts[2] == 2 * counts[1]


@each
def test_gradients_of_a_step(method):
    y = torch.tensor([[0.5, -0.3], [1.0, 0.7]], dtype=F64, requires_grad=True)
    t = torch.tensor([[0.1], [0.4]], dtype=F64, requires_grad=True)
    h = torch.tensor([[0.2], [0.1]], dtype=F64, requires_grad=True)
    a = torch.tensor([[1.0], [3.0]], dtype=F64, requires_grad=True)
    c = torch.tensor(0.7, dtype=F64, requires_grad=True)

    def at(y, t, h, a, c):
        def f(t, y, a):
            return torch.cat([c * torch.cos(t) * y[:, 1:], a * (1 - y[:, :1] ** 2) * y[:, 1:] - y[:, :1]], 1)

        problem = Problem(Field(f, (a,)), y, joint=False, rtol=1e-5, atol=1e-7, keep=True, estimates=True)
        step = method.step(problem, t, y, h, ())
        return step.y, step.interpolant()(0.3, None), step.error, step.stiffness()

    assert torch.autograd.gradcheck(at, (y, t, h, a, c))


def test_error_estimates_carry_gradients_only_when_asked():
    y = torch.ones(1, 2, dtype=F64, requires_grad=True)
    for method in METHODS:
        assert not _step(method, _pair, y).error.requires_grad


def test_stiffness_is_the_dominant_eigenvalue():
    A = torch.tensor([[-100.0, 3.0], [0.0, -1.0]], dtype=F64)
    step = _step(Rodas4(), lambda t, y: y @ A.T, torch.ones(1, 2, dtype=F64))
    assert float(step.stiffness()) == pytest.approx(100, rel=1e-2)


def test_nothing_is_overwritten_where_steps_are_kept():
    y = torch.ones(1, 2, dtype=F64)
    problem = _problem(_pair, y, keep=True)
    method = Rodas5P()
    first = method.step(problem, 0.0, y, 0.1, ())
    before = first.interpolant()(0.5, None)
    method.step(problem, 0.1, first.y, 0.1, ())
    torch.testing.assert_close(first.interpolant()(0.5, None), before, rtol=0, atol=0)


class TestMass:
    mass = torch.tensor([[2.0, 1.0], [0.5, 3.0]], dtype=F64)

    @each
    def test_regular(self, method):
        y = torch.tensor([[1.0, 0.5]], dtype=F64)
        plain = _step(method, lambda t, y: torch.linalg.solve(self.mass, _pair(t, y).T).T, y)
        step = _step(method, _pair, y, mass=self.mass)
        torch.testing.assert_close(step.y, plain.y)
        torch.testing.assert_close(step.error, plain.error)
        torch.testing.assert_close(step.interpolant()(0.3, None), plain.interpolant()(0.3, None))

    @each
    def test_robertson_as_differential_algebraic_system(self, method):
        """The third equation is the conservation of mass. (Hairer and Wanner II, eq. IV.1.4; against Radau.)"""

        def rates(t, y):
            a, b, c = y.unbind(-1)
            first = -0.04 * a + 1e4 * b * c
            third = 3e7 * b**2
            return torch.stack([first, -first - third, third], -1)

        def f(t, y):
            return torch.cat([rates(t, y)[:, :2], y.sum(1, keepdim=True) - 1], 1)

        y0 = torch.tensor([[1.0, 0.0, 0.0]] * 2, dtype=F64)
        ts = torch.tensor([0.0, 0.4, 40.0, 4e4], dtype=F64)
        mass = torch.diag(torch.tensor([1.0, 1.0, 0.0], dtype=F64))
        sol = solve_ode(Field(f, mass=mass), y0, ts, method, rtol=1e-7, atol=1e-11, step=1e-4)
        exact = _robertson(ts.numpy())
        torch.testing.assert_close(sol.ys[1:, 0], exact[1:], rtol=1e-5, atol=1e-9)
        torch.testing.assert_close(sol.ys.sum(-1), torch.ones(4, 2, dtype=F64), rtol=0, atol=1e-9)

    def test_a_row_at_rest(self):
        def f(t, y):
            return torch.stack([-y[:, 0], y[:, 0] - y[:, 1]], 1)

        y, h = torch.ones(2, 2, dtype=F64), torch.tensor([[0.0], [0.1]], dtype=F64)
        mass = torch.diag(torch.tensor([1.0, 0.0], dtype=F64))
        step = _step(Rodas4(), f, y, 0 * h, h, mass=mass)
        torch.testing.assert_close(step.y[0], y[0], rtol=0, atol=0)
        assert not step.failed.any()
        torch.testing.assert_close(step.y[1], torch.full((2,), np.exp(-0.1), dtype=F64), rtol=1e-6, atol=0)

    @pytest.mark.parametrize("mass", [torch.eye(3, dtype=F64), torch.eye(2)])
    def test_refused(self, mass):
        with pytest.raises(ValueError, match=r"mass: expected a torch.float64 tensor of shape \(2, 2\).*, found"):
            _step(Rodas4(), _pair, torch.ones(1, 2, dtype=F64), mass=mass)


def _robertson(times):
    from scipy.integrate import solve_ivp

    def f(t, y):
        first, third = -0.04 * y[0] + 1e4 * y[1] * y[2], 3e7 * y[1] ** 2
        return [first, -first - third, third]

    sol = solve_ivp(f, times[[0, -1]], [1.0, 0.0, 0.0], "Radau", t_eval=times, rtol=1e-10, atol=1e-14)
    return torch.from_numpy(sol.y.T)


def _oscillator(t, y, mu):
    position, speed = y.unbind(1)
    return torch.stack([speed, mu[:, 0] * (1 - position**2) * speed - position], 1)


@each
@pytest.mark.parametrize("given", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_van_der_pol_of_every_stiffness_at_once(method, given):
    from scipy.integrate import solve_ivp

    mu = torch.tensor([[1.0], [10.0], [100.0], [1000.0]], dtype=F64)

    def jacobian(t, y, mu):
        position, speed = y.unbind(1)
        rows = [torch.zeros_like(speed), torch.ones_like(speed)]
        rows += [-2 * mu[:, 0] * position * speed - 1, mu[:, 0] * (1 - position**2)]
        return torch.stack(rows, 1).view(-1, 2, 2)

    field = Field(_oscillator, (mu,), jacobian=jacobian if given else None)
    y0 = torch.tensor([[2.0, 0.0]] * 4, dtype=F64)
    ts = torch.stack([0 * mu[:, 0], mu[:, 0], 2 * mu[:, 0]], 1)
    sol = solve_ode(field, y0, ts, method, rtol=1e-6, atol=1e-8)
    for i, m in enumerate(mu[:, 0].tolist()):
        exact = solve_ivp(
            lambda t, y, m=m: [y[1], m * (1 - y[0] ** 2) * y[1] - y[0]], (0, 2 * m), [2.0, 0.0], "LSODA",
            t_eval=ts[i].numpy(), rtol=1e-10, atol=1e-12,
        )  # fmt: skip
        torch.testing.assert_close(sol.ys[:, i], torch.from_numpy(exact.y.T), rtol=0, atol=2e-5)
    assert sol.steps.max() < 1100


def test_other_structures_are_refused():
    split = Split(lambda t, y: y, lambda t, y: -y)
    with pytest.raises(ValueError, match=r"Rodas4 needs the structure of Field.*found Split"):
        solve_ode(split, torch.ones(1, 1, dtype=F64), torch.tensor([0.0, 1.0], dtype=F64), Rodas4())


def test_other_estimators_are_refused():
    with pytest.raises(ValueError, match=r"Rodas5P.estimator: expected one of 5P, 5Pe, 5Pr, found '5Q'"):
        Rodas5P("5Q")
