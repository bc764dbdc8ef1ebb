"""`ODESolution`: what `solve_ode` gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
    steps: Tensor | None
    rejected: Tensor | None
    evaluations: int
    dense: Dense | None = None
    estimates: Estimates | None = None
    events: tuple[Occurrences, ...] = ()


class Dense:
    """The solution between the times asked for: the continuous extension of every step, of order `dense_order`.

    Called with a time, (time,) times, or (batch, time) times of each element's own, in the unit of t, it gives the
    state at each: of the form of y0, with a leading dimension for times. NaN beyond the time an element reached. It
    carries the gradients that the solution has, and those of the times it is called with.

    >>> from opnet.solvers.ode.solve import solve_ode
    >>> ts = torch.tensor([0.0, 1.0], dtype=torch.float64)
    >>> sol = solve_ode(lambda t, y: torch.cos(t).expand(1), torch.zeros(1).double(), ts, rtol=1e-8, dense=True)
    >>> torch.allclose(sol.dense(ts / 2)[:, 0], torch.sin(ts / 2), atol=1e-7)
    True
    """

    def __init__(self, problem: Problem, ts: Tensor, records: list[Record]) -> None:
        self._layout, self._y0, self._records = problem.layout, problem.y0, records
        count, device = problem.count, problem.y0.device
        limits = ts.detach().double()[:, [0, -1]].expand(count, 2)
        self._sign = -1.0 if bool((limits[:, 1] < limits[:, 0]).any()) else 1.0
        self._start, self._end = (self._sign * limits).split(1, 1)  # (batch, 1), in the direction of integration
        ends, everyone = [self._start[:, 0]], torch.arange(count, device=device)
        for record in records:
            rows = everyone if record.rows is None else record.rows
            end = self._sign * self._column(record.t1).expand(len(rows))
            if record.accept is not None:
                took = record.accept[:, 0]
                rows, end = rows[took], end[took]
            ends.append(ends[-1].index_put((rows,), end))
        self._ends = torch.stack(ends[1:] or ends, 1)  # (batch, steps)

    @property
    def count(self) -> int:
        """Elements of the batch."""
        return len(self._y0)

    def _column(self, t: Any) -> Tensor:
        return torch.as_tensor(t, dtype=torch.float64, device=self._y0.device).detach().reshape(-1)

    def __call__(self, t: Tensor | float) -> State:
        """The state at t.

        Raises:
            ValueError: for times outside the interval that was solved.
        """
        times = torch.as_tensor(t, dtype=torch.float64, device=self._y0.device)
        if times.ndim > 2 or (times.ndim == 2 and len(times) != len(self._y0)):
            forms = f"(time,) or ({len(self._y0)}, time)"
            raise ValueError(f"dense: expected a time, or times of shape {forms}, found {tuple(times.shape)}")
        each = times if times.ndim == 2 else times.reshape(1, -1).expand(len(self._y0), -1)
        values = self.rows(each)
        return self._layout.state(values if times.ndim else values[0])

    def rows(self, times: Tensor) -> Tensor:
        """The solution in rows at times (batch, time); (time, batch, n)."""
        signed = self._sign * times.detach().contiguous()
        outside = ~((signed >= self._start) & (signed <= self._end))
        if bool(outside.any()):
            element, index = outside.nonzero()[0].tolist()
            start, end = sorted(self._sign * float(x[element]) + 0.0 for x in (self._start, self._end))
            raise ValueError(
                f"dense: expected times between {start:g} and {end:g}, found {float(times[element, index]):g}"
            )
        at_start = signed == self._start
        first, second = (torch.searchsorted(self._ends, signed, right=right) for right in (False, True))
        steps = torch.where(at_start, second, first)  # that each time lies in; (batch, time)
        values = torch.where(at_start.T[..., None], self._y0, torch.nan)
        order = steps.reshape(-1).argsort()
        found, counts = steps.reshape(-1)[order].unique_consecutive(return_counts=True)
        places, parts = [], []
        for step, place in zip(found.tolist(), order.split(counts.tolist()), strict=True):
            if step < len(self._records):  # it is not beyond what was reached
                element, index = place // times.shape[1], place % times.shape[1]
                places.append((index, element))
                parts.append(self._within(self._records[step], element, times[element, index][:, None]))
        if not parts:
            return values
        index, element = (torch.cat(x) for x in zip(*places, strict=True))
        return values.index_put((index, element), torch.cat(parts))

    def _within(self, record: Record, elements: Tensor, times: Tensor) -> Tensor:
        """The solution of some elements at times (elements, 1) in a step."""
        rows = elements if record.rows is None else torch.searchsorted(record.rows, elements)
        t, h = (x[rows] if isinstance(x, Tensor) and x.ndim else x for x in (record.t, record.h))
        return record.at(((times - t) / h).to(self._y0.dtype), rows)
