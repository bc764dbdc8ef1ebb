"""`Surrogate`: a solver set up for another operator, near the one to be solved."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from opnet.core.expect import expect
from opnet.core.registry import register
from opnet.linops.base import LinearOperator
from opnet.solvers.linear.base import LinearSolver, SolverState
from opnet.solvers.linear.precision import in_precision


@register("solver", "Surrogate")
@dataclass(frozen=True)
class Surrogate(LinearSolver):
    """A solver of a nearby operator as preconditioner: M = `solver`'s approximate inverse of `operator`.

    The shifted Laplacian for indefinite Helmholtz problems (Y. A. Erlangga, C. Vuik and C. W. Oosterlee, *Appl. Numer.
    Math.* 50 (2004) 409-425: -lap - (1 - i/2) k^2, inside GMRES or BiCGStab), a constant coefficient for a variable
    one, or the same operator in float32, `A.to(dtype=torch.float32)`. Residuals are scaled to unit norm and cast to
    the surrogate's dtype; a real surrogate of a complex system works on real and imaginary parts. Alone it is the
    method of defect correction.

    Args:
        operator: what M approximates the inverse of; of the shape of the operator to be solved, and on its device.
        solver: how.

    >>> import torch
    >>> from opnet.linops.dense import Dense
    >>> from opnet.solvers.linear.cg import CG
    >>> from opnet.solvers.linear.direct import DirectSolver
    >>> from opnet.solvers.linear.solve import solve_linear
    >>> A = Dense(torch.tensor([[2.0, 1.0], [1.0, 3.0]], dtype=torch.float64))
    >>> single = Surrogate(A.to(dtype=torch.float32), DirectSolver())
    >>> int(solve_linear(A, torch.tensor([3.0, 4.0], dtype=torch.float64), CG(preconditioner=single)).iterations) <= 2
    True
    """

    operator: LinearOperator
    solver: LinearSolver

    def __post_init__(self) -> None:
        expect("Surrogate.operator", self.operator, LinearOperator, "a LinearOperator")
        expect("Surrogate.solver", self.solver, LinearSolver, "a solver such as DirectSolver()")

    def setup(self, operator: LinearOperator) -> SurrogateState:
        """Set the solver up for the surrogate.

        Raises:
            ValueError: for a surrogate of another shape or on another device than the operator, or a complex one of a
                real operator.
        """
        own = self.operator
        if own.in_shape != operator.in_shape or own.out_shape != operator.out_shape or own.device != operator.device:
            raise ValueError(
                f"Surrogate.operator: expected {operator.in_shape} -> {operator.out_shape} on {operator.device} as the "
                f"operator to be solved, found {own.in_shape} -> {own.out_shape} on {own.device}"
            )
        if own.dtype.is_complex and not operator.dtype.is_complex:
            raise ValueError(f"Surrogate.operator: expected a real operator for {operator.dtype}, found {own.dtype}")
        return SurrogateState(operator, self.solver.setup(own))


class SurrogateState(SolverState):
    def __init__(self, operator: LinearOperator, state: SolverState) -> None:
        self.operator, self.state = operator, state
        self.symmetric = state.symmetric

    def apply(self, r: Tensor) -> Tensor:
        dtype = self.state.operator.dtype
        if r.dtype == dtype:
            return self.state.apply(r)
        return in_precision(self.state.apply, r, dtype, self.operator)

    def adjoint(self) -> SurrogateState:
        A = self.operator
        return self if A.hermitian else SurrogateState(A.adjoint(), self.state.adjoint())
