"""`DirectSolver`: factorise once, solve often; dense on any device, sparse on the CPU."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.core.status import Status
from opnet.linops.base import LinearOperator
from opnet.linops.dense import Dense
from opnet.solvers.linear.base import LinearSolver, Projected, SolverState
from opnet.solvers.linear.factors import DenseFactors, Factors, SparseFactors
from opnet.solvers.linear.monitor import Monitor, mark
from opnet.solvers.linear.vectors import flat

LARGEST_DENSE = 4096  # unknowns of an operator that only knows its action; 128 MiB in float64


@register("solver", "DirectSolver")
@dataclass(frozen=True)
class DirectSolver(LinearSolver):
    """Factorisation of every batch element, and iterative refinement where the residual asks for it.

    Operators with a sparse matrix (`to_scipy`) on the CPU go to SuperLU (X. S. Li, *ACM Trans. Math. Softw.* 31 (2005)
    302-325) with the ordering MMD_AT_PLUS_A, and preference for pivots on the diagonal if they are symmetric. All
    others are made dense: Cholesky if every batch element is Hermitian positive definite, else LU with partial
    pivoting. The factors serve any number of right-hand sides and the adjoint system. A kernel that the operator or the
    caller declares is bordered out; an element that is singular without one ends as BREAKDOWN. Iterations count
    solves with the factors.

    >>> from opnet.solvers.linear.solve import solve_linear
    >>> A = Dense(torch.tensor([[2.0, 1.0], [0.0, 3.0]], dtype=torch.float64))
    >>> solve_linear(A, torch.tensor([3.0, 3.0], dtype=torch.float64), DirectSolver()).value.round(decimals=6)
    tensor([1., 1.], dtype=torch.float64)
    """

    def setup(self, operator: LinearOperator) -> DirectState:
        """Factorise.

        Raises:
            ValueError: for an operator without a matrix that has too many unknowns to be made dense.
        """
        return DirectState(operator, _factorise(operator, operator.nullspace()))


class DirectState(SolverState):
    window = 3  # refinement that gains nothing has reached what rounding allows

    def __init__(self, operator: LinearOperator, factors: Factors, adjoint: bool = False) -> None:
        self.operator, self.factors, self._adjoint = operator, factors, adjoint
        self.symmetric = factors.definite

    def apply(self, r: Tensor) -> Tensor:
        """A^-1 r; zero for elements that are singular."""
        return self.factors.solve(flat(r, self.operator), self._adjoint).reshape(r.shape)

    def iterate(self, b: Tensor, x: Tensor, target: Tensor, max_iterations: int) -> tuple[Tensor, Monitor]:
        x, monitor = super().iterate(b, x, target, max_iterations)
        stopped = monitor.active | (monitor.status == Status.STAGNATED)
        mark(monitor.status, stopped & self.factors.singular, Status.BREAKDOWN)
        monitor.active = monitor.active & ~self.factors.singular
        return x, monitor

    def adjoint(self) -> DirectState:
        A = self.operator
        return self if A.hermitian else DirectState(A.adjoint(), self.factors, not self._adjoint)

    def projected(self, basis: Tensor) -> SolverState:
        known = self.factors.basis
        if known is not None and torch.equal(known, basis):
            return Projected(self, basis)
        return Projected(DirectState(self.operator, _factorise(self.operator, basis)), basis)


def _factorise(A: LinearOperator, basis: Tensor | None) -> Factors:
    if hasattr(A, "to_scipy") and A.device.type == "cpu":
        return SparseFactors(A, basis)
    if A.shape[0] > LARGEST_DENSE and not isinstance(A, Dense):
        raise ValueError(
            "DirectSolver: expected a Dense operator, one with to_scipy() on the CPU, or at most "
            f"{LARGEST_DENSE} unknowns, found {type(A).__name__} of {A.shape[0]} on {A.device}"
        )
    return DenseFactors(A, basis)
