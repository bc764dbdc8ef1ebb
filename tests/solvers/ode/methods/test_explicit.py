import numpy as np
import pytest
import scipy.integrate
import torch

from opnet.solvers.ode.fields import Field
from opnet.solvers.ode.methods.dop853 import DOP853
from opnet.solvers.ode.methods.explicit import BS3, RK4, Dopri5, Euler, Heun, Midpoint, Tsit5
from opnet.solvers.ode.problem import Problem

METHODS = [Euler(), Midpoint(), Heun(), RK4(), BS3(), Dopri5(), Tsit5(), DOP853()]
PAIRS = [method for method in METHODS if method.adaptive]
RTOL, ATOL = 1e-5, 1e-7


def named(methods):
    return pytest.mark.parametrize("method", methods, ids=lambda method: type(method).__name__)


def pendulum(t, y):
    """Driven: (batch, 2), not autonomous."""
    return torch.stack([y[..., 1], -4 * torch.sin(y[..., 0]) + torch.cos(3 * t)[..., 0] * (1 + y[..., 1])], -1)


def shared(t, y):
    """The same, of a time without dimensions."""
    return pendulum(t.reshape(1), y)


def start(dtype=torch.float64):
    return torch.tensor([[0.3, 0.8], [-0.7, 0.2], [1.1, -0.4]], dtype=dtype)


def problem_of(f=pendulum, y0=None, *, joint=False, keep=False, estimates=False):
    y0 = start() if y0 is None else y0
    return Problem(Field(f), y0, joint=joint, rtol=RTOL, atol=ATOL, keep=keep, estimates=estimates)


def times_of(y, *values):
    return [torch.full((len(y), 1), value, dtype=torch.float64) for value in values]


def stepped(method, f=pendulum, y0=None, h=0.1, *, t=0.2, **options):
    """The first step, each element with a step of its own."""
    problem = problem_of(f, y0, **options)
    t, h = (x[0] if isinstance(x, list) else x for x in (times_of(problem.y0, t), h))
    h = h if isinstance(h, torch.Tensor) else times_of(problem.y0, h)[0]
    carry = method.start(problem, t, problem.y0, problem.f(t, problem.y0))
    return method.step(problem, t, problem.y0, h, carry)


@named(METHODS)
def test_every_form_of_time_gives_the_same_step(method):
    rows = stepped(method)
    for t, h in ((0.2, 0.1), torch.tensor([0.2, 0.1], dtype=torch.float64).unbind()):
        problem = problem_of(shared, joint=True)
        step = method.step(problem, t, problem.y0, h, method.start(problem, t, problem.y0, problem.f(t, problem.y0)))
        torch.testing.assert_close(step.y, rows.y, rtol=1e-14, atol=1e-15)
        if method.adaptive:
            torch.testing.assert_close(step.error, rows.error, rtol=1e-9, atol=1e-15)


@named(METHODS)
@pytest.mark.parametrize("theta", [0.3, torch.tensor([[0.3]]), torch.tensor(0.3)], ids=["number", "rows", "scalar"])
def test_single_precision_stays_single(method, theta):
    step = stepped(method, y0=start(torch.float32))
    tensors = [step.y, step.interpolant()(theta, None), *step.carry]
    tensors += [step.error] if method.adaptive else []
    tensors += [step.stiffness()] if step.stiffness else []
    assert {tensor.dtype for tensor in tensors} == {torch.float32}
    torch.testing.assert_close(step.y.double(), stepped(method).y, rtol=1e-5, atol=1e-6)


