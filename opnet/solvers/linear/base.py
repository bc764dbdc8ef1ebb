"""`LinearSolver` and `SolverState`: a method as a value, and the method bound to one operator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace

import torch
from torch import Tensor

from opnet.core.status import Status
from opnet.linops.base import LinearOperator
from opnet.solvers.linear.monitor import Monitor, mark
from opnet.solvers.linear.solution import Solution
from opnet.solvers.linear.vectors import divisor, dots, flat, norms, spread
from opnet.solvers.linear.verify import operator_norm, verified

__all__ = ["LinearSolver", "Monitor", "Projected", "SolverState", "dots", "norms", "spread"]

RESTARTS = 3  # how often an iteration whose own residual drifted from b - A x starts again from where it is


class LinearSolver(ABC):
    """A method for A x = b as a frozen value; `setup` does all the work that depends on A alone."""

    @abstractmethod
    def setup(self, operator: LinearOperator) -> SolverState:
        """The method bound to an operator, to be used for many right-hand sides."""


class SolverState(ABC):
    """A method bound to an operator: `apply` is its approximate inverse, `solve` iterates to a tolerance.

    Subclasses give `operator`, `symmetric`, `apply` and `adjoint`; by default they iterate `x <- x + M (b - A x)`, M
    being `apply`, and Krylov methods override `iterate`. Verification of the result is here, once for all methods.

    Attributes:
        operator: A, square.
        symmetric: whether `apply` is one fixed Hermitian positive definite map, as conjugate gradients ask of a
            preconditioner.
        window: iterations without progress after which the default `iterate` gives an element up.
    """

    operator: LinearOperator
    symmetric: bool
    window: int = 100
    _norm: Tensor | None = None

    @abstractmethod
    def apply(self, r: Tensor) -> Tensor:
        """M r with M an approximation of A^-1.  # shape: (*batch, *in_shape) -> the same"""

    @abstractmethod
    def adjoint(self) -> SolverState:
        """The same method bound to `operator.adjoint()`, with what was set up for A reused; itself if A^H is A."""

    def iterate(self, b: Tensor, x: Tensor, target: Tensor, max_iterations: int) -> tuple[Tensor, Monitor]:
        """Improve x, each element until its residual norm is at most `target` (*batch,) or the limit is reached."""
        A = self.operator
        r = b - A.apply(x)
        monitor = Monitor(norms(r, A), target, window=self.window)
        for _ in range(max_iterations):
            if monitor.done:
                break
            x = torch.where(spread(monitor.active, A), x + self.apply(r), x)
            r = b - A.apply(x)
            monitor.advance(norms(r, A))
        return x, monitor

    def fused_cg(self, b: Tensor, x: Tensor, target: Tensor, max_iterations: int) -> tuple[Tensor, Monitor] | None:
        """Conjugate gradients with this preconditioner in one piece, where a state has them; None where it has not.

        `CG` asks before it iterates itself. Arguments and result are those of `iterate`: x and b are (*batch,
        *in_shape), x is not to be overwritten, elements whose residual is at most the target from the start (it may be
        infinite) take no iteration, and `Monitor.from_history` makes the second result.
        """
        return None

    def projected(self, basis: Tensor) -> SolverState:
        """The method for a singular A with the orthonormal `basis` of the kernel of A and A^H; (k, *in_shape)."""
        return Projected(self, basis)

    def operator_norm(self) -> Tensor:
        """A lower bound of ||A||_2 of each batch element of A, computed once."""
        if self._norm is None:
            self._norm = operator_norm(self.operator)
        return self._norm

    def solve(self, b: Tensor, x0: Tensor | None = None, *, rtol: float = 1e-8, max_iterations: int = 1000) -> Solution:
        """Solve A x = b, every batch element on its own; `opnet.solve_linear` describes the contract, and raises."""
        A = self.operator
        A.check_argument(b)
        batch = torch.broadcast_shapes(b.shape[: b.ndim - len(A.in_shape)], A.batch_shape)
        b = b.expand(*batch, *A.in_shape)
        size = _out_of_range(b, A)
        if size is not None:
            start = None if x0 is None else x0 / size
            solution = self.solve(b / size, start, rtol=rtol, max_iterations=max_iterations)
            return replace(solution, value=solution.value * size)
        norm_b = norms(b, A)
        x = torch.zeros_like(b, memory_format=torch.contiguous_format)
        if x0 is not None:
            A.check_argument(x0)
            x = torch.where(spread(norm_b == 0, A), x, x0)  # zero is the solution where b = 0
        target = rtol * norm_b
        x, monitor = self.iterate(b, x, target, max_iterations)
        monitor.fail(monitor.active, Status.MAX_ITERATIONS)
        norm_r, previous = norms(b - A.apply(x), A), torch.full_like(norm_b, torch.inf)
        for _ in range(RESTARTS):
            drifted = (monitor.status == Status.CONVERGED) & (norm_r > target) & (norm_r < 0.5 * previous)
            if bool(drifted.any()):  # to start again is of no use where x is exact but for one rounding of A and b
                size = self.operator_norm() * norms(x, A) + norm_b
                drifted &= norm_r > torch.finfo(norm_r.dtype).eps * size
            spent = drifted & (monitor.iterations >= max_iterations)
            mark(monitor.status, spent, Status.MAX_ITERATIONS)
            drifted &= ~spent
            if not bool(drifted.any()):
                break
            # Elements with an infinite target rest.
            again = torch.where(drifted, target, torch.inf)
            x, later = self.iterate(b, x, again, monitor.left(drifted, max_iterations))
            later.fail(later.active, Status.MAX_ITERATIONS)
            monitor.extend(later, drifted)
            norm_r, previous = norms(b - A.apply(x), A), norm_r
        scale = divisor(norm_b)
        residual = norm_r / scale
        backward_error = norm_r / divisor(self.operator_norm() * norms(x, A) + norm_b)
        return Solution(
            value=x,
            status=verified(monitor.status, residual, backward_error, rtol),
            iterations=monitor.iterations,
            residual=residual,
            backward_error=backward_error,
            history=torch.stack(monitor.norms[: 1 + _largest(monitor.iterations)]) / scale,
            rejected=monitor.rejected,
        )


