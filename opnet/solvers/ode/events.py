"""Events: sign changes of functions of the solution, located within the steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan
from typing import Any, NamedTuple

import torch
from torch import Tensor

from opnet.core.expect import expect, found
from opnet.core.status import Status
from opnet.solvers.ode.bracket import behind_root
from opnet.solvers.ode.fields import Function
from opnet.solvers.ode.layout import State
from opnet.solvers.ode.problem import Problem
from opnet.solvers.ode.record import Record
from opnet.solvers.ode.stages import Time

LOOKS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of each step: where the sign of a condition is looked at


@dataclass(frozen=True, eq=False)
class Event:
    """A root of `g(t) = condition(t, y(t), *args)`, for each element of the batch its own.

    The sign of g is looked at at the start, the three quarters and the end of each step, on its continuous extension; a
    change is located to `tolerance` by bracketing. An even number of roots between two looks goes unnoticed, and a jump
    of g counts as a root. A root at the very start, within `tolerance`, is no event: a solve can go on from one
    (give a direction or a tolerance, for rounding of the state may put the start just before the root).

    A NaN of g ends the element with `Status.NON_FINITE` at the start of the step it was met in: no event is missed in
    silence. Times and states of events carry gradients, by the implicit function theorem (once: no second derivatives).

    Args:
        condition: g as a function of t, of shape (batch, 1, ..., 1), y and the args of the field, giving (batch,); for
            a state without a batch neither t nor the value has dimensions. It must treat each element alone.
        direction: 1 for roots where g grows as the integration goes on, -1 where it falls, 0 for both.
        terminal: end the element there: `ODESolution.reached` is the time, `status` is CONVERGED, and outputs behind it
            are NaN. Of several terminal events of one step the first one ends it, and later roots are not reported.
        tolerance: of the time, in the unit of t; the rounding of t and y by default.

    A ball is thrown upwards at 10 m/s; its height and velocity (m, m/s), highest point, and end of flight:

    >>> from opnet.solvers.ode.solve import Event, solve_ode
    >>> top = Event(lambda t, y: y[1], direction=-1, terminal=False)
    >>> ground = Event(lambda t, y: y[0], direction=-1)
    >>> ball, ts = torch.tensor([0.0, 10.0]), torch.tensor([0.0, 60.0])
    >>> sol = solve_ode(lambda t, y: torch.stack([y[1], torch.full_like(t, -10.0)]), ball, ts, events=(top, ground))
    >>> [round(float(event.times[0, 0]), 4) for event in sol.events]  # v / g and 2 v / g
    [1.0, 2.0]
    >>> sol.events[0].states[0].round(decimals=3), sol.ys[-1]  # v^2 / 2 g high; nothing is known of t = 60
    (tensor([5., 0.]), tensor([nan, nan]))
    """

    condition: Function
    direction: int = 0
    terminal: bool = True
    tolerance: float | None = None

    def __post_init__(self) -> None:
        if self.direction not in (-1, 0, 1):
            raise ValueError(f"Event.direction: expected -1, 0 or 1, found {self.direction!r}")
        if self.tolerance is not None and not (self.tolerance > 0 and isfinite(self.tolerance)):
            raise ValueError(f"Event.tolerance: expected a positive number, found {self.tolerance!r}")


@dataclass(frozen=True)
class Occurrences:
    """The roots found of one event, with gradients.

    Attributes:
        times: (batch, occurrences), float64, in the order of integration; NaN behind the last of an element.
        states: of the form of y0, each tensor (occurrences, *shape); NaN likewise.
        count: how many each element had; (batch,).
    """

    times: Tensor
    states: State
    count: Tensor


class Stop(NamedTuple):
    """Elements that a step ended, (rows, 1) bool, and how, (rows, 1)."""

    rows: Tensor
    status: Tensor


class Watch:
    """Looks for events in each step.

    Raises:
        ValueError: for anything but events.
    """

    def __init__(self, events: Sequence[Event], problem: Problem) -> None:
        expect("events", events, (tuple, list), "a tuple of events")
        for i, event in enumerate(events):
            expect(f"events[{i}]", event, Event, "an event such as Event(condition)")
        self.events, self.problem = tuple(events), problem
        self._logs = [_Log(problem) for _ in events]
        self._before: Tensor | None = None  # conditions where each row stands, (rows, events)
        self._start = problem.y0.new_empty(0)  # where it began, (rows, 1)
        rises, falls = ([event.direction * sign >= 0 for event in events] for sign in (1, -1))
        self._rises, self._falls = (torch.tensor(x, device=problem.y0.device)[:, None] for x in (rises, falls))
        self._time_shape = (-1, *(1,) * len(problem.layout.shapes[0])) if problem.layout.batched else ()

    @property
    def terminal(self) -> bool:
        """Whether any event ends elements."""
        return any(event.terminal for event in self.events)

    def value(self, event: int, t: Time, y: Tensor) -> Tensor:
        """The condition of an event at times (rows, 1) and states (rows, n); (rows,)."""
        layout = self.problem.layout
        assert isinstance(t, Tensor)
        state = layout.state(y)
        value = self.events[event].condition(t.to(y.dtype).reshape(self._time_shape), state, *self.problem.args)
        shape = (len(y),) if layout.batched else ()
        if not isinstance(value, Tensor) or value.shape != shape or not value.dtype.is_floating_point:
            raise ValueError(
                f"events[{event}].condition: expected a floating tensor of shape {shape}, one number an element, "
                f"found {f'{value.dtype} of {tuple(value.shape)}' if isinstance(value, Tensor) else found(value)}"
            )
        return value.reshape(-1).double()

    def values(self, t: Time, y: Tensor) -> Tensor:
        """All conditions, (rows, events)."""
        return torch.stack([self.value(i, t, y) for i in range(len(self.events))], 1)

    def see(self, record: Record) -> Stop | None:
        """Look for events in a step whose times are (rows, 1); which elements end in it, if any do.

        The record then says where the event took them.
        """
        record.extension()  # made here, with gradients if they are wanted; looked at without
        with torch.no_grad():
            values = self._look(record)
            old, new = values[..., :-1], values[..., 1:]
            changed = (self._rises & (old < 0) & (new >= 0)) | (self._falls & (old > 0) & (new <= 0))
            unknown = values.isnan()
            if record.accept is None:
                self._before = values[..., -1]
            else:
                took = record.accept[..., None]
                changed, unknown = changed & took, unknown & took
                self._before = torch.where(record.accept, values[..., -1], values[..., 0])
            if not bool(changed.any() | unknown.any()):
                return None
            points = torch.tensor(LOOKS, dtype=torch.float64, device=values.device)
            failing = torch.where(unknown.any(1), points, inf).amin(1, keepdim=True)
            roots, failing = self._roots(record, values, changed, failing)
            stopping = torch.full_like(failing, inf)
            for event, theta in roots:
                if self.events[event].terminal:
                    stopping = torch.minimum(stopping, theta)
            failed = (failing <= stopping) & failing.isfinite()
            last = torch.where(failed, -inf, stopping)
        for event, theta in roots:
            self._keep(record, event, theta, last)
        if bool(failed.any()):
            record.accept = ~failed if record.accept is None else record.accept & ~failed
            record.t1 = torch.where(failed, record.t, record.t1)
            record.y1 = torch.where(failed, record.y, record.y1)
        ends = failed | last.isfinite()
        if not bool(ends.any()):
            return None
        return Stop(ends, torch.where(failed, int(Status.NON_FINITE), int(Status.CONVERGED)))

    def _look(self, record: Record) -> Tensor:
        """The conditions at all looks of a step, (rows, events, looks)."""
        t, _, t1 = _times(record)
        if self._before is None:
            self._start, self._before = t.detach(), self.values(t, record.y)
        within = [self.values(*_point(record, theta)) for theta in LOOKS[1:-1]]
        return torch.stack((self._before, *within, self.values(t1, record.y1)), 2)

    def _roots(
        self, record: Record, values: Tensor, changed: Tensor, failing: Tensor
    ) -> tuple[list[tuple[int, Tensor]], Tensor]:
        """Roots as (event, fraction of the step (rows, 1), Inf where there is none), each event's in their order.

        And the first fraction from which on a condition is NaN somewhere.
        """
        roots, one = [], torch.ones_like(failing)
        for event, j in changed.any(0).nonzero().tolist():
            wanted, width = changed[:, event, j : j + 1], self._width(event, record)
            begin, end = (torch.where(wanted, LOOKS[k] * one, one) for k in (j, j + 1))
            g0, g1 = (values[:, event, k : k + 1] for k in (j, j + 1))

            def g(theta: Tensor, event: int = event) -> Tensor:
                return self.value(event, *_point(record, theta))[:, None]

            theta = behind_root(g, begin, end, g0, g1, torch.where(wanted, width, one))
            failing = torch.where(theta.isnan(), failing.clamp(max=LOOKS[j]), failing)
            t, h, _ = _times(record)
            moved = (t + theta * h - self._start).abs() > 2 * width * h.abs()
            roots.append((event, torch.where(wanted & moved, theta, inf)))
        return roots, failing

    def _width(self, event: int, record: Record) -> Tensor:
        """How closely a root is located, as a fraction of the step; (rows, 1)."""
        t, h, t1 = _times(record)
        tolerance = self.events[event].tolerance
        times = torch.finfo(torch.float64).eps * torch.maximum(t.abs(), t1.abs())
        width = (times if tolerance is None else times.clamp(min=tolerance)) / h.abs()
        return width.clamp(min=2 * torch.finfo(record.y.dtype).eps)

    def _keep(self, record: Record, event: int, theta: Tensor, last: Tensor) -> None:
        """Log the roots up to `last`; those of a terminal event end the step of their element."""
        chosen = theta.isfinite() & (theta <= last)
        rows = chosen[:, 0].nonzero()[:, 0]
        if len(rows) == 0:
            return
        at = self._with_gradients(event, record, torch.where(chosen, theta, 1.0), rows)
        t, h, t1 = _times(record)
        time = t[rows] + at * h[rows]
        time = time + torch.where(at == 1, t1[rows] - time, 0.0).detach()
        y = record.at(at.to(record.y.dtype), rows)
        self._logs[event].add(rows if record.rows is None else record.rows[rows], time, y)
        if self.events[event].terminal:
            first = (theta == last)[rows, 0]
            record.t1 = t1.index_put((rows[first],), time[first])
            record.y1 = record.y1.index_put((rows[first],), y[first])

    def _with_gradients(self, event: int, record: Record, theta: Tensor, rows: Tensor) -> Tensor:
        """theta[rows], with the gradient of the root: `d theta = -dg / (dg / d theta)`."""
        if not torch.is_grad_enabled():
            return theta[rows]
        g = self.value(event, *_point(record, theta))
        if not g.requires_grad:
            return theta[rows]
        point = theta.detach().requires_grad_()
        total = self.value(event, *_point(record, point)).sum()
        (slope,) = torch.autograd.grad(total, point, retain_graph=True, allow_unused=True, materialize_grads=True)
        return _Root.apply(theta[rows], g[rows, None], slope[rows])

    def take(self, rows: Tensor) -> None:
        """Go on with some of the rows."""
        if self._before is not None:
            self._before, self._start = self._before[rows], self._start[rows]

    def occurrences(self) -> tuple[Occurrences, ...]:
        """What was found, for each event."""
        return tuple(log.stack() for log in self._logs)


class _Root(torch.autograd.Function):
    """theta, as the root of g, whose slope is held constant: a second derivative would be wrong, and is refused."""

    @staticmethod
    def forward(ctx: Any, theta: Tensor, g: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(slope)
        return theta.clone()

    @staticmethod
    def backward(ctx: Any, w: Tensor) -> tuple[None, Tensor, None]:
        if torch.is_grad_enabled():  # create_graph
            raise RuntimeError("Event: expected first derivatives of times and states, found create_graph=True")
        (slope,) = ctx.saved_tensors
        return None, torch.where(w == 0, 0.0, -w / slope), None


class _Log:
    """The roots of one event as they are found."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.count = torch.zeros(problem.count, dtype=torch.long, device=problem.y0.device)
        self.parts: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []  # (index, element, time, state)

    def add(self, elements: Tensor, t: Tensor, y: Tensor) -> None:
        """The next root of some elements."""
        self.parts.append((self.count[elements], elements, t[:, 0], y))
        self.count[elements] += 1

    def stack(self) -> Occurrences:
        y0, most = self.problem.y0, int(self.count.max())
        times = torch.full((len(y0), most), nan, dtype=torch.float64, device=y0.device)
        states = torch.full((most, *y0.shape), nan, dtype=y0.dtype, device=y0.device)
        if self.parts:
            index, element, t, y = (torch.cat(parts) for parts in zip(*self.parts, strict=True))
            times, states = times.index_put((element, index), t), states.index_put((index, element), y)
        return Occurrences(times, self.problem.layout.state(states), self.count)


def _times(record: Record) -> tuple[Tensor, Tensor, Tensor]:
    """t, h and t1 of a step, (rows, 1)."""
    t, h, t1 = record.t, record.h, record.t1
    assert isinstance(t, Tensor)
    assert isinstance(h, Tensor)
    assert isinstance(t1, Tensor)
    return t, h, t1


def _point(record: Record, theta: Tensor | float) -> tuple[Tensor, Tensor]:
    """Times and states at the fraction theta of a step."""
    t, h, _ = _times(record)
    return t + theta * h, record.at(theta.to(record.y.dtype) if isinstance(theta, Tensor) else theta)
