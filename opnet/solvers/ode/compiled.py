"""Whole solves as one compiled function: the loops as `torch.while_loop` under `torch.compile`.

The step is the one that the eager loops take. What differs is how outputs are collected: an element whose step passes
more than one of the times asked for takes that step again for each of them, so that each pass of the loop stores one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from math import ceil, inf, nan
from types import FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor

from opnet.core.expect import expect
from opnet.core.status import Status
from opnet.solvers.ode.clock import Clock
from opnet.solvers.ode.coupling import COUPLED, refuse_coupled
from opnet.solvers.ode.fields import SDE
from opnet.solvers.ode.integrate import Integration
from opnet.solvers.ode.joint import Ending
from opnet.solvers.ode.layout import Layout
from opnet.solvers.ode.layout import State as Form
from opnet.solvers.ode.methods.explicit import RungeKutta
from opnet.solvers.ode.methods.rosenbrock import LARGEST_INVERSE, Rosenbrock
from opnet.solvers.ode.per_sample import Rules, State, advance, begin
from opnet.solvers.ode.problem import Problem
from opnet.solvers.ode.stages import Time
from opnet.solvers.ode.stepper import finite

WINDOW = 64  # outputs a loop holds: each pass copies them
KEPT = 64  # compiled functions that are kept
VARIANTS = 64  # and forms of what a field closes over, for each


def run_compiled(integration: Integration, y0: Form, ts: Tensor) -> tuple[Tensor, Problem, Ending]:
    """Solve from y0 at ts[:, 0], with ts (1, time) or (batch, time): rows (time, batch, n), and how each ended.

    The first call of each vector field, form of state and method compiles, for seconds. What f closes over, such as the
    parameters of a module, may change its values from call to call; numbers are compiled in, and other numbers compile
    anew. Tensors it closes over must not share memory, and the compiler takes `A.T` for another tensor: write `A.t()`.

    Raises:
        ValueError: for a method that is neither an explicit Runge-Kutta nor a Rosenbrock method, the latter for more
            than 8 entries an element, stochastic equations, gradients, an f that `torch.compile` cannot trace whole
            (for Rosenbrock methods with its derivative by forward mode), or a machine without a C++ compiler.
    """
    stepper = integration.stepper
    expected = "an explicit Runge-Kutta or a Rosenbrock method for compiled=True, such as Dopri5() or Rodas5P()"
    expect("method", stepper, (RungeKutta, Rosenbrock), expected)
    if isinstance(integration.field, SDE):
        raise ValueError("f: expected an ordinary differential equation for compiled=True, found SDE(...)")
    problem = integration.problem(y0)
    problem.seminorm = integration.seminorm
    if isinstance(stepper, Rosenbrock) and problem.y0.shape[1] > LARGEST_INVERSE:
        raise ValueError(
            f"y0: expected at most {LARGEST_INVERSE} entries an element for {type(stepper).__name__} and "
            f"compiled=True, found {problem.y0.shape[1]}"
        )
    _refuse_gradients(problem, ts)
    times = ts.detach().double()
    with torch.no_grad():
        run = _adaptive if stepper.adaptive else _equal
        ys, ending, evaluations = run(integration, problem, times)
    problem.evaluations += int(evaluations)
    return ys, problem, ending


def _refuse_gradients(problem: Problem, ts: Tensor) -> None:
    if torch.is_grad_enabled():
        k = problem.f(ts.detach()[:, :1] if len(ts) > 1 or not problem.joint else ts.detach()[0, 0], problem.y0)
        if k.requires_grad or problem.y0.requires_grad or ts.requires_grad:
            raise ValueError(
                "compiled: expected a solve without gradients (under torch.no_grad(), say), found requires_grad in y0, "
                "ts, args or what f closes over"
            )


# -- steps by the error


def _adaptive(integration: Integration, problem: Problem, ts: Tensor) -> tuple[Tensor, Ending, Tensor]:
    start, end = ts[:, :1], ts[:, -1:]
    if not problem.joint:
        start, end = start.expand(problem.count, 1), end.expand(problem.count, 1)
        middle = ts.mean(1, keepdim=True).expand(problem.count, 1)
        refuse_coupled(problem, middle, COUPLED)
    rules = Rules(problem, integration.stepper, integration.control, start, end, Clock(start, end))
    state = begin(rules, integration.step)
    if problem.joint:
        rows = (problem.count, -1)
        rules.end, rules.floor = rules.end.expand(rows), rules.floor.expand(rows)
        state = State(*(x if isinstance(x, tuple) else x.expand(rows) for x in state))  # type: ignore[arg-type]
    state = State(*map(_clone, state))
    loop = _compiled(_adaptive_loop, integration, problem)
    outputs, total = [problem.y0[None]], torch.zeros((), dtype=torch.long, device=ts.device)
    limits = [torch.tensor(x, device=ts.device) for x in (integration.max_steps, integration.rtol, integration.atol)]
    constant = integration.again(max_steps=1, rtol=1.0, atol=1.0, step=None)  # what it is compiled for
    for window, count in _windows(rules.direct(ts[:, 1:]), ahead=1):
        values = (rules.end, rules.floor, window, count, *limits)
        state, out, evaluations = _call(loop, constant, problem.layout, rules.sign, values, state)
        outputs.append(out)
        total = total + evaluations
    over = state.active & (state.tries >= integration.max_steps)
    status = torch.where(over, int(Status.MAX_STEPS), state.status)
    counts = (state.steps, state.tries - state.steps)
    ending = Ending(*(x[:, 0] for x in (status, rules.direct(state.t), *counts)))
    return torch.cat(outputs)[: ts.shape[1]], ending, total


def _adaptive_loop(
    integration: Integration, layout: Layout, sign: float, values: tuple[Tensor, ...], state: State
) -> tuple[State, Tensor, Tensor]:
    end, floor, window, count, limit, rtol, atol = values
    size = window.shape[1] - 1

    def unpack(flat: tuple[Tensor, ...]) -> tuple[State, Tensor, Tensor, Tensor]:
        following, out, evaluations, t, h, y, growth, before, status, active, steps, tries, *carry = flat
        standing = State(t, h, y, tuple(carry), growth, before, status, active, steps, tries)
        return standing, following, out, evaluations

    def pack(state: State, following: Tensor, out: Tensor, evaluations: Tensor) -> tuple[Tensor, ...]:
        t, h, y, carry, *others = state
        return (following, out, evaluations, t, h, y, *others, *carry)

    def waiting(state: State, following: Tensor) -> Tensor:
        """Elements that go on, with outputs of this window before them."""
        return state.active & (following < count) & (state.tries < limit)

    def goes_on(*flat: Tensor) -> Tensor:
        state, following, _, _ = unpack(flat)
        return waiting(state, following).any()

    def due(following: Tensor) -> Tensor:
        return torch.gather(window.expand(len(following), -1), 1, following)

    def body(*flat: Tensor) -> tuple[Tensor, ...]:
        old, following, out, evaluations = unpack(flat)
        problem = integration.problem(layout.state(old.y))
        problem.seminorm, problem.rtol, problem.atol = integration.seminorm, rtol, atol  # type: ignore[assignment]
        rules = _Rules(problem, integration, sign, end, floor)
        going = waiting(old, following)
        first = due(following)
        target = torch.minimum(first, end) if not integration.stepper.dense_order else end
        state, step, h, accept = advance(rules, old._replace(active=going), target)
        passed = accept & (first <= state.t)
        value = step.y
        if integration.stepper.dense_order:
            theta = (first - old.t) / torch.where(h == 0, 1.0, h)
            assert step.interpolant is not None
            inside = step.interpolant()(theta.to(value.dtype), None)
            value = torch.where(first == state.t, value, inside)
        slot = torch.where(passed, following, size)[None].expand(1, *value.shape)
        out = out.scatter(0, slot, value[None])
        following = following + passed
        again = passed & (due(following) <= state.t)
        kept = again | ~going
        state = State(*(_where(kept, a, b) for a, b in zip(old, state, strict=True)))
        return pack(state, following, out, evaluations + problem.evaluations)

    zero = torch.zeros_like(state.status)
    out = state.y.new_full((size + 1, *state.y.shape), nan)
    flat = pack(State(*map(_clone, state)), zero, out, torch.zeros_like(limit))
    state, _, out, evaluations = unpack(torch.while_loop(goes_on, body, flat))
    return state, out[:size], evaluations


class _Rules(Rules):
    """`Rules` as the compiler wants them: built inside the loop, all numbers but the sign as tensors."""

    def __init__(self, problem: Problem, integration: Integration, sign: float, end: Tensor, floor: Tensor) -> None:
        self.problem, self.stepper, self.control = problem, integration.stepper, integration.control
        self.clock = Clock(end, end)
        self.sign, self.start, self.end, self.floor = sign, end, end, floor
        self.resolution = torch.finfo(problem.y0.dtype).eps
        self.one, self.grow, self.infinite = (end.new_full((), x) for x in (1.0, self.control.grow, inf))
        codes = (Status.STEP_UNDERFLOW, Status.NON_FINITE)
        self.underflow, self.non_finite = (
            torch.full((), int(code), dtype=torch.long, device=end.device) for code in codes
        )

    def times(self, t: Tensor, h: Tensor) -> tuple[Time, Time]:
        # under joint control elements that ended stay behind, at rest
        return super().times(t.amax(), h.amax()) if self.control.joint else super().times(t, h)


def _windows(times: Tensor, ahead: int = 0) -> list[tuple[Tensor, Tensor]]:
    """Times in pieces of one length, with `ahead` more of the next one, and how many of each are meant."""
    size, count = min(WINDOW, times.shape[1]), times.shape[1]
    padded = torch.nn.functional.pad(times, (0, size + ahead), value=inf)
    return [
        (padded[:, i : i + size + ahead].contiguous(), torch.tensor(min(size, count - i), device=times.device))
        for i in range(0, count, size)
    ]


def _where(which: Tensor, a: Any, b: Any) -> Any:
    if isinstance(a, tuple):
        return tuple(torch.where(which, x, y) for x, y in zip(a, b, strict=True))
    return torch.where(which, a, b)


def _clone(x: Any) -> Any:
    """Tensors of their own in plain layout: a loop may not be given one twice."""
    if isinstance(x, tuple):
        return tuple(map(_clone, x))
    return x.clone(memory_format=torch.contiguous_format)


# -- equal steps


def _equal(integration: Integration, problem: Problem, ts: Tensor) -> tuple[Tensor, Ending, Tensor]:
    shared, longest = len(ts) == 1, integration.step
    gaps = ts.diff().abs().amax(0).tolist()
    numbers = [max(1, ceil(gap / (longest or gap) * (1 - 1e-12))) for gap in gaps]
    counts = ts.new_tensor(numbers)
    t = ts[0, 0] if shared else ts[:, :1]
    k = problem.f(t, problem.y0)
    good = finite(problem.y0) & finite(k)
    start = ts[:, :1].expand_as(good)
    status = torch.where(good, 0, int(Status.NON_FINITE))
    state = _clone((problem.y0, good, status, start, torch.zeros((), dtype=torch.long, device=ts.device)))
    carry = _clone(integration.stepper.start(problem, t, problem.y0, k))
    loop = _compiled(_equal_loop, integration, problem)
    outputs, total = [problem.y0[None]], torch.zeros_like(state[-1])
    limit = torch.tensor(integration.max_steps, device=ts.device)
    constant = integration.again(max_steps=1, rtol=1.0, atol=1.0, step=None)
    pieces = zip(_windows(ts[:, :-1]), _windows(ts[:, 1:]), _windows(counts[None]), strict=True)
    for (begins, count), (ends, _), (steps_of, _) in pieces:
        values = (begins, ends, steps_of[0], count, limit)
        state, carry, out, evaluations = _call(loop, constant, problem.layout, shared, values, state, carry)
        outputs.append(out)
        total = total + evaluations
    _, active, status, reached, steps = state
    status = torch.where(active & (reached != ts[:, -1:]), int(Status.MAX_STEPS), status)[:, 0]
    ending = Ending(status, reached[:, 0], steps.expand_as(status), torch.zeros_like(status))
    return torch.cat(outputs)[: ts.shape[1]], ending, total


def _equal_loop(
    integration: Integration,
    layout: Layout,
    shared: bool,
    values: tuple[Tensor, ...],
    state: tuple[Tensor, ...],
    carry: tuple[Tensor, ...],
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], Tensor, Tensor]:
    begins, ends, counts, count, limit = values
    size = begins.shape[1]
    slots = torch.arange(size, device=begins.device)[:, None, None]
    resolution = torch.finfo(state[0].dtype).eps

    def goes_on(j: Tensor, i: Tensor, out: Tensor, evaluations: Tensor, *flat: Tensor) -> Tensor:
        _, active, _, _, steps = flat[:5]
        return (j < count) & (steps < limit) & active.any()

    def body(j: Tensor, i: Tensor, out: Tensor, evaluations: Tensor, *flat: Tensor) -> tuple[Tensor, ...]:
        y, active, status, reached, steps, *before = flat
        problem = integration.problem(layout.state(y))
        start, end = begins.index_select(1, j[None]), ends.index_select(1, j[None])
        number = counts.index_select(0, j[None])
        h = (end - start) / number
        t = start + i * h
        is_last = i + 1 == number
        t1 = torch.where(is_last, end, t + h)
        coarse = h.abs().amax() < resolution * t.abs().amax()
        time, length = (t.reshape(()), h.reshape(())) if shared else (t, h)
        step = integration.stepper.step(problem, time, y, length, tuple(before))
        good = finite(step.y) if step.failed is None else finite(step.y) & ~step.failed
        taken = active & good & ~coarse
        ended = torch.where(coarse, int(Status.STEP_UNDERFLOW), int(Status.NON_FINITE))
        new = (
            torch.where(taken, step.y, y),
            taken,
            torch.where(active ^ taken, ended, status),
            torch.where(taken, t1, reached),
            steps + ~coarse,
            *(torch.where(taken, a, b) for a, b in zip(step.carry, before, strict=True)),
        )
        out = torch.where((slots == j) & is_last & taken, step.y, out)
        is_last = is_last[0]
        return (j + is_last, torch.where(is_last, 0, i + 1), out, evaluations + problem.evaluations, *new)

    zero = torch.zeros_like(limit)
    out = state[0].new_full((size, *state[0].shape), nan)
    flat = (zero, zero.clone(), out, zero.clone(), *_clone(state), *_clone(carry))
    _, _, out, evaluations, *rest = torch.while_loop(goes_on, body, flat)
    return tuple(rest[:5]), tuple(rest[5:]), out, evaluations


# -- compiling

_functions: OrderedDict[Hashable, Callable[..., Any]] = OrderedDict()


def _compiled(loop: Callable[..., Any], integration: Integration, problem: Problem) -> Callable[..., Any]:
    """`loop` for fields of this code: the compiler itself looks at what else it was compiled for."""
    f = integration.field.whole()
    f = f.__func__ if isinstance(f, MethodType) else f
    code = getattr(f, "__code__", type(f))
    key = (loop, code, integration.stepper, integration.control, problem.y0.dtype, problem.y0.device)
    if key not in _functions:
        _warm(integration, problem)
        # variants are counted for each code object
        assert isinstance(loop, FunctionType)
        own = FunctionType(loop.__code__.replace(), loop.__globals__, loop.__name__)
        options: dict[str, Any] = {"cpp_wrapper": not problem.y0.is_cuda}
        _functions[key] = torch.compile(own, fullgraph=True, dynamic=False, options=options)
        if len(_functions) > KEPT:
            _functions.popitem(last=False)
    _functions.move_to_end(key)
    return _functions[key]


def _warm(integration: Integration, problem: Problem) -> None:
    """One step outside the compiler: errors of f come as they are, and what tableaux compute once is there."""
    problem = integration.problem(problem.layout.state(problem.y0))
    t = problem.y0.new_zeros(())
    stepper = integration.stepper
    step = stepper.step(problem, t, problem.y0, t, stepper.start(problem, t, problem.y0, problem.f(t, problem.y0)))
    if step.interpolant is not None:
        step.interpolant()(0.0, None)


def _call(function: Callable[..., Any], *args: Any) -> Any:
    from torch._dynamo import config
    from torch._dynamo.exc import TorchDynamoException

    try:
        with config.patch(recompile_limit=VARIANTS):
            return function(*args)
    except TorchDynamoException as error:
        lines = [line.strip() for line in str(error).splitlines()]
        telling = [line for line in lines if line.startswith(("Explanation:", "Developer debug context:"))]
        reason = " ".join(telling or [line for line in lines if line][:1])
        if "aliasing" in reason:
            raise ValueError(
                "compiled: expected tensors that do not share memory in what f closes over, found ones that do; A.T "
                "counts as another tensor than A (write A.t()), and so does each slice of it (clone it outside of f)"
            ) from error
        raise ValueError(
            "compiled: expected a vector field that torch.compile can trace whole, and a C++ compiler, found: "
            f"{type(error).__name__}: {reason}"
        ) from error
