"""`StageMatrix`: M - s J of every row, factorised once or known by its products alone."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from opnet.core.status import Status
from opnet.linops.function import FunctionOperator
from opnet.linops.jacobian import Jacobian
from opnet.solvers.linear.base import LinearSolver
from opnet.solvers.linear.solve import solve_linear
from opnet.solvers.ode.problem import Problem, Rows
from opnet.solvers.ode.stages import Time

LINEAR_RTOL = 1e-3  # of each correction by a Krylov method: the iteration around it asks for no more
ADJOINT_RTOL = 1e-10  # of what gradients are made of
LINEAR_ITERATIONS = 500


class StageMatrix(ABC):
    """The matrices M - s J of a batch; rows that cannot be solved come out as NaN."""

    @abstractmethod
    def solve(self, r: Tensor) -> Tensor:
        """(M - s J)^-1 r.  # shape: (batch, n) -> the same"""

    @abstractmethod
    def solve_transposed(self, g: Tensor) -> Tensor:
        """(M - s J)^-T g.  # shape: (batch, n) -> the same"""


class Factors(StageMatrix):
    """LU factors with partial pivoting.

    Args:
        J: (batch, n, n).
        s: as a step: a number, a tensor without dimensions, or (batch, 1) of J's dtype.
        mass: M, (n, n); the identity if None.
    """

    def __init__(self, J: Tensor, s: Time, mass: Tensor | None) -> None:
        W = J * -(s.unsqueeze(-1) if isinstance(s, Tensor) and s.ndim else s)
        if mass is None:
            W.diagonal(dim1=1, dim2=2).add_(1)
        else:
            W += mass
        self.lu, self.pivots, failed = torch.linalg.lu_factor_ex(W)
        self.failed = failed[:, None] > 0

    def solve(self, r: Tensor) -> Tensor:
        return self._solve(r, adjoint=False)

    def solve_transposed(self, g: Tensor) -> Tensor:
        return self._solve(g, adjoint=True)

    def _solve(self, r: Tensor, adjoint: bool) -> Tensor:
        x = torch.linalg.lu_solve(self.lu, self.pivots, r.unsqueeze(-1), adjoint=adjoint).squeeze(-1)
        return torch.where(self.failed, torch.nan, x)


class Products(StageMatrix):
    """The matrix as an operator on elements of their own shape, with J by automatic differentiation.

    Args:
        problem, f: f in rows, of the form of the problem's state.
        t, y: where J = df/dy is taken.
        s: as a step: a number, a tensor without dimensions, or (batch, 1) of J's dtype.
        mass: M, (n, n); the identity if None.
        linear: how to solve; set up once.
    """

    def __init__(
        self, problem: Problem, f: Rows, t: Time, y: Tensor, s: Time, mass: Tensor | None, linear: LinearSolver
    ) -> None:
        shapes = problem.layout.shapes
        shape = shapes[0] if len(shapes) == 1 and shapes[0] else y.shape[1:]
        axes = len(shape)
        J = Jacobian(lambda x: f(t, x.flatten(1)).reshape(x.shape), y.reshape(-1, *shape), batch_axes=1)
        JT = J.transpose()
        size = s.reshape(-1, *(1,) * axes) if isinstance(s, Tensor) and s.ndim else s

        def scaled(v: Tensor, matrix: Tensor | None) -> Tensor:
            return v if matrix is None else (v.flatten(v.ndim - axes) @ matrix).reshape(v.shape)

        self.operator = FunctionOperator(
            lambda v: scaled(v, None if mass is None else mass.T) - size * J.apply(v),
            shape,
            transpose=lambda w: scaled(w, mass) - size * JT.apply(w),
            batch_shape=y.shape[:1],
            dtype=y.dtype,
            device=y.device,
        )
        self.linear, self.state = linear, linear.setup(self.operator)

    def solve(self, r: Tensor) -> Tensor:
        b = r.reshape(-1, *self.operator.in_shape)
        target = LINEAR_RTOL * torch.linalg.vector_norm(r, dim=1)
        x, monitor = self.state.iterate(b, torch.zeros_like(b), target, LINEAR_ITERATIONS)
        solved = ~monitor.active & (monitor.status == Status.CONVERGED)
        return torch.where(solved[:, None], x.reshape(r.shape), torch.nan)

    def solve_transposed(self, g: Tensor) -> Tensor:
        """The same.

        Raises:
            SolveError: naming the first element that failed.
        """
        rtol = max(ADJOINT_RTOL, 8 * torch.finfo(g.dtype).eps)
        b = g.reshape(-1, *self.operator.in_shape)
        state = self.state.adjoint()
        return solve_linear(state.operator, b, state, rtol=rtol, max_iterations=LINEAR_ITERATIONS).value.reshape(
            g.shape
        )
