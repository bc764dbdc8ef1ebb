"""`Equilibrated`: any solver on the system with a unit diagonal."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from opnet.core.expect import expect
from opnet.core.registry import register
from opnet.core.status import Status
from opnet.linops.base import LinearOperator
from opnet.solvers.linear.base import LinearSolver, SolverState
from opnet.solvers.linear.monitor import Monitor
from opnet.solvers.linear.vectors import divisor, norms

ROUNDS = 8  # of asking the scaled system for more, until the original residual is small enough


@register("solver", "Equilibrated")
@dataclass(frozen=True)
class Equilibrated(LinearSolver):
    r"""Symmetric diagonal scaling around any solver, for unknowns of very different size or unit.

    .. math:: D^{-1/2} A D^{-1/2} y = D^{-1/2} b, \qquad x = D^{-1/2} y, \qquad D = |\operatorname{diag} A|

    Among diagonal scalings of a Hermitian positive definite matrix none has a condition number smaller than this one's
    divided by the largest number of entries in a row (A. van der Sluis, *Numer. Math.* 14 (1969) 14-23, theorem 4.1).
    The tolerance is that of the original residual. Zeros on the diagonal are not scaled.

    Args:
        solver: works on the scaled operator, which knows its action and its diagonal.

    >>> from opnet.linops.dense import Dense
    >>> from opnet.solvers.linear.cg import CG
    >>> from opnet.solvers.linear.solve import solve_linear
    >>> A = Dense(torch.tensor([[1.0, 1e3], [1e3, 4e6]], dtype=torch.float64))
    >>> solve_linear(A, torch.tensor([1001.0, 4001000.0], dtype=torch.float64), Equilibrated(CG())).value
    tensor([1.0000, 1.0000], dtype=torch.float64)
    """

    solver: LinearSolver

    def __post_init__(self) -> None:
        expect("Equilibrated.solver", self.solver, LinearSolver, "a solver such as CG()")

    def setup(self, operator: LinearOperator) -> EquilibratedState:
        scale = divisor(operator.diagonal().abs()).rsqrt()
        return EquilibratedState(operator, scale, self.solver.setup(ScaledBothSides(operator, scale)))


class EquilibratedState(SolverState):
    def __init__(self, operator: LinearOperator, scale: Tensor, state: SolverState) -> None:
        self.operator, self.scale, self.state = operator, scale, state
        self.symmetric = state.symmetric

    def apply(self, r: Tensor) -> Tensor:
        return self.scale * self.state.apply(self.scale * r)

    def iterate(self, b: Tensor, x: Tensor, target: Tensor, max_iterations: int) -> tuple[Tensor, Monitor]:
        A, c = self.operator, self.scale * b
        unit = norms(c, A) / divisor(norms(b, A))  # of residual norms of the scaled system
        goal = target * unit
        y, monitor = self.state.iterate(c, x / self.scale, goal, max_iterations)
        for _ in range(ROUNDS):
            norm = norms(b - A.apply(self.scale * y), A)
            missed = ~monitor.active & (monitor.status == Status.CONVERGED) & (norm > target)
            missed &= monitor.iterations < max_iterations
            if not bool(missed.any()):
                break
            goal = torch.where(missed, goal * (0.5 * target / norm), goal)
            again = torch.where(missed, goal, torch.inf)
            y, later = self.state.iterate(c, y, again, monitor.left(missed, max_iterations))
            monitor.extend(later, missed)
            monitor.active = monitor.active | (later.active & missed)
        monitor.norms = [norm / divisor(unit) for norm in monitor.norms]
        return self.scale * y, monitor

    def adjoint(self) -> EquilibratedState:
        A = self.operator
        return self if A.hermitian else EquilibratedState(A.adjoint(), self.scale, self.state.adjoint())


class ScaledBothSides(LinearOperator):
    """S A S with S = diag(scale), real.

    Args:
        operator: A, square.
        scale: positive; (*batch_shape, *in_shape).
    """

    def __init__(self, operator: LinearOperator, scale: Tensor) -> None:
        self.operator, self.scale, self.symmetric = operator, scale, operator.symmetric
        self.in_shape, self.out_shape = operator.in_shape, operator.out_shape
        self.batch_shape, self.dtype, self.device = operator.batch_shape, operator.dtype, operator.device

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return (self.scale, *self.operator.tensors)

    def rebuild(self, tensors: tuple[Tensor, ...]) -> ScaledBothSides:
        return ScaledBothSides(self.operator.rebuild(tensors[1:]), tensors[0])

    def apply(self, x: Tensor) -> Tensor:
        return self.scale * self.operator.apply(self.scale * x)

    def transpose(self) -> ScaledBothSides:
        return ScaledBothSides(self.operator.transpose(), self.scale)

    def diagonal(self) -> Tensor:
        return self.scale**2 * self.operator.diagonal()
