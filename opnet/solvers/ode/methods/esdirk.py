"""ESDIRK methods: an explicit first stage, then stages that are implicit one at a time with one matrix for all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from opnet.core.expect import expect, integer
from opnet.core.registry import register
from opnet.solvers.linear.base import LinearSolver
from opnet.solvers.ode.fields import Field
from opnet.solvers.ode.methods import implicit_tableau as tableaux
from opnet.solvers.ode.methods.implicit_tableau import ImplicitTableau
from opnet.solvers.ode.newton import Implicit, StageEquations
from opnet.solvers.ode.problem import Problem
from opnet.solvers.ode.stages import Time, later
from opnet.solvers.ode.stepper import Step, Stepper, dominant_eigenvalue, gradients_of, hermite, scaled


@dataclass(frozen=True)
class DiagonallyImplicit(Stepper):
    """What methods with one implicit diagonal have in common.

    Args:
        adaptive: choose steps by the error estimate; else take equal ones, with the stages solved to rounding.
        linear: the method for the linear systems, whose operator is M - h gamma J, known by its products alone: for
            large states, such as `GMRES(preconditioner=...)`. By LU factors of the matrices if None.
        iterations: corrections of a stage at most; a step whose stages need more is rejected.
    """

    tableau: ClassVar[ImplicitTableau]
    adaptive: bool = True
    linear: LinearSolver | None = None
    iterations: int = 10

    def __post_init__(self) -> None:
        name = type(self).__name__
        if self.linear is not None:
            expect(f"{name}.linear", self.linear, LinearSolver, "a linear solver such as GMRES()")
        if integer(f"{name}.iterations", self.iterations) < 1:
            raise ValueError(f"{name}.iterations: expected at least 1, found {self.iterations}")

    @property
    def order(self) -> int:
        return self.tableau.order

    def equations(self, implicit: Implicit, t: Time, y: Tensor, h: Time) -> StageEquations:
        """The stage equations of a step."""
        return StageEquations(implicit, t, y, self.tableau.gamma * h, self.iterations, exact=not self.adaptive)


@dataclass(frozen=True)
class ESDIRK(DiagonallyImplicit):
    """A stiffly accurate method on `M y' = f(t, y)`: the last stage is the step, and its slope starts the next.

    Where M is singular y0 should solve the algebraic equations. If it does not, the first step moves the algebraic
    components to where they do.
    """

    def implicit(self, problem: Problem) -> Implicit:
        """f, J and M of the field, once a solve."""
        name = type(self).__name__
        field = problem.structure(Field, name)
        return problem.cached(
            name,
            lambda: Implicit.of(problem, problem.f, field.jacobian, field.sparsity, field.mass, self.linear),
        )

    def start(self, problem: Problem, t: Time, y: Tensor, k: Tensor) -> tuple[Tensor, ...]:
        return (self.implicit(problem).slope(t, y, k),)

    def step(self, problem: Problem, t: Time, y: Tensor, h: Time, carry: tuple[Tensor, ...]) -> Step:
        tableau = self.tableau
        (first,) = carry
        equations = self.equations(self.implicit(problem), t, y, h)
        stages = problem.stages(tableau.stages, y)
        stages.put(first)
        before, k = first, first
        for row, guess, c in zip(tableau.a[1:], tableau.predictors[1:], tableau.c[1:], strict=True):
            before, k = k, equations.solve(later(t, h, c), stages.sum(y, h, row), stages.total(guess))
            stages.put(k)
        y1 = stages.sum(y, h, tableau.b)
        with gradients_of(problem):
            error = scaled(h, stages.total(tableau.error))
        last = k
        return Step(
            y1,
            carry=(last,),
            error=error,
            interpolant=lambda: hermite(y, first, h, y1, last),
            failed=equations.failed,
            stiffness=(lambda: dominant_eigenvalue(problem, last - before, error)) if tableau.pair_at_end else None,
        )


@register("stepper", "Kvaerno3")
@dataclass(frozen=True)
class Kvaerno3(ESDIRK):
    """Kvaerno's pair of order 3(2), L-stable and stiffly accurate in both formulas, with 4 stages.

    A. Kvaerno, *BIT Numer. Math.* 44 (2004) 489-502. The continuous extension is the cubic by Hermite.

    Args:
        adaptive, linear, iterations: see `DiagonallyImplicit`.
    """

    tableau = tableaux.KVAERNO3


@register("stepper", "Kvaerno5")
@dataclass(frozen=True)
class Kvaerno5(ESDIRK):
    """Kvaerno's pair of order 5(4), L-stable and stiffly accurate in both formulas, with 7 stages.

    A. Kvaerno, *BIT Numer. Math.* 44 (2004) 489-502. The continuous extension is the cubic by Hermite. One stage lies
    beyond the end of the step, by 0.23 h, so that f must be defined there. On very stiff problems the order falls to
    that of the stages, 2, as that of all methods of this kind.

    Args:
        adaptive, linear, iterations: see `DiagonallyImplicit`.

    >>> import torch
    >>> from opnet.solvers.ode.solve import solve_ode
    >>> ts = torch.tensor([0.0, 1.0], dtype=torch.float64)
    >>> sol = solve_ode(lambda t, y: -1e6 * (y - torch.cos(t)), torch.ones(1, dtype=torch.float64), ts, Kvaerno5())
    >>> abs(float(sol.ys[-1]) - 0.5403023) < 1e-5, int(sol.steps) < 100
    (True, True)
    """

    tableau = tableaux.KVAERNO5


@register("stepper", "KenCarp4")
@dataclass(frozen=True)
class KenCarp4(ESDIRK):
    """The implicit half of `ARK4` on a whole field: order 4(3), L-stable and stiffly accurate, with 6 stages.

    C. A. Kennedy and M. H. Carpenter, *Appl. Numer. Math.* 44 (2003) 139-181. The continuous extension is the cubic by
    Hermite.

    Args:
        adaptive, linear, iterations: see `DiagonallyImplicit`.
    """

    tableau = tableaux.ARK4
