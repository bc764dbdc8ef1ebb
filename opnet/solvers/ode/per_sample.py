"""The loop in which each element of a batch has a step of its own."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import NamedTuple

import torch
from torch import Tensor

from opnet.core.status import Status
from opnet.solvers.ode.clock import Clock
from opnet.solvers.ode.control import PID, SMALLEST, error_norms, first_steps
from opnet.solvers.ode.joint import SYNC, Ending
from opnet.solvers.ode.observer import Observer
from opnet.solvers.ode.problem import Problem
from opnet.solvers.ode.record import Record
from opnet.solvers.ode.stepper import Step, Stepper, finite


class State(NamedTuple):
    """Where each element stands; rows throughout, times and errors in float64.

    Attributes:
        t, h: time, and the step to try next; (rows, 1).
        y: (rows, n).
        carry: see `Step`.
        limit: largest growth of the next step: 1 after a rejection.
        before: errors of the last two accepted steps, (rows, 2).
        status: (rows, 1) long.
        active: whether it goes on; (rows, 1).
        steps, rejected: counts, (rows, 1) long.
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
    rejected: Tensor

    def take(self, rows: Tensor) -> State:
        return State(*(tuple(c[rows] for c in x) if isinstance(x, tuple) else x[rows] for x in self))


@dataclass(frozen=True)
class Rules:
    """What stays the same during a solve.

    Attributes:
        end: final times, (rows, 1).
        floor: steps below it are not resolved at t = 0, (rows, 1).
        max_steps: tries an element has.
    """

    problem: Problem
    stepper: Stepper
    control: PID
    end: Tensor
    floor: Tensor
    max_steps: int
    clock: Clock

    def take(self, rows: Tensor) -> Rules:
        self.clock.take(rows)
        end, floor = self.end[rows], self.floor[rows]
        return Rules(self.problem, self.stepper, self.control, end, floor, self.max_steps, self.clock)


def begin(rules: Rules, start: Tensor, first: float | None) -> State:
    """The state at the start (rows, 1); elements where y0 or f is not finite have failed."""
    problem, y = rules.problem, rules.problem.y0
    k = problem.f(start, y)
    good = finite(y) & finite(k)
    span = rules.end - start
    if first is None:
        h = first_steps(problem, rules.stepper.error_order, start, y, k, span, None)
    else:
        h = span.sign() * span.abs().clamp(max=first)
    return State(
        t=start,
        h=torch.where(good, h, 0.0),
        y=y,
        carry=rules.stepper.start(problem, start, y, k),
        limit=torch.full_like(start, rules.control.grow),
        before=torch.ones_like(start).expand(-1, 2),
        status=torch.where(good, 0, int(Status.NON_FINITE)),
        active=good & (start != rules.end),
        steps=torch.zeros_like(start, dtype=torch.long),
        rejected=torch.zeros_like(start, dtype=torch.long),
    )


def advance(rules: Rules, state: State, target: Tensor) -> tuple[State, Step, Tensor, Tensor]:
    """Try one step of each active element, up to `target`: the new state, the step, h as tried, who accepted.

    Tensors in, tensors out, nothing read back: the compiled loop is made of it.
    """
    problem, control = rules.problem, rules.control
    t, wanted, y, active = state.t, state.h, state.y, state.active
    ahead = target - t
    is_last = wanted.abs() >= ahead.abs() * (1 - 1e-10)
    h = torch.where(is_last, ahead, wanted)
    h = torch.where(active, h, 0.0)
    step = rules.stepper.step(problem, rules.clock.time(t), y, rules.clock.step(h), state.carry)
    assert step.error is not None
    e = error_norms(problem, step.error, y, step.y)
    if step.y.requires_grad:
        step, e = _shielded(rules, state, h, step, e)
    e = e.detach().double()
    if step.failed is not None:
        unsolved, e = step.failed, torch.where(step.failed, inf, e)
    q = rules.stepper.error_order
    ratio = control.ratios(q, e, state.before, state.limit)
    good = e <= 1
    accept, reject = active & good, active & ~good
    t1 = torch.where(is_last, target, t + h)
    new_t = torch.where(accept, t1, t)
    new_h = h * ratio
    if not rules.stepper.dense_order:  # a step cut short by an output time says little about the next
        new_h = torch.where(accept & is_last, new_h.sign() * torch.maximum(new_h.abs(), wanted.abs()), new_h)
    small = reject & (new_h.abs() < torch.finfo(y.dtype).eps * torch.maximum(t.abs(), rules.floor))
    steps, rejected = state.steps + accept, state.rejected + reject
    arrived = accept & (new_t == rules.end)
    over = active & ~arrived & (steps + rejected >= rules.max_steps)
    resolved = e.isfinite() if step.failed is None else e.isfinite() | unsolved
    status = torch.where(over, int(Status.MAX_STEPS), state.status)
    status = torch.where(small, torch.where(resolved, int(Status.STEP_UNDERFLOW), int(Status.NON_FINITE)), status)
    before = state.before
    if control.memory:
        before = torch.where(accept, torch.cat([e.clamp(min=SMALLEST), before[:, :1]], 1), before)
    new = State(
        t=new_t,
        h=torch.where(active, new_h, wanted),
        y=torch.where(accept, step.y, y),
        carry=tuple(torch.where(accept, a, b) for a, b in zip(step.carry, state.carry, strict=True)),
        limit=torch.where(reject, 1.0, control.grow),
        before=before,
        status=status,
        active=active & ~arrived & ~small & ~over,
        steps=steps,
        rejected=rejected,
    )
    return new, step, h, accept


