"""The loops in which the batch steps together: equal steps, and steps chosen by the error of the whole batch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import ceil, inf, isfinite
from typing import Any

import torch
from torch import Tensor

from opnet.core.status import Status
from opnet.solvers.ode.clock import Clock
from opnet.solvers.ode.control import PID, SMALLEST, error_norm, error_norms, first_steps
from opnet.solvers.ode.coupling import coupled
from opnet.solvers.ode.members import Members
from opnet.solvers.ode.observer import Observer
from opnet.solvers.ode.problem import Problem
from opnet.solvers.ode.record import Emission, Record
from opnet.solvers.ode.stages import Time
from opnet.solvers.ode.stepper import Step, Stepper, finite

SYNC = 8  # steps between looks at flags that live on another device


@dataclass
class Ending:
    """How each element ended: (batch,) all."""

    status: Tensor
    reached: Tensor
    steps: Tensor
    rejected: Tensor


class Together:
    """One solve of a batch that steps together."""

    def __init__(self, problem: Problem, stepper: Stepper, observer: Observer, max_steps: int) -> None:
        self.problem, self.stepper, self.observer, self.max_steps = problem, stepper, observer, max_steps
        self.ts = observer.outputs.ts
        if problem.joint and len(self.ts) > 1:
            raise ValueError(
                f"ts: expected times of shape (time,) with PID(joint=True), found {tuple(self.ts.shape)}: one step for "
                "the batch cannot follow times of each element's own"
            )
        self.y = problem.y0
        self.members = Members(self.y, self.ts[:, 0])
        self.steps = self.rejected = 0
        self.resolution = torch.finfo(self.y.dtype).eps

    # -- equal steps

    def fixed(self, longest: float | None) -> Ending:
        """Each interval of ts cut into equal steps, none longer than `longest`."""
        times = self.ts.detach()
        gaps = times.diff().abs().amax(0).tolist()
        numbers = times[0].tolist() if len(times) == 1 else None  # times as numbers, where the batch shares them
        plain = numbers is not None and not self.ts.requires_grad
        t: Time = numbers[0] if numbers is not None and plain else self._time(0)
        carry = self.start(t)
        for j, gap in enumerate(gaps):
            count = max(1, ceil(gap / (longest or gap) * (1 - 1e-12)))
            begin, end = (
                (numbers[j], numbers[j + 1]) if numbers is not None and plain else (self._time(j), self._time(j + 1))
            )
            h = (end - begin) / count
            for i in range(count):
                t = begin + i * h
                if (self.steps % self._every == 0 and self.members.none_left) or not self._may_step(h, t):
                    break
                step = self.stepper.step(self.problem, t, self.y, h, carry)
                if self._end_lost(step, t, h):
                    self.y, carry = self.members.select(self.y), self.members.select_all(carry)
                    step = self.stepper.step(self.problem, t, self.y, h, carry)
                last = i == count - 1
                emissions = [Emission(None, j + 1, 1.0, True)] if last else []
                self._move(t, end if last else t + h, h, carry, step, emissions)
                carry = self.members.select_all(step.carry)
            if self.members.none_left:
                break
        return self._ending(self.ts[:, -1])

    def _time(self, j: int) -> Time:
        """ts[j] as a tensor: without dimensions if shared."""
        return self.ts[0, j] if len(self.ts) == 1 else self.ts[:, j : j + 1]

    @property
    def _every(self) -> int:
        return SYNC if self.y.is_cuda else 1

    def _end_lost(self, step: Step, t: Time, h: Time) -> bool:
        """End the elements whose step is not finite or not solved; whether gradients ask for the step without them.

        On another device without looking at the flag, unless there are gradients.
        """
        with torch.no_grad():
            y = step.y if self.members.alive is None else step.y[self.members.alive]
            if self.y.is_cuda or step.failed is not None or not isfinite(float(torch.linalg.vector_norm(y, inf))):
                lost = bad = ~finite(step.y)
                if step.failed is not None and bool(step.failed.any()):  # for want of an f, or of corrections
                    lost, bad = bad | step.failed, bad | ~finite(self.problem.f(t + h, self.y))
                status = torch.where(bad[:, 0], int(Status.NON_FINITE), int(Status.MAX_ITERATIONS))
                ends = self.members.living(lost[:, 0])
                self._lose(ends, status, self._reached(t))
                return step.y.requires_grad and bool(ends.any())
        return False

    # -- steps by the error

    def adaptive(self, control: PID, first: float | None) -> Ending:
        """Steps that keep the error of the whole batch within the tolerance."""
        ts = self.ts[0].detach().tolist()
        t, end = ts[0], ts[-1]
        clock = self._clock(1)
        q = self.stepper.error_order
        carry = self.start(clock.time(t))
        h = 0.0 if self.members.none_left or len(ts) == 1 else self._first(control, q, t, end, first)
        limit, before, following = control.grow, (1.0, 1.0), 1
        while t != end and not self.members.none_left and self._may_step(h, t):
            target = end if self.stepper.dense_order else ts[following]
            is_last = abs(h) >= abs(target - t) * (1 - 1e-10)
            tried = target - t if is_last else h
            step = self.stepper.step(self.problem, clock.time(t), self.y, clock.step(tried), carry)
            assert step.error is not None
            e = float(error_norm(self.problem, step.error, self.y, step.y, self.members.alive).detach())
            if step.failed is not None and bool(self.members.living(step.failed[:, 0]).any()):
                e = inf
            ratio = control.ratio(q, e, before, limit)
            if e <= 1:
                t1 = target if is_last else t + tried
                emissions = []
                while following < len(ts) and (ts[following] - t1) * tried <= 0:
                    emissions.append(self._emission(clock, following, t, t1, tried))
                    following += 1
                self._move(clock.time(t), clock.time(t1), clock.step(tried), carry, step, emissions)
                clock = self._clock(following) if emissions else clock
                t, carry, limit, before = (
                    t1,
                    self.members.select_all(step.carry),
                    control.grow,
                    (max(e, SMALLEST), before[0]),
                )
                h = (
                    tried * ratio
                    if not is_last or target == end
                    else max(abs(h), abs(tried) * ratio) * (1 if tried > 0 else -1)
                )
            else:
                self.rejected += 1
                h, limit = tried * ratio, 1.0
            if abs(h) < self._smallest(t, end - ts[0]) and t != end:
                self._give_up(step, t)
                self.y, carry = self.members.select(self.y), self.members.select_all(carry)
                h = 0.0 if self.members.none_left else self._first(control, q, t, end, first)
                limit, before = control.grow, (1.0, 1.0)
        return self._ending(t)

    def _clock(self, following: int) -> Clock:
        """Steps stretch with the whole interval; where they end at all times asked for, with that up to the next."""
        last = self.ts.shape[1] - 1
        first, last = (0, last) if self.stepper.dense_order else (min(following, last) - 1, min(following, last))
        return Clock(self.ts[0, first], self.ts[0, last])

    def _first(self, control: PID, q: float, t: float, end: float, first: float | None) -> float:
        if first is not None:
            return min(first, abs(end - t)) * (1 if end > t else -1)
        k = self.problem.f(t, self.y)
        return float(first_steps(self.problem, q, t, self.y, k, end - t, self.members.alive))

    def _emission(self, clock: Clock, index: int, t: float, t1: float, h: float) -> Emission:
        """The output ts[index] in a step from t to t1; by the continuous extension where times carry gradients."""
        time = self.ts[0, index]
        if clock.start is not None and self.stepper.dense_order and index < self.ts.shape[1] - 1:
            return Emission(None, index, (time - clock.time(t)) / clock.step(h), False)
        theta = (float(time.detach()) - t) / h
        return Emission(None, index, theta, float(time.detach()) == t1)

    def _smallest(self, t: float, span: float) -> float:
        """Below it the time no longer moves, or (at t = 0) the span is no longer resolved by any double."""
        return self.resolution * max(abs(t), 1e-16 * abs(span))

    def _give_up(self, step: Step, t: float) -> None:
        """End the elements whose error asks for a step below the resolution; the others go on."""
        assert step.error is not None
        e = error_norms(self.problem, step.error, self.y, step.y)[:, 0].detach()
        unsolved = torch.zeros_like(e, dtype=torch.bool) if step.failed is None else step.failed[:, 0]
        status = torch.where(e.isfinite() | unsolved, int(Status.STEP_UNDERFLOW), int(Status.NON_FINITE))
        lost = ~(e <= 1) | unsolved
        if not bool(self.members.living(lost).any()):  # near a singularity ever smaller steps may all be accepted
            lost = e == self.members.select(e[:, None])[:, 0].max()
        self._lose(lost, status, t)

    # -- both

    def start(self, t: Time) -> tuple[Tensor, ...]:
        """The first carry; elements where y0 or f is not finite fail at once."""
        k = self.problem.f(t, self.y).clone()  # f may give the same memory each time
        good = finite(self.y) & finite(k)
        if not bool(good.all()):
            self._lose(~good[:, 0], Status.NON_FINITE, self._reached(t))
            self.y = self.members.select(self.y)
            k = self.problem.f(t, self.y)
        return self.stepper.start(self.problem, t, self.y, k)

    @cached_property
    def _coupled(self) -> bool:
        t = self.ts.detach().double().mean(1, keepdim=True)
        return coupled(self.problem, t[0, 0] if self.problem.joint else t.expand(self.problem.count, 1))

    def _lose(self, which: Tensor, status: Status | Tensor, time: float | Tensor) -> None:
        """End the elements `which`, and all where they depend on each other."""
        if self.problem.count > 1 and (self.y.is_cuda or bool(which.any())) and self._coupled:
            code = status if isinstance(status, Tensor) else torch.full_like(self.members.status, int(status))
            status = torch.where(which, code, 0).max().expand_as(which)
            which = which.any().expand_as(which)
        self.members.end(which, status, time)

    def _may_step(self, h: Time, t: Time) -> bool:
        """Whether the step h is resolved and allowed; elements fail where it is not."""
        size, least = abs(_plain(h)), self.resolution * abs(_plain(t))
        lost = size < least
        if isinstance(lost, Tensor):
            if bool(lost.any()):
                self.members.end(lost[:, 0], Status.STEP_UNDERFLOW, self._reached(t))
        elif lost:
            self.members.end_all(Status.STEP_UNDERFLOW, self._reached(t))
        if self.steps + self.rejected >= self.max_steps:
            self.members.end_all(Status.MAX_STEPS, self._reached(t))
        return not self.members.none_left

    def _reached(self, t: Time) -> Tensor | float:
        return t.detach().double().reshape(-1).expand(self.problem.count) if isinstance(t, Tensor) else t

    def _move(
        self, t: Time, t1: Time, h: Time, carry: tuple[Tensor, ...], step: Step, emissions: list[Emission]
    ) -> None:
        """Accept a step: the living go to its end, or to where an event stops them."""
        accept = None if self.members.alive is None else self.members.alive[:, None]
        record = Record(t, h, t1, self.y, step.y, carry, accept, step.interpolant, None)
        self.steps += 1
        if self.observer.watch is None:
            self.observer.keep(record, step, emissions)
            self.y = self.members.select(step.y)
            return
        record.t, record.h, record.t1 = (self._spread(x) for x in (t, h, t1))
        stop = self.observer.see(record, step)
        if stop is not None:
            self.members.end(stop.rows[:, 0], stop.status[:, 0], self._reached(record.t1))
        self.y = self.members.select(record.y1)

    def _spread(self, x: Time) -> Tensor:
        """A time as (batch, 1)."""
        x = x.reshape(-1, 1) if isinstance(x, Tensor) else self.ts.new_full((1, 1), x, dtype=torch.float64)
        return x.expand(self.problem.count, 1)

    def _ending(self, t: Time) -> Ending:
        self.members.finish(self._reached(t))
        counts = [torch.full_like(self.members.status, n) for n in (self.steps, self.rejected)]
        return Ending(self.members.status, self.members.reached, *counts)


def _plain(t: Time) -> Any:
    """A time as a number, or (batch, 1), without gradients."""
    return t if not isinstance(t, Tensor) else t.detach() if t.ndim else float(t.detach())
