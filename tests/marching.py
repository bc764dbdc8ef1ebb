"""Equal steps of a stepper without the loops around it, for what one method must do by itself."""

from __future__ import annotations

from typing import Any

import torch

from opnet.solvers.ode.fields import VectorField
from opnet.solvers.ode.problem import Problem
from opnet.solvers.ode.stepper import Stepper


def problem_of(field: VectorField, y0: Any, *, joint: bool = True) -> Problem:
    return Problem(field, y0, joint=joint, rtol=1e-5, atol=1e-7, keep=False, estimates=False)


def march(stepper: Stepper, field: VectorField, y0: Any, t0: Any, t1: Any, steps: int, *, joint: bool = True) -> Any:
    """The state at t1 after equal steps; times are numbers, or (batch, 1) tensors with joint=False."""
    problem = problem_of(field, y0, joint=joint)
    return problem.layout.state(march_rows(stepper, problem, t0, t1, steps)[-1])


def march_rows(stepper: Stepper, problem: Problem, t0: Any, t1: Any, steps: int) -> list[torch.Tensor]:
    """The rows at the start and after each step."""
    rows, h = [problem.y0], (t1 - t0) / steps
    carry = stepper.start(problem, t0, rows[0], problem.f(t0, rows[0]))
    for i in range(steps):
        step = stepper.step(problem, t0 + i * h, rows[-1], h, carry)
        rows.append(step.y)
        carry = step.carry
    return rows
