"""Rosenbrock methods: stiff systems by linear solves alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import linear

from opnet.core.expect import found
from opnet.core.registry import register
from opnet.solvers.ode.elimination import inverses, product
from opnet.solvers.ode.fields import Field
from opnet.solvers.ode.jacobian import Jacobians
from opnet.solvers.ode.methods import rosenbrock_tableau as tableaux
from opnet.solvers.ode.methods.rosenbrock_tableau import RosenbrockTableau
from opnet.solvers.ode.problem import Problem
from opnet.solvers.ode.stages import Stages, Time, later
from opnet.solvers.ode.stepper import Interpolant, Step, Stepper, gradients_of

LARGEST_INVERSE = 8  # entries of a system up to which an inverse and products with it are faster than LU
POWERS = 4  # of the Jacobian, in the estimate of its dominant eigenvalue


@dataclass(frozen=True)
class Rosenbrock(Stepper):
    """A stiffly accurate Rosenbrock method: its tableau says all.

    One Jacobian and one factorisation a step, a right-hand side and a linear solve a stage. For `M y' = f(t, y)` with a
    singular M the start must satisfy the algebraic equations (of index 1). An element whose system is singular fails
    alone, and its step is tried again with another h.
    """

    tableau: ClassVar[RosenbrockTableau]

    @property
    def order(self) -> int:
        return self.tableau.order

    @property
    def dense_order(self) -> int:
        return self.tableau.dense_order

    def start(self, problem: Problem, t: Time, y: Tensor, k: Tensor) -> tuple[Tensor, ...]:
        self.system(problem)
        return ()

    def system(self, problem: Problem) -> System:
        """Jacobians and mass matrix of the problem.

        Raises:
            ValueError: for a field that is no `Field`, or a mass matrix of another form.
        """
        return problem.cached("Rosenbrock", lambda: System(problem, type(self).__name__))

    def step(self, problem: Problem, t: Time, y: Tensor, h: Time, carry: tuple[Tensor, ...]) -> Step:
        tableau, system = self.tableau, self.system(problem)
        length = h.to(y.dtype) if isinstance(h, Tensor) else h
        width = tableau.gamma * length
        f, J, slope = system.jacobians.linearise(t, y)
        solve, failed = system.factorise(J, width)
        forcing = None if slope is None else slope * (width * length)
        stages = problem.stages(tableau.stages + 1, y)
        stages.put(y)
        now, argument, total = t, y, None
        for i, (c, d) in enumerate(zip(tableau.c, tableau.d, strict=True)):
            if i:
                argument, total = stages.totals(tableau.rows[i])
                now = now if c == tableau.c[i - 1] else later(t, h, c)
                f = problem.f(now, argument)
            b = system.right_side(total, f, width)
            if forcing is not None and d:
                b = torch.add(b, forcing, alpha=d)
            stages.put(u := solve(b))
        y1 = argument + u
        error = None
        if self.adaptive or problem.estimates:
            with gradients_of(problem):
                error = self.error(problem, t, h, stages, u)
        return Step(
            y1,
            error=error,
            interpolant=lambda: self.interpolant(y, y1, stages),
            failed=failed,
            stiffness=lambda: _dominant(J, stages.rows(None)[1]),
        )

    def error(self, problem: Problem, t: Time, h: Time, stages: Stages, last: Tensor) -> Tensor:
        """The estimate of the local error; `last` is u_s, the difference to the embedded method."""
        return last if torch.is_grad_enabled() else last.detach()

    def interpolant(self, y: Tensor, y1: Tensor, stages: Stages) -> Interpolant:
        """The continuous extension."""
        parts = (y, y1, *stages.totals(self.tableau.bends))

        def at(theta: Time, rows: Tensor | None) -> Tensor:
            start, end, *bends = parts if rows is None else [x[rows] for x in parts]
            theta = theta.to(y.dtype) if isinstance(theta, Tensor) else theta
            bend = bends[-1]
            for part in bends[-2::-1]:
                bend = part + theta * bend
            return start + theta * (end - start + (1 - theta) * bend)

        return at


@register("stepper", "Rodas4")
@dataclass(frozen=True)
class Rodas4(Rosenbrock):
    """Hairer and Wanner's RODAS: order 4, embedded order 3, a continuous extension of order 3, L-stable; 6 stages.

    Args:
        adaptive: choose steps by the error estimate; else take equal ones.
    """

    tableau = tableaux.RODAS4
    adaptive: bool = True


@register("stepper", "Rodas5P")
@dataclass(frozen=True)
class Rodas5P(Rosenbrock):
    """Steinebach's method of order 5 with a continuous extension of order 4; 8 stages.

    L-stable, without loss of order on parabolic problems and systems of index 1.

    Args:
        estimator: of the local error. "5P": the embedded method of order 4 that costs nothing; it misses errors where a
            solution turns abruptly. "5Pe": another embedded method of order 4. "5Pr": the larger of the first and h
            times the residual of the continuous extension at the middle of the step, `M y' - f(t, y)`; one more
            evaluation. (Steinebach 2024, whose 5Pr has the residual without h.)
        adaptive: choose steps by the error estimate; else take equal ones.

    >>> from opnet.solvers.ode.solve import solve_ode
    >>> ts = torch.tensor([0.0, 10.0], dtype=torch.float64)
    >>> f = lambda t, y: -1e6 * (y - torch.cos(t)) - torch.sin(t)
    >>> sol = solve_ode(f, torch.ones(1, dtype=torch.float64), ts, Rodas5P())
    >>> abs(float(sol.ys[-1] - torch.cos(ts[-1]))) < 1e-5, int(sol.steps) < 50
    (True, True)
    """

    ESTIMATORS: ClassVar[tuple[str, ...]] = ("5P", "5Pe", "5Pr")

    tableau = tableaux.RODAS5P
    estimator: str = "5Pe"
    adaptive: bool = True

    def __post_init__(self) -> None:
        if self.estimator not in self.ESTIMATORS:
            raise ValueError(
                f"Rodas5P.estimator: expected one of {', '.join(self.ESTIMATORS)}, found {found(self.estimator)}"
            )

    def error(self, problem: Problem, t: Time, h: Time, stages: Stages, last: Tensor) -> Tensor:
        if self.estimator == "5Pe":
            return stages.total((0.0, *tableaux.RODAS5P_EMBEDDED))
        plain = super().error(problem, t, h, stages, last)
        if self.estimator == "5P":
            return plain
        middle, change = stages.totals(self.tableau.middle)
        length = h.to(middle.dtype) if isinstance(h, Tensor) else h
        residual = self.system(problem).right_side(change, problem.f(later(t, h, 0.5), middle), -length)
        return torch.maximum(plain.abs(), residual.abs())


class System:
    """What the linear systems of a solve have in common.

    Attributes:
        jacobians: of f.
        mass: M, or the identity, (n, n).
        implicit: whether M is given.
    """

    def __init__(self, problem: Problem, method: str) -> None:
        field: Field = problem.structure(Field, method)
        like = problem.y0
        n = like.shape[1]
        self.jacobians = Jacobians(problem, problem.f, field.jacobian, field.sparsity)
        self.implicit = field.mass is not None
        mass = field.mass if field.mass is not None else torch.eye(n, dtype=like.dtype, device=like.device)
        if mass.shape != (n, n) or mass.dtype != like.dtype or mass.device != like.device:
            raise ValueError(
                f"Field.mass: expected a {like.dtype} tensor of shape ({n}, {n}) on {like.device}, found {found(mass)}"
            )
        self.mass = mass

    def factorise(self, J: Tensor, width: Time) -> tuple[Callable[[Tensor], Tensor], Tensor]:
        """A solver of (M - gamma h J) u = b for each element, and where there is none; width is gamma h."""
        W = _axpy(self.mass, J, -width if isinstance(width, float) else -width.unsqueeze(-1))
        if self.implicit and isinstance(width, Tensor):
            W = torch.where(width.unsqueeze(-1) == 0, torch.eye(len(self.mass), dtype=W.dtype, device=W.device), W)
        if torch.compiler.is_compiling():
            inverse, singular = inverses(W)
            inverse = _marked(inverse, W)
            return lambda b: product(inverse, b), singular
        if W.shape[-1] <= LARGEST_INVERSE:
            inverse, info = torch.linalg.inv_ex(W)
            inverse = _marked(inverse.contiguous(), W)
            return lambda b: torch.bmm(inverse, b.unsqueeze(2)).squeeze(2), info.ne(0).unsqueeze(1)
        LU, pivots, info = torch.linalg.lu_factor_ex(W)
        LU = _marked(LU, W)
        return lambda b: torch.linalg.lu_solve(LU, pivots, b.unsqueeze(2)).squeeze(2), info.ne(0).unsqueeze(1)

    def right_side(self, total: Tensor | None, f: Tensor, width: Time) -> Tensor:
        """M total + width f."""
        if total is None:
            return f * width
        return _axpy(linear(total, self.mass) if self.implicit else total, f, width)


def _marked(inverse: Tensor, W: Tensor) -> Tensor:
    """The inverse or factors of W, NaN where W is not finite: 1 / Inf = 0 would hold the solution where it is."""
    return torch.add(inverse, W, alpha=0.0)


def _axpy(a: Tensor, b: Tensor, scale: Time) -> Tensor:
    return torch.addcmul(a, b, scale) if isinstance(scale, Tensor) else torch.add(a, b, alpha=scale)


def _dominant(J: Tensor, v: Tensor) -> Tensor:
    """|J^(k+1) v| / |J^k v|, (batch, 1)."""
    size = v
    for _ in range(POWERS):
        tiny = torch.finfo(v.dtype).tiny
        v = v / torch.linalg.vector_norm(v, dim=1, keepdim=True).clamp(min=tiny)
        v = size = torch.bmm(J, v.unsqueeze(2)).squeeze(2)
    return torch.linalg.vector_norm(size, dim=1, keepdim=True)
