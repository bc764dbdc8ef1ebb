"""`Observer`: what is kept of the steps: outputs at the times asked for, the dense solution, events, a tape."""

from __future__ import annotations

from math import nan

import torch
from torch import Tensor

from opnet.solvers.ode.adjoints.tape import Tape
from opnet.solvers.ode.clock import Clock
from opnet.solvers.ode.estimates import EstimateLog
from opnet.solvers.ode.events import Stop, Watch
from opnet.solvers.ode.problem import Problem
from opnet.solvers.ode.record import Emission, Record
from opnet.solvers.ode.stepper import Step


class Outputs:
    """The solution at the times asked for, collected as steps pass them.

    `ts` is (1, time) where the batch shares the times, (batch, time) otherwise; it may carry gradients.
    """

    def __init__(self, problem: Problem, ts: Tensor) -> None:
        self.problem, self.ts = problem, ts
        self.sign = -1.0 if ts.shape[1] > 1 and bool((ts[:, 1] < ts[:, 0]).any()) else 1.0
        self.whole: list[Tensor] = [problem.y0]  # one entry a time, for batches that step together
        self.parts: list[tuple[Tensor, Tensor, Tensor]] = []  # (index, element, value) otherwise
        self.next = torch.ones(problem.count, dtype=torch.long, device=problem.y0.device)
        signed = self.sign * ts.detach().to(torch.float64)
        self._signed = torch.cat([signed, torch.full_like(signed[:, :1], torch.inf)], 1)
        self.due = self._time(self._signed, None, self.next)  # the next time of each row, signed; (rows, 1)

    def _time(self, ts: Tensor, rows: Tensor | None, index: Tensor) -> Tensor:
        """Times of some rows (long), or of all, by their index; (rows, 1)."""
        if len(ts) == 1:
            return ts[0, index][:, None]
        return ts.gather(1, index[:, None]) if rows is None else ts[rows, index][:, None]

    def clock(self) -> Clock:
        """That of steps which end at all times asked for: they stretch with the interval up to the next."""
        following = self.next.clamp(max=self.ts.shape[1] - 1)
        return Clock(*(self._time(self.ts, None, index) for index in (following - 1, following)))

    def take(self, rows: Tensor) -> None:
        """Go on with some of the rows."""
        self.next, self.due = self.next[rows], self.due[rows]
        if len(self.ts) > 1:
            self.ts, self._signed = self.ts[rows], self._signed[rows]

    def see(self, record: Record) -> list[Emission]:
        """The outputs that lie in a step of elements with steps of their own: one an element, and then the second."""
        assert isinstance(record.t1, Tensor)
        assert isinstance(record.t, Tensor)
        assert isinstance(record.h, Tensor)
        t1 = record.t1.detach() if record.t1.requires_grad else record.t1
        end = t1 if self.sign > 0 else -t1
        passed = self.due <= end
        if record.accept is not None:
            passed = passed & record.accept
        if not bool(passed.any()):
            return []
        rows, emissions = passed[:, 0].nonzero()[:, 0], []
        end, last = end[rows], self.ts.shape[1] - 1
        while len(rows):
            index, due = self.next[rows], self.due[rows]
            following = index + 1
            later = self._time(self._signed, rows, following)
            self.next[rows], self.due[rows] = following, later
            ends = due == end
            if self.ts.requires_grad and record.interpolant is not None:
                ends = ends & (index == last)[:, None]
            if bool(ends.all()):
                emissions.append(Emission(rows, index, 1.0, True))
            else:
                theta = (self._time(self.ts, rows, index) - record.t[rows]) / record.h[rows]
                emissions.append(Emission(rows, index, theta.to(record.y.dtype), False, ends))
            more = later <= end
            if not bool(more.any()):
                break
            rows, end = rows[more[:, 0]], end[more[:, 0]]
        return emissions

    def put(self, record: Record, emission: Emission) -> None:
        """Keep the values of an emission."""
        value = record.emit(emission)
        if isinstance(emission.index, int):
            self.whole.append(value if record.accept is None else torch.where(record.accept, value, nan))
        else:
            assert emission.rows is not None
            element = emission.rows if record.rows is None else record.rows[emission.rows]
            self.parts.append((emission.index, element, value))

    def stack(self) -> Tensor:
        """(time, batch, n); NaN where the solution did not get."""
        y0, times = self.problem.y0, self.ts.shape[1]
        if not self.parts:
            missing = times - len(self.whole)
            return torch.stack(self.whole + [torch.full_like(y0, nan)] * missing)
        index, element, value = (torch.cat(parts) for parts in zip(*self.parts, strict=True))
        rest = torch.full((times - 1, *y0.shape), nan, dtype=y0.dtype, device=y0.device)
        return torch.cat([y0[None], rest.index_put((index - 1, element), value)])


class Observer:
    """Everything that looks at accepted steps.

    Attributes:
        outputs: values at the times asked for.
        watch: events; None if there are none.
        dense: all records, where the dense solution is wanted; else None.
        tape: the steps and some states, where steps are to be taken again; else None.
        log: error and stiffness estimates, where they are wanted; else None.
    """

    def __init__(
        self, outputs: Outputs, watch: Watch | None = None, *, dense: bool = False, tape: Tape | None = None
    ) -> None:
        self.outputs, self.watch, self.tape = outputs, watch, tape
        self.dense: list[Record] | None = [] if dense else None
        self.log = EstimateLog(outputs.problem.count) if outputs.problem.estimates else None

    def see(self, record: Record, step: Step) -> Stop | None:
        """Look at a step whose times are (rows, 1); which rows an event ended, and how.

        The record then says where the event took them.
        """
        stopped = self.watch.see(record) if self.watch is not None else None
        self.keep(record, step, self.outputs.see(record))
        return stopped

    def take(self, rows: Tensor) -> None:
        """Go on with some of the rows."""
        self.outputs.take(rows)
        if self.watch is not None:
            self.watch.take(rows)

    def keep(self, record: Record, step: Step, emissions: list[Emission]) -> None:
        """Keep what is wanted of a step, whose outputs are known."""
        record.emissions = emissions
        for emission in emissions:
            self.outputs.put(record, emission)
        if self.dense is not None:
            record.extension()  # now, while f has all it is called with
            self.dense.append(record)
        if self.tape is not None:
            self.tape.add(record)
        if self.log is not None:
            self.log.add(step, record.t, record.h, record.accept, record.rows)
