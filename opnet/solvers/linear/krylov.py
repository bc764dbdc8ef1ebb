"""`Krylov`: what the Krylov methods share, a preconditioner and how it is set up."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor

from opnet.core.expect import expect
from opnet.linops.base import LinearOperator
from opnet.solvers.linear.base import LinearSolver, Projected, SolverState

INNER = 20  # iterations of a Krylov method that preconditions another


class Krylov(LinearSolver):
    """A method that looks for x in the space of r, A M r, (A M)^2 r, ...; subclasses are frozen dataclasses.

    Attributes:
        preconditioner: a solver whose state's `apply` is M; None for the identity.
        definite: whether the method needs a Hermitian positive definite M.
    """

    preconditioner: LinearSolver | None
    definite: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.preconditioner is not None:
            name = f"{type(self).__name__}.preconditioner"
            expect(name, self.preconditioner, LinearSolver, "a solver such as Jacobi(), Learned(network), or None")

    def setup(self, operator: LinearOperator) -> KrylovState:
        """Set the preconditioner up; `ValueError` if the method needs a symmetric one and it is not."""
        state = None if self.preconditioner is None else self.preconditioner.setup(operator)
        if self.definite and state is not None and not state.symmetric:
            raise ValueError(
                f"{type(self).__name__}.preconditioner: expected a symmetric solver, found {self.preconditioner}"
            )
        return self.bind(operator, state)

    @abstractmethod
    def bind(self, operator: LinearOperator, preconditioner: SolverState | None) -> KrylovState:
        """The method's state for an operator and a preconditioner that is set up."""


class KrylovState(SolverState):
    """A Krylov method bound to A, and its preconditioner's state M (None for the identity)."""

    symmetric = False  # as a preconditioner it would be another map for every right-hand side

    def __init__(self, method: Krylov, operator: LinearOperator, preconditioner: SolverState | None) -> None:
        self.method, self.operator, self.preconditioner = method, operator, preconditioner

    def precondition(self, r: Tensor) -> Tensor:
        """M r; not to be overwritten."""
        return r if self.preconditioner is None else self.preconditioner.apply(r)

    def apply(self, r: Tensor) -> Tensor:
        """Two digits of A^-1 r, or what a few iterations give."""
        return self.solve(r, rtol=1e-2, max_iterations=INNER).value

    def adjoint(self) -> KrylovState:
        if self.operator.hermitian:
            return self
        M = self.preconditioner
        return type(self)(self.method, self.operator.adjoint(), None if M is None else M.adjoint())

    def projected(self, basis: Tensor) -> SolverState:
        M = self.preconditioner
        return Projected(self if M is None else type(self)(self.method, self.operator, M.projected(basis)), basis)
