"""`LinearSolver` and `SolverState`: a method as a value, and the method bound to one operator."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from opnet.core.status import Status
from opnet.linops.base import LinearOperator
from opnet.solvers.linear.solution import Solution

RESTARTS = 3  # how often an iteration whose own residual drifted from b - A x starts again from where it is


class LinearSolver(ABC):
    """A method for A x = b as a frozen value; `setup` does all the work that depends on A alone."""

    @abstractmethod
    def setup(self, operator: LinearOperator) -> SolverState:
        """The method bound to an operator, to be used for many right-hand sides."""


class Monitor:
    """Follows the residual norms of an iteration: which elements are still `active`, and how the others ended.

    Attributes:
        status, iterations, active: of each element, as the iteration saw it; (*batch,).
        norms: residual norms from the start, (*batch,) each.
    """

    def __init__(self, norm: Tensor, target: Tensor) -> None:
        self.target, self.norms = target, [norm]
        self.status = torch.zeros(norm.shape, dtype=torch.long, device=norm.device)
        self.iterations = torch.zeros_like(self.status)
        self.active = torch.ones_like(norm, dtype=torch.bool)
        self._judge(norm)

    @property
    def done(self) -> bool:
        return not bool(self.active.any())

    def advance(self, norm: Tensor) -> None:
        """The active elements took an iteration, which left residuals of these norms."""
        self.iterations += self.active
        self.norms.append(norm)
        self._judge(norm)

    def fail(self, where: Tensor, code: Status) -> None:
        """The active elements among `where` end with `code`."""
        mark(self.status, self.active & where, code)
        self.active &= ~where

    def _judge(self, norm: Tensor) -> None:
        self.fail(~torch.isfinite(norm), Status.NON_FINITE)
        self.active &= norm > self.target


class SolverState(ABC):
    """A method bound to an operator: `apply` is its approximate inverse, `solve` iterates to a tolerance.

    Subclasses give `operator`, `symmetric` and `apply`; by default they iterate `x <- x + M (b - A x)`, M being
    `apply`, and Krylov methods override `iterate`. Verification of the result is here, once for all methods.

    Attributes:
        operator: A, square.
        symmetric: whether `apply` is one fixed symmetric positive definite map, as conjugate gradients ask of a
            preconditioner.
    """

    operator: LinearOperator
    symmetric: bool

    @abstractmethod
    def apply(self, r: Tensor) -> Tensor:
        """M r with M an approximation of A^-1.  # shape: (*batch, *in_shape) -> the same"""

    def iterate(self, b: Tensor, x: Tensor, target: Tensor, max_iterations: int) -> tuple[Tensor, Monitor]:
        """Improve x, each element until its residual norm is at most `target` (*batch,) or the limit is reached."""
        A = self.operator
        r = b - A.apply(x)
        monitor = Monitor(norms(r, A), target)
        for _ in range(max_iterations):
            if monitor.done:
                break
            x = torch.where(spread(monitor.active, A), x + self.apply(r), x)
            r = b - A.apply(x)
            monitor.advance(norms(r, A))
        return x, monitor

    def solve(self, b: Tensor, x0: Tensor | None = None, *, rtol: float = 1e-8, max_iterations: int = 1000) -> Solution:
        """Solve A x = b, every batch element on its own; `opnet.solve_linear` describes the contract, and raises."""
        A = self.operator
        A.check_argument(b)
        k = len(A.in_shape)
        batch = torch.broadcast_shapes(b.shape[: b.ndim - k], A.batch_shape)
        b = b.expand(*batch, *A.in_shape)
        norm_b = norms(b, A)
        x = torch.zeros_like(b, memory_format=torch.contiguous_format)
        if x0 is not None:
            A.check_argument(x0)
            x = torch.where(spread(norm_b == 0, A), x, x0)  # zero is the solution where b = 0
        target = rtol * norm_b
        history: list[Tensor] = []
        iterations = torch.zeros(batch, dtype=torch.long, device=b.device)
        previous = torch.full_like(norm_b, torch.inf)
        for _ in range(1 + RESTARTS):
            x, monitor = self.iterate(b, x, target, max_iterations - len(history))
            monitor.fail(monitor.active, Status.MAX_ITERATIONS)
            status = monitor.status
            iterations += monitor.iterations
            history += monitor.norms if not history else monitor.norms[1:]
            norm_r = norms(b - A.apply(x), A)
            drifted = (status == Status.CONVERGED) & (norm_r > target) & (norm_r < 0.5 * previous)
            if not bool(drifted.any()) or len(history) > max_iterations:
                break
            previous = norm_r
        status, backward = _verify(A, b, x, norm_r, norm_b, target, status)
        scale = torch.where(norm_b == 0, torch.ones_like(norm_b), norm_b)
        return Solution(x, status, iterations, norm_r / scale, backward, torch.stack(history) / scale)


def _verify(
    A: LinearOperator, b: Tensor, x: Tensor, norm_r: Tensor, norm_b: Tensor, target: Tensor, status: Tensor
) -> tuple[Tensor, Tensor]:
    """The status that b - A x deserves, whatever the iteration believed, and the normwise backward error.

    An element whose residual misses the tolerance is solved as well as the precision allows when its backward error is
    at the unit roundoff (N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., SIAM 2002, theorem
    7.1): ROUNDING_FLOOR. A diverging x makes that error small too, so the residual must be small in itself as well.
    """
    eps = torch.finfo(b.dtype).eps
    size = operator_norm(A) * norms(x, A) + norm_b
    backward = norm_r / torch.where(size == 0, torch.ones_like(size), size)
    finite = torch.isfinite(norm_r)
    reached = finite & (norm_r <= target)
    floor = finite & ~reached & (backward <= 8 * eps) & (norm_r <= eps**0.375 * norm_b)
    status = status.clone()
    mark(status, floor | (~reached & (status == Status.CONVERGED)), Status.ROUNDING_FLOOR)
    mark(status, reached, Status.CONVERGED)
    mark(status, ~finite, Status.NON_FINITE)
    return status, backward


def operator_norm(A: LinearOperator, steps: int = 3) -> Tensor:
    """A lower bound of the largest singular value of each batch element, by power iteration from fixed signs."""
    generator = torch.Generator().manual_seed(0)
    signs = torch.randint(0, 2, A.in_shape, generator=generator).to(A.device, A.dtype) * 2 - 1
    v = signs.expand(*A.batch_shape, *A.in_shape)
    bound = torch.zeros(A.batch_shape, dtype=A.dtype, device=A.device)
    for _ in range(steps):
        length = norms(v, A)
        image = A.apply(v / spread(torch.where(length == 0, torch.ones_like(length), length), A))
        bound = torch.maximum(bound, norms(image, A))
        v = image
    return bound


def mark(status: Tensor, where: Tensor, code: Status) -> None:
    """Set `status` to `code` where the mask says so."""
    status.masked_fill_(where, int(code))


def norms(x: Tensor, A: LinearOperator) -> Tensor:
    """Euclidean norm of every batch element."""
    return torch.linalg.vector_norm(x.flatten(x.ndim - len(A.in_shape)), dim=-1)


def dots(x: Tensor, y: Tensor, A: LinearOperator) -> Tensor:
    """Dot product of every batch element."""
    k = x.ndim - len(A.in_shape)
    return torch.linalg.vecdot(x.flatten(k), y.flatten(k))


def spread(value: Tensor, A: LinearOperator) -> Tensor:
    """A number for each batch element, shaped to multiply the elements."""
    return value.reshape(*value.shape, *(1,) * len(A.in_shape))
