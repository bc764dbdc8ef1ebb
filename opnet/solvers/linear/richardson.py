"""`Richardson`: the plain iteration x <- x + weight M (b - A x)."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from torch import Tensor

from opnet.core.expect import expect
from opnet.core.registry import register
from opnet.linops.base import LinearOperator
from opnet.solvers.linear.base import LinearSolver, SolverState


@register("solver", "Richardson")
@dataclass(frozen=True)
class Richardson(LinearSolver):
    """`x <- x + weight M (b - A x)`, with M any solver; converges if all eigenvalues of I - weight M A are below 1.

    L. F. Richardson, *Phil. Trans. R. Soc. A* 210 (1911) 307-357; Y. Saad, *Iterative Methods for Sparse Linear
    Systems*, 2nd ed., SIAM 2003, section 4.2.1, equation 4.29 on the best weight, 2 / (lambda_min + lambda_max) of M A.

    Args:
        weight: finite and other than 0.
        preconditioner: M; None for the identity.

    >>> import torch
    >>> from opnet.linops.dense import Dense
    >>> from opnet.solvers.linear.solve import solve_linear
    >>> A = Dense(torch.tensor([[2.0, 1.0], [1.0, 2.0]], dtype=torch.float64))
    >>> solve_linear(A, torch.tensor([3.0, 3.0], dtype=torch.float64), Richardson(weight=0.5)).value
    tensor([1.0000, 1.0000], dtype=torch.float64)
    """

    weight: float = 1.0
    preconditioner: LinearSolver | None = None

    def __post_init__(self) -> None:
        if not (isfinite(self.weight) and self.weight != 0):
            raise ValueError(f"Richardson.weight: expected a finite number other than 0, found {self.weight}")
        if self.preconditioner is not None:
            expect("Richardson.preconditioner", self.preconditioner, LinearSolver, "a solver such as Jacobi(), or None")

    def setup(self, operator: LinearOperator) -> RichardsonState:
        M = None if self.preconditioner is None else self.preconditioner.setup(operator)
        return RichardsonState(operator, self.weight, M)


class RichardsonState(SolverState):
    def __init__(self, operator: LinearOperator, weight: float, preconditioner: SolverState | None) -> None:
        self.operator, self.weight, self.preconditioner = operator, weight, preconditioner
        self.symmetric = weight > 0 and (preconditioner is None or preconditioner.symmetric)

    def apply(self, r: Tensor) -> Tensor:
        return self.weight * (r if self.preconditioner is None else self.preconditioner.apply(r))

    def adjoint(self) -> RichardsonState:
        if self.operator.hermitian:
            return self
        M = None if self.preconditioner is None else self.preconditioner.adjoint()
        return RichardsonState(self.operator.adjoint(), self.weight, M)
