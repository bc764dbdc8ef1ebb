"""The loop in which each element of a batch has a step of its own."""

from __future__ import annotations

from math import inf
from typing import NamedTuple

import torch
from torch import Tensor

from opnet.core.status import Status
from opnet.solvers.ode.clock import Clock
from opnet.solvers.ode.control import PID, SMALLEST, error_norms, first_steps
from opnet.solvers.ode.joint import SYNC, Ending
from opnet.solvers.ode.members import stand_in
from opnet.solvers.ode.observer import Observer
from opnet.solvers.ode.problem import Problem
from opnet.solvers.ode.record import Record
from opnet.solvers.ode.stages import Time
from opnet.solvers.ode.stepper import Step, Stepper, finite

UNSOLVED = 1e10  # the error of a step whose stage equations were not solved


class State(NamedTuple):
    """Where each element stands. Times are in the direction of integration (minus t when it runs backward), in float64.

    Attributes:
        t, h: time, and the step to try next, which is 0 for elements at rest; (rows, 1).
        y: (rows, n).
        carry: see `Step`.
        limit: largest growth of the next step: 1 after a rejection.
        before: errors of the last two accepted steps, (rows, 2).
        status: (rows, 1) long.
        active: whether it goes on; (rows, 1).
        steps, tries: counts, (rows, 1) long.
    """

    t: Tensor
    h: Tensor
    y: Tensor
    carry: tuple[Tensor, ...]
    limit: Tensor
    before: Tensor
    status: Tensor
    active: Tensor
    steps: Tensor
    tries: Tensor

    def take(self, rows: Tensor) -> State:
        return State._make(tuple(c[rows] for c in x) if isinstance(x, tuple) else x[rows] for x in self)


class Rules:
    """What stays the same during a solve.

    Attributes:
        sign: of the direction of integration.
        end: final times, in that direction; (rows, 1).
        resolution: of the precision of y.
        floor: the smallest step resolved at t = 0, (rows, 1).
    """

    def __init__(
        self, problem: Problem, stepper: Stepper, control: PID, start: Tensor, end: Tensor, clock: Clock
    ) -> None:
        self.problem, self.stepper, self.control, self.clock = problem, stepper, control, clock
        self.sign = -1.0 if bool((end < start).any()) else 1.0
        self.start, self.end = self.direct(start), self.direct(end)
        self.resolution = torch.finfo(problem.y0.dtype).eps
        self.floor = self.resolution * 1e-16 * (end - start).abs()
        # constants as tensors: `where` would make one of a number each time
        self.one, self.grow, self.infinite = (start.new_tensor(x) for x in (1.0, control.grow, inf))
        codes = (Status.STEP_UNDERFLOW, Status.NON_FINITE)
        self.underflow, self.non_finite = (torch.tensor(int(code), device=start.device) for code in codes)

    def direct(self, t: Tensor) -> Tensor:
        """Times, or steps, in the direction of integration; and back."""
        return t if self.sign > 0 else -t

    def times(self, t: Tensor, h: Tensor) -> tuple[Time, Time]:
        """A time and a step as the stepper gets them."""
        return self.clock.time(self.direct(t)), self.clock.step(self.direct(h))

    def take(self, rows: Tensor) -> None:
        """Go on with some of the rows."""
        self.clock.take(rows)
        self.start, self.end, self.floor = self.start[rows], self.end[rows], self.floor[rows]


def begin(rules: Rules, first: float | None) -> State:
    """The state at the start; elements where y0 or f is not finite have failed."""
    problem, y, t = rules.problem, rules.problem.y0, rules.start
    start = rules.clock.time(rules.direct(t))
    k = problem.f(start, y).clone()  # f may give the same memory each time
    good = finite(y) & finite(k)
    y, k = stand_in(y, good), stand_in(k, good)
    if k.requires_grad and not bool(good.all()):
        k = problem.f(start, y)
    span = rules.end - t
    if first is None:
        h = first_steps(problem, rules.stepper.error_order, start, y, k, rules.direct(span), None).abs()
    else:
        h = span.clamp(max=first)
    return State(
        t=t,
        h=torch.where(good, h, 0.0),
        y=y,
        carry=rules.stepper.start(problem, start, y, k),
        limit=torch.full_like(t, rules.control.grow),
        before=torch.ones_like(t).expand(-1, 2),
        status=torch.where(good, 0, int(Status.NON_FINITE)),
        active=good & (t != rules.end),
        steps=torch.zeros_like(t, dtype=torch.long),
        tries=torch.zeros_like(t, dtype=torch.long),
    )