def _shielded(rules: Rules, state: State, h: Tensor, step: Step, e: Tensor) -> tuple[Step, Tensor]:
    """The step again with h = 0 where it was not finite: a NaN that is not chosen would still spoil the gradients."""
    bad = ~e.detach().isfinite()
    if not bool(bad.any()):
        return step, e
    h = torch.where(bad, 0.0, h)
    again = rules.stepper.step(rules.problem, rules.clock.time(state.t), state.y, rules.clock.step(h), state.carry)
    return again, torch.where(bad, inf, e)


class PerSample:
    """One solve with a step for each element; finished elements are computed no longer.

    Args:
        independent: whether f can be called with some of the elements.
    """

    def __init__(
        self, problem: Problem, stepper: Stepper, control: PID, observer: Observer, max_steps: int, *, independent: bool
    ) -> None:
        self.problem, self.observer, self.independent = problem, observer, independent
        ts = observer.outputs.ts
        detached = ts.detach().to(torch.float64)
        start, end = (x.expand(problem.count, 1) for x in (detached[:, :1], detached[:, -1:]))
        clock = Clock(ts[:, :1], ts[:, -1:])
        floor = 1e-16 * (end - start).abs()
        self.start, self.rules = start, Rules(problem, stepper, control, end, floor, max_steps, clock)
        device = problem.y0.device
        self.every = SYNC if problem.y0.is_cuda else 1
        zeros = torch.zeros(problem.count, dtype=torch.long, device=device)
        self.result = Ending(zeros, start[:, 0].clone(), zeros.clone(), zeros.clone())
        self.rows: Tensor | None = None

    def run(self, first: float | None) -> Ending:
        """Integrate all elements to their ends."""
        state = begin(self.rules, self.start, first)
        while True:
            count = int(state.active.sum())
            if count == 0:
                break
            if self.independent and 2 * count <= len(state.t):
                state = self._drop(state)
            state = self._block(state)
        self._write(state)
        return self.result

    def _block(self, state: State) -> State:
        """A few steps, and then a look at them."""
        rules, queue = self.rules, []
        outputs = self.observer.outputs
        for _ in range(self.every if rules.stepper.dense_order else 1):
            target = rules.end if rules.stepper.dense_order else torch.minimum(outputs.due, outputs.sign * rules.end)
            if not rules.stepper.dense_order:
                target = outputs.sign * target
            old = state
            state, step, h, accept = advance(rules, old, target)
            queue.append((old, step, h, accept, state.t))
        stopped = None
        for old, step, h, accept, t1 in queue:
            accept = accept if stopped is None else accept & ~stopped
            t, h = rules.clock.time(old.t), rules.clock.step(h)
            record = Record(t, h, t1, old.y, step.y, accept, step.interpolant, self.rows)
            ended = self.observer.see(record, step)
            if ended is not None:
                state = state._replace(
                    t=torch.where(ended, record.t1.detach(), state.t),
                    y=torch.where(ended, record.y1, state.y),
                    active=state.active & ~ended,
                    status=torch.where(ended, 0, state.status),
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
        self.rules = self.rules.take(rows)
        return state.take(rows)

    def _write(self, state: State) -> None:
        rows = slice(None) if self.rows is None else self.rows
        for name, value in (("status", state.status), ("reached", state.t), ("steps", state.steps), ("rejected", state.rejected)):
            getattr(self.result, name)[rows] = value[:, 0]
