"""Laws of every registered stepper: a class that registers gets them all, in the form of the field that it needs."""

import math
from functools import cache
from itertools import pairwise

import pytest
import torch
from ode_forms import METHODS, NOISE, form_name, is_adaptive, solve

from opnet.linops.diagonal import Diagonal
from opnet.solvers.ode.control import PID
from opnet.solvers.ode.fields import SDE, Field, Semilinear, Separable, Split
from opnet.solvers.ode.methods.dop853 import DOP853
from opnet.solvers.ode.methods.torchdiffeq import TorchDiffEq
from opnet.solvers.ode.problem import Problem
from opnet.solvers.ode.solve import solve_ode
from opnet.solvers.ode.stepper import Stepper

DTYPES = [torch.float32, torch.float64]
CONTROLS = {"per sample": False, "joint": True}
EQUAL = {name: method for name, method in METHODS.items() if not is_adaptive(method)}
ADAPTIVE = {name: method for name, method in METHODS.items() if is_adaptive(method)}
STEPPERS = {name: method for name, method in METHODS.items() if isinstance(method, Stepper)}
# The members of each family that are tried at every run; the others are with `-m slow`.
FIRST = {"Euler", "RK4", "Dopri5", "Dopri5 equal", "DOP853", "Rodas5P", "Rodas4 equal", "Kvaerno3", "Kvaerno3 equal"}
FIRST |= {"ARK4", "ETDRK4", "Leapfrog", "EulerMaruyama", "TorchDiffEq", "TorchDiffEq rk4"}


def each(methods):
    return [name if name in FIRST else pytest.param(name, marks=pytest.mark.slow) for name in methods]


def skip(reason):
    if reason:
        pytest.skip(reason)


def stochastic(method):
    return "its own tests measure it, over many paths" if form_name(method) == "SDE" else None


def f(t, y):
    """Nonlinear and not autonomous, each entry by itself: y' = cos(t) y^2, y = 1 / (1 / y0 - sin t)."""
    return torch.cos(t) * y**2


def exact(y0, ts):
    return 1 / (1 / y0 - torch.sin(ts.to(y0.dtype)).reshape(-1, *(1,) * y0.ndim))


def step_of(method, length):
    return None if is_adaptive(method) else length


START = torch.tensor([[0.2, -0.5], [0.6, 0.1], [-0.3, 0.4]], dtype=torch.float64)
TIMES = torch.linspace(0, 1, 5, dtype=torch.float64)


# Orders.

# Problems of each form in which nothing cancels to make a method look better than it is, on states of four entries.


def pendulum(t, y):
    """Driven and damped by time."""
    q, p = y[..., :2], y[..., 2:]
    return torch.cat([p, -2 * torch.sin(q) * (1 + 0.3 * q.flip(-1)) + torch.cos(3 * t) * (0.5 + p) / 2], -1)


def _force(t, q):
    return -2 * torch.sin(q) * (1 + 0.3 * q.flip(-1)) + torch.cos(3 * t) * (1 + 0.2 * q)


def _velocity(t, p):
    return p * (1 + 0.2 * torch.sin(2 * t)) + 0.1 * p.flip(-1) ** 2


RATES = torch.tensor([-1.0, -0.5, -2.0, 0.3], dtype=torch.float64)
STATE = torch.tensor([[0.3, -0.4, 0.8, 0.5]], dtype=torch.float64)
ORDER_FIELDS = {
    "Field": Field(pendulum),
    "Split": Split(pendulum, lambda t, y: RATES * torch.sin(y) + 0.1 * torch.cos(2 * t) * y.flip(-1)),
    "Semilinear": Semilinear(Diagonal(RATES), pendulum),
    "Separable": Separable(_velocity, _force),
}


def start_of(form):
    return (STATE[:, :2], STATE[:, 2:]) if form == "Separable" else STATE


def joined(ys):
    return torch.cat(ys, -1) if isinstance(ys, tuple) else ys