def advance(rules: Rules, state: State, target: Tensor) -> tuple[State, Step, Tensor, Tensor]:
    """Try one step of each active element, up to `target`: the new state, the step, h as tried, who accepted.

    Tensors in, tensors out, nothing read back: the compiled loop is made of it, and each operation counts.
    """
    problem, control = rules.problem, rules.control
    t, y, active = state.t, state.y, state.active
    ahead = target - t
    is_last = state.h >= ahead * (1 - 1e-10)
    h = torch.where(is_last, ahead, state.h)
    step = _step(rules, state, h)
    assert step.error is not None
    e = error_norms(problem, step.error, y, step.y)
    if step.y.requires_grad:
        step, e = _shielded(rules, state, h, step, e)
    e = torch.nan_to_num(e.detach().double(), nan=inf, posinf=inf)
    if step.failed is not None:
        e = torch.where(step.failed, UNSOLVED, e)
    own = e
    if control.joint:  # one error, and so one step, for the active
        e = torch.where(active, e.square(), 0.0).sum().div(active.sum()).sqrt().expand_as(e)
    ratio = control.ratios(rules.stepper.error_order, e, state.before, state.limit)
    accept = active & (e <= 1)
    reject = active ^ accept
    new_t = torch.where(accept, torch.where(is_last, target, t + h), t)
    new_h = h * ratio
    if not rules.stepper.dense_order:  # a step cut short by an output time says little about the next
        new_h = torch.where(accept & is_last, torch.maximum(new_h, state.h), new_h)
    moving = active & (new_t != rules.end)
    lost = moving & (new_h <= torch.add(rules.floor, t.abs(), alpha=rules.resolution))
    if control.joint:  # those that asked for it; the others go on
        lost = lost & ((own > 1) | (own == torch.where(active, own, 0.0).amax()))
    reason = torch.where(own == rules.infinite, rules.non_finite, rules.underflow)
    goes_on = moving ^ lost
    before = state.before
    if control.memory:
        before = torch.where(accept, torch.cat([e.clamp(min=SMALLEST), before[:, :1]], 1), before)
    new = State(
        t=new_t,
        h=new_h * goes_on,
        y=torch.where(accept, step.y, y),
        carry=tuple(torch.where(accept, a, b) for a, b in zip(step.carry, state.carry, strict=True)),
        limit=torch.where(reject, rules.one, rules.grow),
        before=before,
        status=torch.where(lost, reason, state.status),
        active=goes_on,
        steps=state.steps + accept,
        tries=state.tries + active,
    )
    return new, step, h, accept


def _step(rules: Rules, state: State, h: Tensor) -> Step:
    t, h_ = rules.times(state.t, h)
    return rules.stepper.step(rules.problem, t, state.y, h_, state.carry)


def _shielded(rules: Rules, state: State, h: Tensor, step: Step, e: Tensor) -> tuple[Step, Tensor]:
    """The step again with h = 0 where it was not finite: a NaN that is not chosen would still spoil the gradients."""
    bad = ~e.detach().isfinite()
    if not bool(bad.any()):
        return step, e
    return _step(rules, state, torch.where(bad, 0.0, h)), torch.where(bad, inf, e)


class PerSample:
    """One solve with a step for each element; finished elements are computed no longer.

    Args:
        independent: whether f can be called with some of the elements.
    """

    def __init__(
        self, problem: Problem, stepper: Stepper, control: PID, observer: Observer, max_steps: int, *, independent: bool
    ) -> None:
        self.problem, self.observer, self.max_steps, self.independent = problem, observer, max_steps, independent
        ts = observer.outputs.ts
        detached = ts.detach().to(torch.float64)
        start, end = (x.expand(problem.count, 1) for x in (detached[:, :1], detached[:, -1:]))
        self.rules = Rules(problem, stepper, control, start, end, Clock(ts[:, :1], ts[:, -1:]))
        self.every = SYNC if problem.y0.is_cuda else 1
        zeros = torch.zeros(problem.count, dtype=torch.long, device=problem.y0.device)
        self.result = Ending(zeros, start[:, 0].clone(), zeros.clone(), zeros.clone())
        self.rows: Tensor | None = None

    def run(self, first: float | None) -> Ending:
        """Integrate all elements to their ends."""
        state, tries = begin(self.rules, first), 0
        while True:
            count = int(state.active.sum())
            if count and tries >= self.max_steps:
                state = state._replace(status=torch.where(state.active, int(Status.MAX_STEPS), state.status))
                count = 0
            if count == 0:
                break
            if self.independent and 2 * count <= len(state.t):
                state = self._drop(state)
            steps = min(self.every if self.rules.stepper.dense_order else 1, self.max_steps - tries)
            state = self._block(state, steps)
            tries += steps
        self._write(state)
        return self.result

    def _block(self, state: State, steps: int) -> State:
        """A few steps, and then a look at them."""
        rules, queue = self.rules, []
        target = rules.end
        for _ in range(steps):
            if not rules.stepper.dense_order:
                target = torch.minimum(self.observer.outputs.due, rules.end)
                rules.clock = self.observer.outputs.clock()
            old = state
            state, step, h, accept = advance(rules, old, target)
            queue.append((old, step, h, accept, state.t))
        stopped = None
        for old, step, h, accept, t1 in queue:
            if stopped is not None:  # what was computed beyond the event is none of its steps
                excess = [(x & stopped).long() for x in (accept, old.active)]
                state = state._replace(steps=state.steps - excess[0], tries=state.tries - excess[1])
                accept = accept & ~stopped
            t, signed = rules.times(old.t, h)
            record = Record(t, signed, rules.direct(t1), old.y, step.y, old.carry, accept, step.interpolant, self.rows)
            stop = self.observer.see(record, step)
            if stop is not None:
                assert isinstance(record.t1, Tensor)
                ended = stop.rows
                state = state._replace(
                    t=torch.where(ended, rules.direct(record.t1.detach()), state.t),
                    h=torch.where(ended, 0.0, state.h),
                    y=torch.where(ended, record.y1, state.y),
                    active=state.active & ~ended,
                    status=torch.where(ended, stop.status, state.status),
                )
                stopped = ended if stopped is None else stopped | ended
        return state

    def _drop(self, state: State) -> State:
        """Go on with the active elements alone."""
        self._write(state)
        rows = state.active[:, 0].nonzero()[:, 0]
        self.rows = rows if self.rows is None else self.rows[rows]
        self.problem.take(rows)
        self.observer.take(rows)
        self.rules.take(rows)
        return state.take(rows)

    def _write(self, state: State) -> None:
        rows = slice(None) if self.rows is None else self.rows
        result = self.result
        for target, value in (
            (result.status, state.status),
            (result.reached, self.rules.direct(state.t)),
            (result.steps, state.steps),
            (result.rejected, state.tries - state.steps),
        ):
            target[rows] = value[:, 0]
