"""`Replay`: the steps of a solve taken again, and differentiated one at a time from the last to the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from opnet.solvers.ode.adjoints.captured import pull
from opnet.solvers.ode.adjoints.schedule import split
from opnet.solvers.ode.adjoints.tape import State, Tape
from opnet.solvers.ode.clock import Clock
from opnet.solvers.ode.integrate import Integration
from opnet.solvers.ode.layout import Layout
from opnet.solvers.ode.members import stand_in
from opnet.solvers.ode.problem import Problem
from opnet.solvers.ode.record import Emission, Record
from opnet.solvers.ode.stages import Time
from opnet.solvers.ode.stepper import finite


class Replay:
    """One backward pass.

    Args:
        integration: the solve; its field with the args it is called with, which are leaves where gradients go to them.
        layout: the form of the state.
        tape: the steps it took, and some of the states between them.
        y0: in rows.
        ts: (1, time) or (batch, time); with gradients where they go to them.
        others: what else gradients go to.
    """

    def __init__(
        self, integration: Integration, layout: Layout, tape: Tape, y0: Tensor, ts: Tensor, others: Sequence[Tensor]
    ) -> None:
        self.tape, self.y0, self.ts, self.stepper = tape, y0, ts, integration.stepper
        # What is made once a solve must have its graph in steps that are differentiated, and need none in the others.
        state = layout.state(y0)
        self.advancing, self.differentiated = integration.problem(state), integration.problem(state)
        self.together = integration.control.joint or not integration.stepper.adaptive
        self.inputs = [x for x in (ts, *integration.field.args) if x.requires_grad] + list(others)
        self.totals: list[Tensor | None] = [None] * len(self.inputs)
        self.whole = bool(self.stepper.adaptive and self.stepper.dense_order)  # steps stretch with the whole interval
        self.intervals = _intervals(tape, y0, ts.shape[1] - 2) if ts.requires_grad and not self.whole else []

    def run(self, gradients: Tensor) -> tuple[Tensor, list[Tensor | None]]:
        """The gradients of y0 and of the inputs, given those of the outputs (time, batch, n)."""
        g, count = gradients[0], len(self.tape.records)
        if count == 0:
            return g, self.totals
        self.gradients = gradients
        self.cotangents: tuple[Tensor | None, ...] = (None,)
        end, spare = count, self.tape.memory - len(self.tape.states)
        for number in sorted(self.tape.states, reverse=True):
            self._reverse(number, end, self.tape.states[number], spare)
            end = number
        y0 = self.y0.detach().requires_grad_()
        with torch.enable_grad():
            self._pull((y0,), self._start(y0))
        (first,) = self.cotangents
        return g if first is None else g + first, self.totals

    def _reverse(self, first: int, end: int, state: State, slots: int) -> None:
        """Differentiate the steps from `end` down to `first`, before which the state was `state`."""
        while end - first > 1:
            if slots == 0:
                self._differentiate(end - 1, self._advance(first, end - 1, state))
                end -= 1
            else:
                middle = first + split(end - first, slots)
                self._reverse(middle, end, self._advance(first, middle, state), slots - 1)
                end = middle
        self._differentiate(first, state)

    def _advance(self, first: int, end: int, state: State) -> State:
        with torch.no_grad():
            for number in range(first, end):
                state, _ = self._step(self.advancing, number, state)
        return state

    def _differentiate(self, number: int, state: State) -> None:
        """From the gradients of what a step led to, those of what it started from."""
        leaves = State(_leaf(state.y), tuple(map(_leaf, state.carry)))
        with torch.enable_grad():
            after, values = self._step(self.differentiated, number, leaves)
        record = self.tape.records[number]
        wanted = [self._gradient(record, emission) for emission in record.emissions]
        cotangents = (*self.cotangents, *[None] * (1 + len(after.carry) - len(self.cotangents)))
        self.cotangents = (*cotangents, *wanted)
        self._pull((leaves.y, *leaves.carry), (after.y, *after.carry, *values))

    def _pull(self, sources: tuple[Tensor, ...], results: tuple[Tensor, ...]) -> None:
        """Turn the cotangents of results into those of sources, and add up what goes to the inputs."""
        pairs = [(x, g) for x, g in zip(results, self.cotangents, strict=True) if g is not None and x.requires_grad]
        self.cotangents = (None,) * len(sources)
        if not pairs:
            return
        found = pull([x for x, _ in pairs], [*sources, *self.inputs], [g for _, g in pairs])
        self.cotangents = found[: len(sources)]
        for i, g in enumerate(found[len(sources) :]):
            total = self.totals[i]
            if g is not None:
                self.totals[i] = g.clone() if total is None else total.add_(g)

    # -- steps

    def _start(self, y: Tensor) -> tuple[Tensor, ...]:
        """The state that the first step starts from, as tensors: y and what is carried."""
        problem, record = self.differentiated, self.tape.records[0]
        problem.rows, problem.args = None, problem.field.args
        t = self.ts[0, 0] if problem.joint or not isinstance(record.t, Tensor) else self.ts[:, :1].expand(len(y), 1)
        t = t.double()
        k = problem.f(t, y)
        good = finite(y) & finite(k)
        if not bool(good.all()):
            y = stand_in(y, good)
            k = problem.f(t, y)
        state = State(y, self.stepper.start(problem, t, y, k))
        return _tensors(_taken(state, None, record.rows))

    def _step(self, problem: Problem, number: int, state: State) -> tuple[State, list[Tensor]]:
        """The state after a step, of the elements that the next one computes, and the outputs in it."""
        record, accept = self.tape.records[number], self.tape.records[number].accept
        args, rows = problem.field.args, record.rows
        problem.rows, problem.args = rows, args if rows is None else tuple(arg[rows] for arg in args)
        if self.together and accept is not None:
            state = State(stand_in(state.y, accept), tuple(stand_in(x, accept) for x in state.carry))
        t, h = self._times(number, record)
        step = self.stepper.step(problem, t, state.y, h, state.carry)
        after = State(step.y, step.carry)
        if accept is not None and not self.together:
            pairs = zip(_tensors(after), _tensors(state), strict=True)
            y, *carry = (torch.where(accept, a, b) for a, b in pairs)
            after = State(y, tuple(carry))
        taken = replace(record, t=t, h=h, y=state.y, y1=step.y, carry=state.carry, interpolant=step.interpolant)
        values = []
        if torch.is_grad_enabled():
            values = [taken.emit(self._placed(taken, emission)) for emission in record.emissions]
        if number + 1 < len(self.tape.records):
            after = _taken(after, rows, self.tape.records[number + 1].rows)
        return after, values

    def _times(self, number: int, record: Record) -> tuple[Time, Time]:
        """t and h, with gradients where ts has them."""
        if not self.ts.requires_grad:
            return record.t, record.h
        ts = self.ts if record.rows is None or len(self.ts) == 1 else self.ts[record.rows]
        own = isinstance(record.t, Tensor) and record.t.ndim > 0
        if self.whole:
            ends = [ts[:, i, None] if own else ts[0, i] for i in (0, -1)]
        else:
            interval = self.intervals[number]
            rows = ts.expand(len(interval), -1)
            ends = [rows.gather(1, (interval + i)[:, None]) if own else ts[0, interval[0] + i] for i in (0, 1)]
        clock = Clock(*ends)
        return clock.time(record.t), clock.step(record.h)

    def _placed(self, record: Record, emission: Emission) -> Emission:
        """Where an output lies in a step: inside the interval it moves with its time, as no end of a step does."""
        if not (self.ts.requires_grad and self.whole):
            return emission
        last = self.ts.shape[1] - 1
        if isinstance(emission.index, int):
            if emission.index == last:
                return emission
            return replace(emission, theta=(self.ts[0, emission.index] - record.t) / record.h, at_end=False)
        final = (emission.index == last)[:, None]
        if emission.at_end and bool(final.all()):
            return emission
        assert emission.rows is not None
        assert isinstance(record.t, Tensor)
        assert isinstance(record.h, Tensor)
        time = self.ts.expand(len(self.y0), -1)[_elements(record, emission), emission.index][:, None]
        theta = (time - record.t[emission.rows]) / record.h[emission.rows]
        ends = final if emission.ends is None else final & emission.ends
        return replace(emission, theta=theta.to(record.y.dtype), at_end=False, ends=ends)

    def _gradient(self, record: Record, emission: Emission) -> Tensor:
        """The gradient of the values of an emission; an element that had failed by then has no value."""
        if isinstance(emission.index, int):
            g = self.gradients[emission.index]
            return g if record.accept is None else torch.where(record.accept, g, 0.0)
        return self.gradients[emission.index, _elements(record, emission)]


def _intervals(tape: Tape, y0: Tensor, last: int) -> list[Tensor]:
    """Between which times asked for each step lies, by its elements (rows,), if it does not pass any."""
    passed, intervals = torch.zeros(len(y0), dtype=torch.long, device=y0.device), []
    for record in tape.records:
        rows = slice(None) if record.rows is None else record.rows
        intervals.append(passed[rows].clamp(max=last))
        for emission in record.emissions:
            if isinstance(emission.index, int):
                passed += 1
            else:
                passed[_elements(record, emission)] += 1
    return intervals


def _elements(record: Record, emission: Emission) -> Tensor:
    assert emission.rows is not None
    return emission.rows if record.rows is None else record.rows[emission.rows]


def _leaf(x: Tensor) -> Tensor:
    return x.detach().requires_grad_(x.dtype.is_floating_point)


def _tensors(state: State) -> tuple[Tensor, ...]:
    return (state.y, *state.carry)


def _taken(state: State, rows: Tensor | None, wanted: Tensor | None) -> State:
    """The state of the elements `wanted`, given that of `rows`; None are all of them, and both are ascending."""
    if wanted is rows or wanted is None:
        return state
    places = wanted if rows is None else torch.searchsorted(rows, wanted)
    return State(state.y[places], tuple(x[places] for x in state.carry))
