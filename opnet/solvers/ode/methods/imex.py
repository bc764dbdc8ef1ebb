"""Additive Runge-Kutta methods: an explicit tableau for one part of the field, an implicit one for the stiff part."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

from torch import Tensor

from opnet.core.registry import register
from opnet.solvers.ode.fields import Split
from opnet.solvers.ode.methods import implicit_tableau as tableaux
from opnet.solvers.ode.methods.esdirk import DiagonallyImplicit
from opnet.solvers.ode.newton import Implicit
from opnet.solvers.ode.problem import Problem, Rows
from opnet.solvers.ode.stages import Time, later
from opnet.solvers.ode.stepper import Step, finite, gradients_of, scaled


@dataclass(frozen=True)
class Additive(DiagonallyImplicit):
    """An IMEX method on `Split(explicit, implicit)`.

    An implicit part that is linear, with a Jacobian that does not depend on t, costs one linear solve a stage.

    There is no continuous extension: the slopes at the ends of a step, which one would need, magnify the error of the
    state by the stiffness.
    """

    @property
    def dense_order(self) -> int:
        return 0

    def parts(self, problem: Problem) -> tuple[Rows, Implicit]:
        """The two parts of the field, once a solve."""
        name = type(self).__name__
        field = problem.structure(Split, name)

        def make() -> tuple[Rows, Implicit]:
            implicit = problem.wrap("implicit", field.implicit)
            return (
                problem.wrap("explicit", field.explicit),
                Implicit.of(problem, implicit, field.jacobian, field.sparsity, None, self.linear),
            )

        return problem.cached(name, make)

    def start(self, problem: Problem, t: Time, y: Tensor, k: Tensor) -> tuple[Tensor, ...]:
        explicit, implicit = self.parts(problem)
        return explicit(t, y), implicit.f(t, y)

    def step(self, problem: Problem, t: Time, y: Tensor, h: Time, carry: tuple[Tensor, ...]) -> Step:
        tableau = self.tableau
        explicit, implicit = self.parts(problem)
        equations = self.equations(implicit, t, y, h)
        # The two slopes of a stage follow each other: E_1, k_1, E_2, k_2, ...
        stages = problem.stages(2 * tableau.stages, y)
        for slope in carry:
            stages.put(slope)
        rows = zip(tableau.explicit[1:], tableau.a[1:], tableau.predictors[1:], tableau.c[1:], strict=True)
        for e, a, guess, c in rows:
            x = stages.sum(y, h, _pairs(e, a))
            time = later(t, h, c)
            k = equations.solve(time, x, stages.total(_pairs((0.0,) * len(guess), guess)))
            stages.put(explicit(time, x + equations.s * k))
            stages.put(k)
        y1 = stages.sum(y, h, _pairs(tableau.b, tableau.b))
        with gradients_of(problem):
            error = scaled(h, stages.total(_pairs(tableau.error, tableau.error)))
        end = later(t, h, 1.0)
        ends = explicit(end, y1), implicit.f(end, y1)
        return Step(y1, carry=ends, error=error, failed=equations.failed | ~finite(ends[0] + ends[1]))


def _pairs(explicit: tuple[float, ...], implicit: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(chain.from_iterable(zip(explicit, implicit, strict=True)))


@register("stepper", "ARK3")
@dataclass(frozen=True)
class ARK3(Additive):
    """Kennedy and Carpenter's ARK3(2)4L[2]SA: order 3(2), 4 stages, the implicit part L-stable.

    C. A. Kennedy and M. H. Carpenter, *Appl. Numer. Math.* 44 (2003) 139-181.

    Args:
        adaptive, linear, iterations: see `DiagonallyImplicit`.
    """

    tableau = tableaux.ARK3


@register("stepper", "ARK4")
@dataclass(frozen=True)
class ARK4(Additive):
    """Kennedy and Carpenter's ARK4(3)6L[2]SA: order 4(3), 6 stages, the implicit part L-stable.

    C. A. Kennedy and M. H. Carpenter, *Appl. Numer. Math.* 44 (2003) 139-181.

    Args:
        adaptive, linear, iterations: see `DiagonallyImplicit`.

    >>> import torch
    >>> from opnet.solvers.ode.solve import solve_ode
    >>> field = Split(explicit=lambda t, y: torch.cos(t) + 0 * y, implicit=lambda t, y: -1e4 * (y - torch.sin(t)))
    >>> ts = torch.tensor([0.0, 1.0], dtype=torch.float64)
    >>> sol = solve_ode(field, torch.zeros(1, dtype=torch.float64), ts, ARK4())
    >>> abs(float(sol.ys[-1]) - 0.8414710) < 1e-5
    True
    """

    tableau = tableaux.ARK4