@named(METHODS)
def test_a_step_is_pure_and_outlives_the_next_if_kept(method):
    problem = problem_of(keep=True)
    t, h = times_of(problem.y0, 0.2, 0.1)
    carry = method.start(problem, t, problem.y0, problem.f(t, problem.y0))
    first = method.step(problem, t, problem.y0, h, carry)
    values = [first.y.clone(), *(k.clone() for k in first.carry)]
    second = method.step(problem, t + h, first.y, h, first.carry)
    assert not torch.equal(second.y, first.y)
    again = method.step(problem, t, problem.y0, h, carry)
    for value, one, other in zip(values, (first.y, *first.carry), (again.y, *again.carry), strict=True):
        assert torch.equal(value, one)
        assert torch.equal(value, other)
    assert torch.equal(first.interpolant()(0.4, None), again.interpolant()(0.4, None))


@named(METHODS)
def test_a_resting_row_stays_and_a_failing_one_fails_alone(method):
    y0 = start()
    y0[2] = torch.nan
    step = stepped(method, y0=y0, h=torch.tensor([[0.0], [0.1], [0.1]], dtype=torch.float64))
    alone = stepped(method)
    assert torch.equal(step.y[0], y0[0])
    torch.testing.assert_close(step.y[1], alone.y[1], rtol=1e-15, atol=0)
    assert step.y[2].isnan().any()
    inside = step.interpolant()(0.5, None)
    assert inside[:2].isfinite().all()
    assert inside[2].isnan().any()
    if method.adaptive:
        assert step.error[0].eq(0).all()
        assert step.error[1].isfinite().all()
        assert step.error[2].isnan().any()
    if step.stiffness:
        assert step.stiffness()[:2].isfinite().all()
        assert step.stiffness()[2].isnan().all()


@named(METHODS)
def test_extension_joins_both_ends_in_value_and_slope(method):
    step, small = stepped(method), 1e-5
    at = step.interpolant()
    torch.testing.assert_close(at(0.0, None), start(), rtol=0, atol=1e-15)
    torch.testing.assert_close(at(1.0, None), step.y, rtol=0, atol=1e-14)
    for theta, y in ((0.0, start()), (1.0, step.y)):
        slope = (at(theta + small, None) - at(theta - small, None)) / (2 * small * 0.1)
        time = times_of(y, 0.2 + 0.1 * theta)[0]
        torch.testing.assert_close(slope, pendulum(time, y), rtol=1e-7, atol=1e-7)


@named(METHODS)
def test_extension_of_some_rows_is_theirs(method):
    at = stepped(method).interpolant()
    rows, theta = torch.tensor([2, 0, 2]), torch.tensor([[0.1], [0.5], [0.9]], dtype=torch.float64)
    for row, share, value in zip(rows.tolist(), theta[:, 0].tolist(), at(theta, rows), strict=True):
        torch.testing.assert_close(value, at(share, None)[row], rtol=1e-14, atol=1e-15)


@named(METHODS)
def test_evaluations(method):
    problem = problem_of()
    t, h = times_of(problem.y0, 0.2, 0.1)
    carry = method.start(problem, t, problem.y0, problem.f(t, problem.y0))
    before = problem.evaluations
    step = method.step(problem, t, problem.y0, h, carry)
    assert problem.evaluations - before == method.tableau.stages - method.tableau.first_same_as_last
    before = problem.evaluations
    step.interpolant()
    extra = {"DOP853": 3, "BS3": 0, "Dopri5": 0, "Tsit5": 0}.get(type(method).__name__, 1)
    assert problem.evaluations - before == extra


@named(METHODS)
def test_extension_may_be_made_twice(method):
    step = stepped(method)
    assert torch.equal(step.interpolant()(0.3, None), step.interpolant()(0.3, None))


@named(PAIRS)
def test_equal_steps_need_no_error_estimate_unless_it_is_wanted(method):
    equal = type(method)(adaptive=False)
    assert not equal.adaptive
    assert stepped(equal).error is None
    assert torch.equal(stepped(equal, estimates=True).error, stepped(method).error)
    assert torch.equal(stepped(equal).y, stepped(method).y)