@cache
def reference(form, first, last):
    """The solution from first to last, and at a third of the way."""
    ts = torch.tensor([first, first + (last - first) / 3, last], dtype=torch.float64)
    solution = solve_ode(ORDER_FIELDS[form], start_of(form), ts, DOP853(), rtol=1e-13, atol=1e-14)
    return joined(solution.ys)[1:]


def error_at_end(method, span, steps):
    form = form_name(method)
    ts = torch.tensor(span, dtype=torch.float64)
    step = abs(span[1] - span[0]) / steps
    ys = joined(solve_ode(ORDER_FIELDS[form], start_of(form), ts, method, step=step).ys)
    return float(torch.linalg.vector_norm(ys[-1] - reference(form, *span)[-1]))


STEPS = {1: 256, 2: 64, 3: 64, 4: 192, 5: 160, 6: 32, 8: 8}  # where orders show, above the rounding range


@pytest.mark.parametrize("name", each(EQUAL))
@pytest.mark.parametrize("span", [(0.0, 2.0), (2.0, 0.0)], ids=["forward", "backward"])
def test_observed_order(name, span):
    method = EQUAL[name]
    skip(stochastic(method))
    steps = STEPS[method.order]
    errors = [error_at_end(method, span, n) for n in (steps // 2, steps)]
    assert errors[-1] > 1e-13  # above the rounding range
    assert abs(math.log2(errors[0] / errors[1]) - method.order) < 0.2, (steps, errors)


@pytest.mark.parametrize("name", each(STEPPERS))
@pytest.mark.parametrize("span", [(0.0, 1.0), (1.0, 0.0)], ids=["forward", "backward"])
def test_continuous_extension_has_the_order_it_says(name, span):
    method = STEPPERS[name]
    skip(stochastic(method))
    skip(None if method.dense_order else "has no continuous extension: its steps end at the times asked for")
    form, (first, last) = form_name(method), span
    errors = []
    for h in (0.2, 0.1, 0.05):
        ts = torch.tensor([first, first + (last - first) * h * 0.37, first + (last - first) * h], dtype=torch.float64)
        solution = solve_ode(
            ORDER_FIELDS[form], start_of(form), ts[[0, 2]], method, step=h, rtol=1.0, atol=1e3, dense=True
        )
        assert solution.steps.tolist() == [1]
        fine = solve_ode(ORDER_FIELDS[form], start_of(form), ts, DOP853(), rtol=1e-13, atol=1e-14)
        errors.append(float(torch.linalg.vector_norm(joined(solution.dense(ts[1])) - joined(fine.ys)[1])))
    slopes = [math.log2(a / b) for a, b in pairwise(errors)]
    assert errors[-1] < 1e-13 or max(slopes) > method.dense_order + 1 - 0.4, (errors, slopes)  # one order higher: local


# Accuracy.


@pytest.mark.parametrize("name", each(METHODS))
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("joint", CONTROLS.values(), ids=CONTROLS)
def test_solves_a_batch_at_every_time_and_dtype(name, dtype, joint):
    method = METHODS[name]
    y0, ts = START.to(dtype), TIMES.to(dtype)
    solution, ys = solve(method, f, y0, ts, step=step_of(method, 1 / 32), control=PID(joint=joint))
    tolerance = 30 * NOISE if form_name(method) == "SDE" else {1: 3e-2, 2: 2e-3}.get(method.order, 5e-4)
    torch.testing.assert_close(ys, exact(y0, ts), rtol=tolerance, atol=max(tolerance, 1e-5))
    assert ys.dtype == dtype
    assert torch.equal(ys[0], y0)
    assert solution.status.tolist() == [0, 0, 0]
    assert solution.evaluations > 0


MULTIPLE = 20  # of rtol + atol, in the error of an adaptive method on a problem that does not amplify errors


@pytest.mark.parametrize("name", each(ADAPTIVE))
@pytest.mark.parametrize("joint", CONTROLS.values(), ids=CONTROLS)
def test_error_follows_the_tolerance(name, joint):
    method = ADAPTIVE[name]
    skip(stochastic(method))
    errors = []
    tolerances = (1e-3, 1e-5, 1e-7)
    for rtol in tolerances:
        _, ys = solve(method, f, START, TIMES, rtol=rtol, atol=rtol / 10, control=PID(joint=joint))
        errors.append(float((ys - exact(START, TIMES)).abs().max()))
    assert all(e <= MULTIPLE * rtol for e, rtol in zip(errors, tolerances, strict=True)), errors
    assert errors[2] < 0.1 * errors[0], errors


# A batch is its elements.


def alone(method, y0, ts, i, **options):
    return solve(method, f, y0[i : i + 1], ts if ts.ndim == 1 else ts[i], **options)


@pytest.mark.parametrize("name", each(METHODS))
def test_each_element_has_what_it_has_alone(name):
    method = METHODS[name]
    skip("takes one step for the batch" if method == TorchDiffEq() else stochastic(method))
    options = {"step": step_of(method, 1 / 16)}
    together, ys = solve(method, f, START, TIMES, **options)
    for i in range(3):
        one, y = alone(method, START, TIMES, i, **options)
        torch.testing.assert_close(y[:, 0], ys[:, i], rtol=1e-11, atol=1e-13)
        assert one.status.shape == (1,)
        if together.steps is not None:
            assert (one.steps, one.rejected) == (together.steps[i], together.rejected[i])


@pytest.mark.parametrize("name", each(STEPPERS))
def test_elements_may_have_times_of_their_own(name):
    method = STEPPERS[name]
    skip(stochastic(method))
    ts = torch.stack([TIMES, 0.3 + 0.5 * TIMES, 2 * TIMES - 1])
    options = {"step": step_of(method, 1 / 16)}
    _, ys = solve(method, f, START, ts, **options)
    for i in range(3):
        if is_adaptive(method):
            _, y = alone(method, START, ts, i, **options)
            torch.testing.assert_close(y[:, 0], ys[:, i], rtol=1e-11, atol=1e-13)
        else:  # as many steps as the longest interval needs
            _, y = alone(method, START, ts, i, step=1e-9 + float(ts[i, 1] - ts[i, 0]) / 8)
            torch.testing.assert_close(y[:, 0], ys[:, i], rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", each(STEPPERS))
def test_one_step_for_the_batch_is_that_of_one_large_element(name):
    method = STEPPERS[name]
    skip(stochastic(method))
    options = {"step": step_of(method, 1 / 16)}
    solution, ys = solve(method, f, START, TIMES, control=PID(joint=True), **options)
    _, expected = solve(method, f, START.reshape(1, 6), TIMES, **options)
    rtol = 1e-4 if is_adaptive(method) else 1e-11  # estimates and stage equations may have norms by element
    torch.testing.assert_close(ys.reshape(5, 1, 6), expected, rtol=rtol, atol=1e-13)
    assert len(set(solution.steps.tolist())) == 1


@pytest.mark.parametrize("name", each(ADAPTIVE))
def test_elements_that_are_done_are_dropped_unseen(name):
    """One that closes over values of each element is computed whole to the end."""
    method = ADAPTIVE[name]
    skip("takes one step for the batch" if method == TorchDiffEq() else stochastic(method))
    speed = torch.tensor([[0.1], [1.0], [12.0]], dtype=torch.float64)
    dropping, ys = solve(method, lambda t, y, w: w * torch.cos(w * t) * y, START, TIMES, args=(speed,))
    keeping, expected = solve(method, lambda t, y: speed * torch.cos(speed * t) * y, START, TIMES)
    torch.testing.assert_close(ys, expected, rtol=1e-11, atol=1e-13)
    assert dropping.steps.tolist() == keeping.steps.tolist()
    assert int(dropping.steps.max()) > 2 * int(dropping.steps.min())


@pytest.mark.parametrize("name", each(METHODS))
def test_one_time_is_the_start(name):
    y0 = torch.ones(3, 2)
    solution, ys = solve(METHODS[name], f, y0, torch.zeros(1))
    assert torch.equal(ys, y0[None])
    assert solution.status.tolist() == [0, 0, 0]


# Forms of states.

FORMS_OF_STATE = {
    "one element": lambda y: y[0],
    "a tensor of three dimensions": lambda y: y.reshape(3, 2, 1),
    "a tuple": lambda y: (y[:, :1], y[:, 1:, None]),
    "a dict": lambda y: {"q": y[:, :1], "p": y[:, 1:, None]},
}


def _map(function, state):
    if isinstance(state, dict):
        return {key: function(leaf) for key, leaf in state.items()}
    return function(state) if isinstance(state, torch.Tensor) else tuple(map(function, state))


def _flat(ys, batch):
    leaves = ys.values() if isinstance(ys, dict) else ys if isinstance(ys, tuple) else (ys,)
    return torch.cat([leaf.reshape(len(leaf), batch, -1) for leaf in leaves], -1)


STRUCTURES = {
    "Field": lambda g: Field(g),
    "Split": lambda g: Split(lambda t, y: _map(torch.neg, y), lambda t, y: _plus(g(t, y), y)),
    "SDE": lambda g: SDE(g, lambda t, y: _map(torch.zeros_like, y), noise="additive"),
}


def _plus(a, b):
    return (
        {k: a[k] + b[k] for k in a}
        if isinstance(a, dict)
        else (a + b if isinstance(a, torch.Tensor) else tuple(x + y for x, y in zip(a, b, strict=True)))
    )


@pytest.mark.parametrize("name", each(METHODS))
@pytest.mark.parametrize("form", FORMS_OF_STATE)
def test_states_of_every_form_are_the_same_numbers(name, form):
    method = METHODS[name]
    structure = form_name(method)
    skip(f"the state of {structure} has a form of its own" if structure in ("Semilinear", "Separable") else None)
    state = FORMS_OF_STATE[form]

    def g(t, y):
        t = t.reshape(()) if t.numel() == 1 else t.reshape(-1)
        return _map(lambda leaf: torch.cos(t.reshape(-1, *(1,) * (leaf.ndim - 1)) if t.ndim else t) * leaf**2, y)

    options = {"step": step_of(method, 1 / 16)}
    field = STRUCTURES[structure](g)
    solution = solve_ode(field, state(START), TIMES, method, **options)
    rows = START[:1] if form == "one element" else START
    expected = solve_ode(field, rows, TIMES, method, **options)
    torch.testing.assert_close(_flat(solution.ys, len(rows)), expected.ys, rtol=1e-10, atol=1e-12)
    assert solution.status.shape == expected.status.shape


# Gradients.


@pytest.mark.parametrize("name", each(EQUAL))
@pytest.mark.parametrize("own_times", [False, True], ids=["shared times", "own times"])
def test_gradient_is_that_of_the_discrete_solution(name, own_times):
    method = EQUAL[name]
    skip("has shared times" if own_times and isinstance(method, TorchDiffEq) else None)
    ts = torch.tensor([0.0, 0.4, 1.0], dtype=torch.float64)
    ts = torch.stack([ts, 1.5 * ts]) if own_times else ts

    def loss(y0, a, ts):
        _, ys = solve(method, lambda t, y: a * torch.sin(t + y), y0, ts, step=0.31)
        return ys.square().sum()

    y0 = torch.tensor([[0.3], [0.7]], dtype=torch.float64)
    a = torch.tensor(1.3, dtype=torch.float64)
    inputs = (y0.requires_grad_(), a.requires_grad_(), ts.requires_grad_(form_name(method) != "SDE"))
    assert torch.autograd.gradcheck(loss, inputs, eps=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", each(ADAPTIVE))
@pytest.mark.parametrize("joint", CONTROLS.values(), ids=CONTROLS)
def test_gradient_of_an_adaptive_method_is_that_of_the_solution(name, joint):
    method = ADAPTIVE[name]
    skip(stochastic(method))
    y0 = START.clone().requires_grad_()
    a = torch.tensor(1.1, dtype=torch.float64, requires_grad=True)
    ts = TIMES[[0, 2, 4]].clone().requires_grad_()
    _, ys = solve(method, lambda t, y: a * torch.cos(t) * y**2, y0, ts, rtol=1e-8, atol=1e-10, control=PID(joint=joint))
    true = 1 / (1 / y0 - a * (torch.sin(ts) - torch.sin(ts[0])).reshape(-1, 1, 1))
    inputs = (y0, a, ts)
    mine, theirs = (torch.autograd.grad(x.square().sum(), inputs) for x in (ys, true))
    for got, expected in zip(mine, theirs, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


# One step.


def posed(method, keep=False, joint=False):
    """A problem in the form of a method, in rows, with the carry of its first step."""
    form = form_name(method)
    field = ORDER_FIELDS[form] if form != "SDE" else SDE(pendulum, lambda t, y: 0.1 + 0 * y, noise="additive")
    rows = torch.cat([STATE, -STATE, 0.5 * STATE])
    y0 = (rows[:, :2], rows[:, 2:]) if form == "Separable" else rows
    problem = Problem(field, y0, joint=joint, rtol=1e-5, atol=1e-7, keep=keep, estimates=False)
    times = rows.new_tensor([[0.1], [0.2], [0.4]])
    t, h = (0.1, 0.05) if joint else (times, 0.5 * times)
    return problem, t, h, method.start(problem, t, problem.y0, problem.f(t, problem.y0))


def tensors_of(step):
    found = [step.y, *step.carry]
    found += [] if step.error is None else [step.error]
    return found + ([] if step.interpolant is None else [step.interpolant()(0.3, None)])


@pytest.mark.parametrize("name", each(STEPPERS))
@pytest.mark.parametrize("joint", CONTROLS.values(), ids=CONTROLS)
def test_a_step_is_a_pure_function(name, joint):
    method = STEPPERS[name]
    problem, t, h, carry = posed(method, joint=joint)
    y, before = problem.y0.clone(), [c.clone() for c in carry]
    first = [x.clone() for x in tensors_of(method.step(problem, t, y, h, carry))]
    again = tensors_of(method.step(problem, t, y, h, carry))
    assert all(map(torch.equal, first, again))
    assert torch.equal(y, problem.y0)
    assert all(map(torch.equal, before, carry))


@pytest.mark.parametrize("name", each(STEPPERS))
def test_what_is_kept_outlives_the_next_step(name):
    method = STEPPERS[name]
    problem, t, h, carry = posed(method, keep=True)
    step = method.step(problem, t, problem.y0, h, carry)
    kept = tensors_of(step)
    copies = [x.clone() for x in kept]
    method.step(problem, t + h, step.y, 0.5 * h, step.carry)
    assert all(map(torch.equal, kept, copies))
    assert all(map(torch.equal, tensors_of(step), copies))


@pytest.mark.parametrize("name", each(STEPPERS))
def test_a_step_of_zero_leaves_the_state(name):
    method = STEPPERS[name]
    problem, t, h, carry = posed(method)
    full = method.step(problem, t, problem.y0, h, carry)
    h = h.clone()
    h[1] = 0
    step = method.step(problem, t, problem.y0, h, carry)
    assert torch.equal(step.y[1], problem.y0[1])
    torch.testing.assert_close(step.y[[0, 2]], full.y[[0, 2]], rtol=1e-13, atol=1e-15)
    assert step.error is None or not step.error[1].any()


@pytest.mark.parametrize("name", each(STEPPERS))
@pytest.mark.parametrize("joint", CONTROLS.values(), ids=CONTROLS)
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, 1e300], ids=str)
def test_a_failing_row_changes_no_other(name, joint, bad):
    method = STEPPERS[name]
    problem, t, h, carry = posed(method, joint=joint)
    clean = method.step(problem, t, problem.y0, h, carry)
    expected = [x.clone() for x in tensors_of(clean)]
    y = problem.y0.clone()
    y[1, 0] = bad
    carry = method.start(problem, t, y, problem.f(t, y))
    step = method.step(problem, t, y, h, carry)
    for mine, theirs in zip(tensors_of(step), expected, strict=True):
        assert torch.equal(mine[[0, 2]], theirs[[0, 2]])
    if not math.isfinite(bad):
        failed = step.failed is not None and bool(step.failed[1])
        assert failed or not torch.isfinite(step.y[1]).all()
    if step.failed is not None:
        assert not step.failed[[0, 2]].any()