class Projected(SolverState):
    """A method between projections: `P M P` with P = I - N N^H, for an A whose kernel and that of A^H N spans.

    Args:
        state: the method for A.
        basis: N, orthonormal; (k, *in_shape).
    """

    def __init__(self, state: SolverState, basis: Tensor) -> None:
        self.state, self.basis = state, basis
        self.operator, self.symmetric = state.operator, state.symmetric

    def apply(self, r: Tensor) -> Tensor:
        return remove(self.state.apply(remove(r, self.basis)), self.basis)

    def iterate(self, b: Tensor, x: Tensor, target: Tensor, max_iterations: int) -> tuple[Tensor, Monitor]:
        x, monitor = self.state.iterate(b, remove(x, self.basis), target, max_iterations)
        return remove(x, self.basis), monitor

    def fused_cg(self, b: Tensor, x: Tensor, target: Tensor, max_iterations: int) -> tuple[Tensor, Monitor] | None:
        # What M r has of the kernel changes neither r^H M r nor A p: without projections the steps are the same.
        done = self.state.fused_cg(b, x, target, max_iterations)
        return None if done is None else (remove(done[0], self.basis), done[1])

    def adjoint(self) -> SolverState:
        return Projected(self.state.adjoint(), self.basis)

    def operator_norm(self) -> Tensor:
        return self.state.operator_norm()


def components(x: Tensor, basis: Tensor) -> Tensor:
    """<n_j, x> for every vector n_j of the basis.  # shape: (*batch, *in_shape), (k, *in_shape) -> (*batch, k)"""
    return x.flatten(x.ndim - basis.ndim + 1) @ basis.flatten(1).mH


def remove(x: Tensor, basis: Tensor) -> Tensor:
    """x without its components in an orthonormal basis."""
    return x - (components(x, basis) @ basis.flatten(1)).reshape(x.shape)


def _largest(counts: Tensor) -> int:
    return int(counts.max()) if counts.numel() else 0


def _out_of_range(b: Tensor, A: LinearOperator) -> Tensor | None:
    """What to divide b by where squares of its entries would underflow or overflow; None if they would nowhere."""
    entries = flat(torch.view_as_real(b).abs().amax(-1) if b.is_complex() else b, A)
    largest = entries.amax(-1).maximum(-entries.amin(-1))
    limits = torch.finfo(largest.dtype)
    low, high = limits.tiny**0.5 / limits.eps, limits.max**0.5 * limits.eps
    wild = (largest > 0) & torch.isfinite(largest) & ((largest < low) | (largest > high))
    return spread(torch.where(wild, largest, 1.0), A) if bool(wild.any()) else None
