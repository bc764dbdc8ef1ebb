"""Explicit Runge-Kutta methods: a tableau each, one step for all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from opnet.core.registry import register
from opnet.solvers.ode.methods import tableau as tableaux
from opnet.solvers.ode.methods.tableau import Tableau, nested
from opnet.solvers.ode.problem import Problem, refuse_more_than_f
from opnet.solvers.ode.stages import Stages, Time, later, taken
from opnet.solvers.ode.stepper import Interpolant, Step, Stepper, dominant_eigenvalue, gradients_of, scaled


@dataclass(frozen=True)
class RungeKutta(Stepper):
    """An explicit Runge-Kutta method: its tableau says all."""

    tableau: ClassVar[Tableau]

    @property
    def order(self) -> int:
        return self.tableau.order

    @property
    def dense_order(self) -> int:
        return self.tableau.dense_order

    def start(self, problem: Problem, t: Time, y: Tensor, k: Tensor) -> tuple[Tensor, ...]:
        refuse_more_than_f(problem, type(self).__name__)
        return (k,) if self.tableau.first_same_as_last else ()

    def step(self, problem: Problem, t: Time, y: Tensor, h: Time, carry: tuple[Tensor, ...]) -> Step:
        tableau = self.tableau
        stages = problem.stages(tableau.stages + len(tableau.dense), y)
        k = carry[0] if carry else problem.f(t, y)
        stages.put(k)
        before, argument = y, y
        for row, c in tableau.later:
            before, argument = argument, stages.sum(y, h, row)
            k = problem.f(later(t, h, c), argument)
            stages.put(k)
        y1 = argument if tableau.first_same_as_last else stages.sum(y, h, tableau.b)

        def stiffness() -> Tensor:
            return dominant_eigenvalue(problem, k - stages.rows(None)[tableau.stages - 2], y1 - before)

        return Step(
            y1,
            carry=(k,) if tableau.first_same_as_last else (),
            error=self.error(problem, y, h, stages, y1) if self.adaptive or problem.estimates else None,
            interpolant=lambda: self.interpolant(problem, t, y, h, stages),
            stiffness=stiffness if tableau.pair_at_end else None,
        )

    def error(self, problem: Problem, y: Tensor, h: Time, stages: Stages, y1: Tensor) -> Tensor | None:
        """The estimate of the local error, if there is one."""
        if not self.tableau.error:
            return None
        with gradients_of(problem):
            return scaled(h, stages.total(self.tableau.error))

    def interpolant(self, problem: Problem, t: Time, y: Tensor, h: Time, stages: Stages) -> Interpolant:
        """The continuous extension; its own stages, if it needs any, are computed here."""
        for row, c in self.tableau.dense[stages.count - self.tableau.stages :]:
            stages.put(problem.f(later(t, h, c), stages.sum(y, h, row)))

        def at(theta: Time, rows: Tensor | None) -> Tensor:
            theta = theta.to(y.dtype) if isinstance(theta, Tensor) else theta
            parts = stages.totals(self.tableau.terms, rows)
            return taken(y, rows) + scaled(taken(h, rows), nested(theta, parts))

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


@dataclass(frozen=True)
class Pair(RungeKutta):
    """A Runge-Kutta method with another embedded, whose difference estimates the error.

    The higher order of the two goes on.

    Args:
        adaptive: choose steps by the error estimate; else take equal ones.
    """

    adaptive: bool = True


@register("stepper", "Heun")
@dataclass(frozen=True)
class Heun(Pair):
    """Heun's pair 2(1): the trapezoidal rule with Euler's predictor, which is embedded.

    Args:
        adaptive: choose steps by the error estimate; else take equal ones.
    """

    tableau = tableaux.HEUN


@register("stepper", "BS3")
@dataclass(frozen=True)
class BS3(Pair):
    """Bogacki and Shampine's pair 3(2), with a cubic Hermite extension: for rtol about 1e-2 to 1e-3.

    Args:
        adaptive: choose steps by the error estimate; else take equal ones.
    """

    tableau = tableaux.BS3


@register("stepper", "Dopri5")
@dataclass(frozen=True)
class Dopri5(Pair):
    """Dormand and Prince's pair 5(4) with a continuous extension of order 4: for rtol about 1e-3 to 1e-7.

    Args:
        adaptive: choose steps by the error estimate; else take equal ones.
    """

    tableau = tableaux.DOPRI5


@register("stepper", "Tsit5")
@dataclass(frozen=True)
class Tsit5(Pair):
    """Tsitouras' pair 5(4) with a continuous extension of order 4: as `Dopri5`, with smaller error constants.

    Args:
        adaptive: choose steps by the error estimate; else take equal ones.
    """

    tableau = tableaux.TSIT5
