"""Explicit Runge-Kutta methods: a tableau each, one step for all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.solvers.ode.methods import tableau as tableaux
from opnet.solvers.ode.methods.tableau import Tableau
from opnet.solvers.ode.problem import Problem, Time
from opnet.solvers.ode.stages import Stages
from opnet.solvers.ode.stepper import Interpolant, Step, Stepper, hermite


@dataclass(frozen=True)
class RungeKutta(Stepper):
    """An explicit Runge-Kutta method: its tableau says all."""

    tableau: ClassVar[Tableau]

    @property
    def order(self) -> int:
        return self.tableau.order

    @property
    def dense_order(self) -> int:
        return 4 if self.tableau.extension else super().dense_order

    def start(self, problem: Problem, t: Time, y: Tensor, k: Tensor) -> tuple[Tensor, ...]:
        return (k,) if self.tableau.first_same_as_last else ()

    def step(self, problem: Problem, t: Time, y: Tensor, h: Time, carry: tuple[Tensor, ...]) -> Step:
        tableau = self.tableau
        stages = problem.stages(tableau.stages, y)
        k = carry[0] if carry else problem.f(t, y)
        stages.put(k)
        before, argument = y, y
        for row, c in zip(tableau.a[1:], tableau.c[1:], strict=True):
            before, argument = argument, stages.sum(y, h, row)
            k = problem.f(t + c * h, argument)
            stages.put(k)
        y1 = argument if tableau.first_same_as_last else stages.sum(y, h, tableau.b)
        return Step(
            y1,
            carry=(k,) if tableau.first_same_as_last else (),
            error=self.error(problem, y, h, stages, y1),
            interpolant=lambda: self.interpolant(problem, t, y, h, stages, y1),
        )

    def error(self, problem: Problem, y: Tensor, h: Time, stages: Stages, y1: Tensor) -> Tensor | None:
        """The estimate of the local error, if there is one."""
        if not self.tableau.error:
            return None
        with torch.set_grad_enabled(problem.estimates and torch.is_grad_enabled()):
            return stages.total(self.tableau.error) * (h.to(y.dtype) if isinstance(h, Tensor) else h)

    def interpolant(self, problem: Problem, t: Time, y: Tensor, h: Time, stages: Stages, y1: Tensor) -> Interpolant:
        """The continuous extension: the tableau's, or a cubic by Hermite (one more evaluation)."""
        if not self.tableau.extension:
            return hermite(y, stages.rows(None)[0], h, y1, problem.f(t + h, y1))

        def at(theta: Time, rows: Tensor | None) -> Tensor:
            start, step = (x[rows] if rows is not None and isinstance(x, Tensor) and x.ndim else x for x in (y, h))
            weights = self.tableau.dense(theta)
            total = sum(w * k for w, k in zip(weights, stages.rows(rows), strict=True))
            return start + step * total

        return at


@register("stepper", "Euler")
@dataclass(frozen=True)
class Euler(RungeKutta):
    """Explicit Euler, order 1."""

    tableau = tableaux.EULER


@register("stepper", "Midpoint")
@dataclass(frozen=True)
class Midpoint(RungeKutta):
    """The explicit midpoint rule, order 2."""

    tableau = tableaux.MIDPOINT


@register("stepper", "RK4")
@dataclass(frozen=True)
class RK4(RungeKutta):
    """The classical method, order 4."""

    tableau = tableaux.RK4


@register("stepper", "Dopri5")
@dataclass(frozen=True)
class Dopri5(RungeKutta):
    """Dormand and Prince's pair 5(4) with local extrapolation and a continuous extension of order 4.

    Args:
        adaptive: choose steps by the error estimate; else take equal ones.
    """

    tableau = tableaux.DOPRI5
    adaptive: bool = True
