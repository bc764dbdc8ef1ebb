"""`StageEquations`: the implicit stages of a step, by a simplified Newton iteration, and their gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from opnet.core.expect import found
from opnet.solvers.linear.base import LinearSolver
from opnet.solvers.ode.fields import Function
from opnet.solvers.ode.jacobian import Jacobians
from opnet.solvers.ode.problem import Problem, Rows
from opnet.solvers.ode.stage_matrix import Factors, Products, StageMatrix
from opnet.solvers.ode.stages import Time

SHARE = 0.01  # of the tolerance of a step that the iteration may spend
ROUNDINGS = 10  # unit roundoffs of a row's largest entry, which no iteration need undercut
SLOW = 0.1  # the rate above which an iteration to rounding takes a new Jacobian


@dataclass(frozen=True)
class Implicit:
    """The function that a method solves for: `M k = f(t, y)`.

    Attributes:
        problem, f: f in rows, counted.
        jacobians: df/dy.
        mass: M, (n, n), of the state's dtype; the identity if None.
        linear: how to solve with M - s J; by LU factors if None.
    """

    problem: Problem
    f: Rows
    jacobians: Jacobians
    mass: Tensor | None = None
    linear: LinearSolver | None = None

    @classmethod
    def of(
        cls,
        problem: Problem,
        f: Rows,
        jacobian: Function | None,
        sparsity: Tensor | None,
        mass: Tensor | None,
        linear: LinearSolver | None,
    ) -> Implicit:
        """From what a field says.

        Raises:
            ValueError: for a mass matrix of another shape than (n, n).
        """
        if mass is not None:
            n = problem.y0.shape[1]
            if not isinstance(mass, Tensor) or mass.shape != (n, n) or not mass.dtype.is_floating_point:
                raise ValueError(f"Field.mass: expected a floating tensor of shape ({n}, {n}), found {found(mass)}")
            mass = mass.to(problem.y0)
        return cls(problem, f, Jacobians(problem, f, jacobian, sparsity), mass, linear)

    def matrix(self, t: Time, y: Tensor, s: float | Tensor) -> StageMatrix:
        """M - s J at (t, y)."""
        if self.linear is None:
            return Factors(self.jacobians(t, y), s, self.mass)
        return Products(self.problem, self.f, t, y, s, self.mass, self.linear)

    def weigh(self, k: Tensor) -> Tensor:
        """M k."""
        return k if self.mass is None else k @ self.mass.T

    def slope(self, t: Time, y: Tensor, value: Tensor) -> Tensor:
        """k with M k = f(t, y), of which `value` is f.

        Where M is singular k is the derivative of a solution of index 1: with N a basis of the kernel of M^T, N^T f = 0
        holds at all times, so that N^T (J k + df/dt) = 0 (E. Hairer and G. Wanner, *Solving Ordinary Differential
        Equations II*, section VI.1). If N^T f is not zero, k is the slope where a Newton step on the algebraic
        components leads.
        """
        if self.mass is None:
            return value
        U, sizes, _ = torch.linalg.svd(self.mass.detach())
        rank = int((sizes > sizes[0] * len(sizes) * torch.finfo(y.dtype).eps).sum())
        if rank == len(sizes):
            return torch.linalg.solve_ex(self.mass, value.T)[0].T
        P = U[:, rank:] @ U[:, rank:].T
        near = self.jacobians.linearise(t, y)
        matrix = self.mass + P @ near.jacobian
        move = torch.linalg.solve_ex(matrix, -value @ P)[0]
        there = value + (near.jacobian @ move.unsqueeze(-1)).squeeze(-1)
        right = there - there @ P if near.time is None else there - (there + near.time) @ P
        return torch.linalg.solve_ex(matrix, right)[0]


class StageEquations:
    r"""The stages of one step, each solved for its slope k:

    .. math:: M k = f(t_i, x + s k), \qquad (M - s J)\, \delta = f(t_i, x + s k) - M k, \quad k \leftarrow k + \delta

    with s = h gamma and J = df/dy at the start of the step, so that the matrix is factorised once (E. Hairer and G.
    Wanner, *Solving Ordinary Differential Equations II*, section IV.8). Every row ends on its own: with the rate
    theta = |delta| / |previous delta| and |.| the norm of s delta against the tolerance, where
    theta / (1 - theta) |delta| is small (theta of the stage before serves a first correction); as failed where theta
    >= 1, where too few corrections are left at that rate, or at a NaN.

    With `exact` it goes on to rounding, as methods without an error estimate need, which can try no smaller step; then
    J is taken anew at the iterate wherever the rate is slow, and more corrections are made.

    Args:
        implicit: f, J and M.
        t, y: start of the step.
        s: h gamma, as h.
        iterations: corrections of a stage at most; five times as many with `exact`.
        exact: see above.

    Attributes:
        failed: rows with a stage that was not solved; (batch, 1).
    """

    def __init__(self, implicit: Implicit, t: Time, y: Tensor, s: Time, iterations: int, exact: bool) -> None:
        self.implicit, self.exact = implicit, exact
        self.iterations = 5 * iterations if exact else iterations
        self.s = s.to(y.dtype) if isinstance(s, Tensor) else s
        self.y = y.detach()
        self._s = self.s.detach() if isinstance(self.s, Tensor) else self.s
        self.failed = torch.zeros_like(self.y[:, :1], dtype=torch.bool)
        # Rows at rest have s = 0, and no equation: M may be singular.
        self.moving = (self._s != 0).expand_as(self.failed) if isinstance(self._s, Tensor) else ~self.failed
        self._ratio = torch.ones_like(self.y[:, :1])
        with torch.no_grad():
            self._matrix = implicit.matrix(_fixed(t), self.y, self._s)

    def solve(self, t: Time, x: Tensor, guess: Tensor) -> Tensor:
        """k of the stage at t with the known part x, from a first guess; the guess itself in rows that failed."""
        self._tracked = any(v.requires_grad for v in (t, x, self.s, self.implicit.mass) if isinstance(v, Tensor))
        wanted = torch.is_grad_enabled()
        with torch.no_grad():
            k = self._iterate(_fixed(t), x.detach(), guess.detach(), wanted)
        return self._differentiable(t, x, k) if wanted and self._tracked else k

    def _iterate(self, t: Time, x: Tensor, guess: Tensor, wanted: bool) -> Tensor:
        k, s, matrix = guess, self._s, self._matrix
        active = self.moving & ~self.failed
        ratio = self._ratio.clamp(min=torch.finfo(x.dtype).eps) ** 0.8
        last: Tensor | None = None
        for left in reversed(range(self.iterations)):
            point = x + s * k
            with torch.set_grad_enabled(wanted):  # which tells whether f itself depends on what gradients go to
                value = self.implicit.f(t, point)
            self._tracked |= value.requires_grad
            r = value.detach() - self.implicit.weigh(k)
            delta = torch.where(active, matrix.solve(torch.where(active, r, 0.0)), 0.0)
            k = k + delta
            norm = self._norm(s * delta, s * k, point)
            lost = ~torch.isfinite(norm)
            if last is not None:
                rate = norm / last
                ratio = torch.where(active & (rate < 1), rate / (1 - rate), ratio)
                if not self.exact:
                    lost |= ~((rate < 1) & (ratio * norm * rate**left <= 1)) & (norm > 1)
            solved = (norm <= 1) | (ratio * norm <= 1)
            self.failed = self.failed | (active & lost)
            active = active & ~lost & ~solved
            if not bool(active.any()):
                break
            if self.exact and last is not None and bool((active & (rate > SLOW)).any()):
                matrix = self.implicit.matrix(t, x + s * k, s)
            last = norm
        self.failed, self._ratio = self.failed | active, ratio
        return torch.where(self.failed, guess, k)

    def _norm(self, change: Tensor, moved: Tensor, point: Tensor) -> Tensor:
        """Root mean square of a change of the stage against what may be left of it; (batch, 1)."""
        finfo = torch.finfo(change.dtype)
        size = torch.maximum(self.y.abs(), moved.abs()).amax(1, keepdim=True) * (ROUNDINGS * finfo.eps) + finfo.tiny
        if not self.exact:
            size = torch.maximum(size, SHARE * self.implicit.problem.size(self.y, point))
        return torch.linalg.vector_norm(change / size, dim=1, keepdim=True) / change.shape[1] ** 0.5

    def _differentiable(self, t: Time, x: Tensor, k: Tensor) -> Tensor:
        """k with the gradient of the root that it is: dk = (M - s J)^-1 d(f(t, x + s k) - M k) at fixed k."""
        good = self.moving & ~self.failed
        # Where it failed f is looked at where it was finite: the zero gradients of such rows stay zero.
        point = torch.where(good, x + self.s * k, self.y)
        residual = torch.where(good, self.implicit.f(t, point) - self.implicit.weigh(k), 0.0)
        if not residual.requires_grad:
            return k
        with torch.no_grad():
            matrix = self.implicit.matrix(_fixed(t), point.detach(), self._s)
        return _Root.apply(residual, k, matrix, good)


class _Root(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, residual: Tensor, k: Tensor, matrix: StageMatrix, good: Tensor) -> Tensor:
        ctx.matrix, ctx.good = matrix, good
        return k.clone()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # the residual was taken at a fixed k, which a second derivative would have to move
            raise RuntimeError(
                "solve_ode: expected first derivatives of an implicit method, found create_graph=True: the solution of "
                "its stages has no second"
            )
        back = ctx.matrix.solve_transposed(torch.where(ctx.good, g, 0.0))
        return torch.where(ctx.good, back, 0.0), None, None, None


def _fixed(t: Time) -> Time:
    return t.detach() if isinstance(t, Tensor) else t