@named([BS3(), Dopri5(), DOP853()])
def test_a_step_is_scipys(method):
    name = {"BS3": "RK23", "Dopri5": "RK45"}.get(type(method).__name__, "DOP853")
    h = 0.15
    y0 = start()[:1]
    step = stepped(method, y0=y0, h=h, t=0.2)

    def f(t, y):
        return pendulum(torch.tensor([t], dtype=torch.float64), torch.from_numpy(y)).numpy()

    peer = getattr(scipy.integrate, name)(f, 0.2, y0[0].numpy(), 10.0, rtol=1e3, atol=1e3, first_step=h)
    peer.step()
    assert peer.t == 0.2 + h
    np.testing.assert_allclose(step.y[0], peer.y, rtol=1e-14)
    at, dense = step.interpolant(), peer.dense_output()
    for theta in (0.1, 0.45, 0.8):
        np.testing.assert_allclose(at(theta, None)[0], dense(0.2 + theta * h), rtol=1e-13)
    size = ATOL + RTOL * np.maximum(np.abs(y0[0].numpy()), np.abs(peer.y))
    ours = np.linalg.norm(step.error[0].numpy() / size) / 2**0.5
    assert ours == pytest.approx(peer._estimate_error_norm(peer.K, h, size), rel=1e-8)


@named([Dopri5(), Tsit5(), DOP853()])
def test_stiffness_is_the_dominant_eigenvalue(method):
    def decay(t, y):
        return -torch.tensor([[2.0], [30.0], [0.0]], dtype=torch.float64) * y

    stiffness = stepped(method, decay, h=0.01).stiffness()
    torch.testing.assert_close(stiffness, torch.tensor([[2.0], [30.0], [0.0]]).double(), rtol=1e-4, atol=0)

    def linear(t, y):
        return y @ torch.tensor([[-50.0, 49.0], [49.0, -50.0]], dtype=torch.float64)

    y0 = torch.tensor([[1.0, 0.4]], dtype=torch.float64)
    assert float(stepped(method, linear, y0, 0.03).stiffness()) == pytest.approx(99, rel=0.01)


@named([Euler(), Midpoint(), Heun(), RK4(), BS3()])
def test_methods_whose_last_stages_are_of_different_times_do_not_estimate_stiffness(method):
    assert stepped(method).stiffness is None


@named([Dopri5(), Tsit5(), DOP853()])
def test_estimates_have_gradients_where_they_are_wanted(method):
    def estimates(a, scale=1e4):
        step = stepped(method, lambda t, y: a * pendulum(t, y), h=0.3, estimates=True)
        return scale * step.error, step.stiffness()

    a = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(estimates, (a,), atol=1e-6)
    step = stepped(method, lambda t, y: a * pendulum(t, y))
    assert step.y.requires_grad
    assert not step.error.requires_grad
    assert not step.stiffness().requires_grad


@named([Dopri5(), Tsit5(), DOP853()])
def test_estimates_that_vanish_have_finite_gradients(method):
    a = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    step = stepped(method, lambda t, y: a * torch.ones_like(y), estimates=True)
    assert step.error.abs().max() < 1e-15
    (slope,) = torch.autograd.grad(step.error.sum() + step.stiffness().sum(), a)
    assert slope.isfinite()
    still = stepped(method, lambda t, y: a * 0 * y, estimates=True)
    assert still.stiffness().eq(0).all()
    (slope,) = torch.autograd.grad(still.error.sum() + still.stiffness().sum(), a)
    assert slope == 0


@named(METHODS)
def test_step_and_extension_are_differentiated_exactly(method):
    def values(y0, t, h):
        problem = problem_of(shared, y0, joint=True)
        carry = method.start(problem, t, y0, problem.f(t, y0))
        step = method.step(problem, t, y0, h, carry)
        return step.y, step.interpolant()(0.4, None)

    inputs = start(), *torch.tensor([0.2, 0.1], dtype=torch.float64).unbind()
    assert torch.autograd.gradcheck(values, [x.clone().requires_grad_() for x in inputs])
