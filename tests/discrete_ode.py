"""The solution of an ODE on a mesh that is held fixed: a function whose finite differences a gradient must equal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from opnet.solvers.ode.adjoints.tape import Tape
from opnet.solvers.ode.control import PID
from opnet.solvers.ode.fields import VectorField
from opnet.solvers.ode.integrate import Integration
from opnet.solvers.ode.problem import Problem
from opnet.solvers.ode.stepper import Stepper


@dataclass
class Mesh:
    """Steps of one element, or of a batch that steps together.

    Each is a number of an interval, and where in it the step begins and how long it is, as fractions. There is one
    interval for methods with a continuous extension, and one for each output for others.
    """

    steps: list[tuple[int, float, float]]

    @classmethod
    def of(cls, tape: Tape, element: int | None, knots: list[float]) -> Mesh:
        """The steps that an element took; those of the batch for None."""
        steps = []
        for record in tape.records:
            t, h = record.t, record.h
            if element is not None:
                rows = torch.arange(len(t)) if record.rows is None else record.rows
                place = (rows == element).nonzero()
                if len(place) == 0 or not record.accept[place[0, 0], 0]:
                    continue
                t, h = t[place[0, 0]], h[place[0, 0]]
            middle = float(t + h / 2)
            k = next(i for i in range(len(knots) - 1) if (knots[i] - middle) * (knots[i + 1] - middle) < 0)
            span = knots[k + 1] - knots[k]
            steps.append((k, (float(t) - knots[k]) / span, float(h) / span))
        return cls(steps)


def _knots(stepper: Stepper, ts: Tensor) -> list[float]:
    return (ts[[0, -1]] if stepper.dense_order else ts).tolist()


def meshes(
    field: VectorField, stepper: Stepper, y0: Any, ts: Tensor, *, joint: bool, rtol: float, atol: float, step: float
) -> list[Mesh]:
    """One for each element, or one for the batch; ts (time,) or (batch, time)."""
    tape = Tape(1)
    integration = Integration(field, stepper, PID(joint=joint), rtol, atol, step, 10_000, tape=tape)
    with torch.no_grad():
        problem, _, ending = integration.run(y0, ts if ts.ndim > 1 else ts[None])
    assert not ending.status.any()
    if joint or problem.count == 1:
        return [Mesh.of(tape, None, _knots(stepper, ts))]
    return [Mesh.of(tape, i, _knots(stepper, ts[i] if ts.ndim > 1 else ts)) for i in range(problem.count)]


def solve_on(mesh: Mesh, field: VectorField, stepper: Stepper, y0: Any, ts: Tensor, *, joint: bool) -> Tensor:
    """Outputs at ts (time,), in rows, (time, batch, n)."""
    problem = Problem(field, y0, joint=joint, rtol=1e-6, atol=1e-6, keep=True, estimates=False)
    times, knots = ts.tolist(), _knots(stepper, ts)
    y = problem.y0
    carry = stepper.start(problem, times[0], y, problem.f(times[0], y))
    outputs = [y]
    for k, begin, length in mesh.steps:
        span = knots[k + 1] - knots[k]
        t, h = knots[k] + begin * span, length * span
        step = stepper.step(problem, t, y, h, carry)
        while len(outputs) < len(times) and (times[len(outputs)] - t) / h <= 1 + 1e-12:
            theta = (times[len(outputs)] - t) / h
            outputs.append(step.interpolant()(theta, None) if step.interpolant is not None else step.y)
        y, carry = step.y, step.carry
    assert len(outputs) == len(times)
    return torch.stack(outputs)


def difference(function: Any, x: Tensor, size: float = 1e-6) -> Tensor:
    """The gradient of function() to the entries of x, which it reads, by central differences."""
    slope = torch.zeros_like(x)
    with torch.no_grad():
        flat, out = x.view(-1), slope.view(-1)
        for i in range(flat.numel()):
            value = flat[i].clone()
            flat[i] = value + size
            above = function()
            flat[i] = value - size
            out[i] = (above - function()) / (2 * size)
            flat[i] = value
    return slope
