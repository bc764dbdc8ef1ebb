"""`ODESolution`: what `solve_ode` gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

import torch
from torch import Tensor

from opnet.solvers.ode.estimates import Estimates
from opnet.solvers.ode.events import Occurrences
from opnet.solvers.ode.layout import State
from opnet.solvers.ode.problem import Problem
from opnet.solvers.ode.record import Record


@dataclass(frozen=True)
class ODESolution:
    """The solution of an initial value problem at the times asked for.

    Attributes:
        ys: of the form of y0, each tensor (time, *shape), the first time being y0; NaN after the time an element
            reached.
        ts: the times, as given.
        status: one `Status` an element of the batch; (batch,).
        reached: the time each element reached; (batch,), float64.
        steps: steps taken; (batch,), or None for a back end that does not count them.
        rejected: steps tried and rejected; likewise.
        evaluations: calls of the vector field (each of the whole batch, or of what is left of it).
        dense: the solution at any time, where `dense=True` asked for it; else None.
        estimates: error and stiffness estimates of each step, where `Direct(estimates=True)` asked for them.
        events: what was found of each event asked for.
    """

    ys: Any
    ts: Tensor
    status: Tensor
    reached: Tensor
    steps: Optional[Tensor]
    rejected: Optional[Tensor]
    evaluations: int
    dense: Optional[Dense] = None
    estimates: Optional[Estimates] = None
    events: tuple[Occurrences, ...] = ()


class Dense:
    """The solution between the times asked for: the continuous extension of every step.

    Called with a time or (time,) times, in the unit of t, it gives the state at each: of the form of y0, with a
    leading dimension for times. NaN beyond the time an element reached.
    """

    def __init__(self, problem: Problem, ts: Tensor, reached: Tensor, records: list[Record]) -> None:
        self._layout, self._y0, self._records, self._reached = problem.layout, problem.y0, records, reached
        count, device = problem.count, problem.y0.device
        limits = ts.detach().double()[:, [0, -1]].expand(count, 2)
        self._sign = torch.where(limits[:1, 1] < limits[:1, 0], -1.0, 1.0)
        self._start, self._end = limits.mul(self._sign).unbind(1)  # (batch,), in the direction of integration
        ends, everyone = [self._start], torch.arange(count, device=device)
        for record in records:
            rows = everyone if record.rows is None else record.rows
            end = (self._column(record.t1) * self._sign).expand(len(rows))
            if record.accept is not None:
                took = record.accept[:, 0]
                rows, end = rows[took], end[took]
            ends.append(ends[-1].index_put((rows,), end))
        self._ends = torch.stack(ends[1:] or ends, 1)  # (batch, steps)

    def _column(self, t: Any) -> Tensor:
        t = t.detach().double() if isinstance(t, Tensor) else torch.tensor(t, dtype=torch.float64, device=self._y0.device)
        return t.reshape(-1)

    def __call__(self, t: Tensor | float) -> State:
        """The state at t: a number, or (time,) times.

        Raises:
            ValueError: for times outside the interval that was solved.
        """
        times = torch.as_tensor(t, dtype=torch.float64, device=self._y0.device)
        one = times.ndim == 0
        values = [self._at(time) for time in times.reshape(-1)]
        return self._layout.state(values[0] if one else torch.stack(values))

    def _at(self, time: Tensor) -> Tensor:
        signed = time * self._sign
        if not bool(((signed >= self._start) & (signed <= self._end)).all()):
            raise ValueError(
                f"dense: expected times between {float(self._sign * self._start.max()):g} and "
                f"{float(self._sign * self._end.min()):g}, found {float(time):g}"
            )
        at_start = signed == self._start
        value = torch.where(at_start[:, None], self._y0, torch.nan)
        index = torch.searchsorted(self._ends, signed.expand(len(self._ends))[:, None].contiguous())[:, 0]
        inside = ~at_start & (index < len(self._records))
        for i in index[inside].unique().tolist():
            value = self._put(value, self._records[i], (inside & (index == i)).nonzero()[:, 0], time)
        return value

    def _put(self, value: Tensor, record: Record, elements: Tensor, time: Tensor) -> Tensor:
        rows = elements if record.rows is None else torch.searchsorted(record.rows, elements)
        t, h = (x[rows] if isinstance(x, Tensor) and x.ndim else x for x in (record.t, record.h))
        theta = (time - t) / h
        theta = theta.to(value.dtype).expand(len(rows), 1) if isinstance(theta, Tensor) else theta
        return value.index_put((elements,), record.at(theta, rows))
