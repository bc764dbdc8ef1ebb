"""`Learned`: a trained network as a preconditioner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from opnet.core.expect import expect
from opnet.core.registry import register
from opnet.linops.base import LinearOperator
from opnet.solvers.linear.base import LinearSolver, SolverState
from opnet.solvers.linear.precision import in_precision


@register("solver", "Learned")
@dataclass(frozen=True)
class Learned(LinearSolver):
    """A map from residuals to corrections that someone trained, for `FlexibleCG`, `GMRES` or `Richardson`.

    The map sees residuals scaled to unit norm, batch element by batch element, in the dtype of its first parameter (of
    the residual if it has none); its corrections are scaled back. It runs without gradients and in the mode, training
    or evaluation, in which it stands. Whatever it returns, the solver checks the residual of the result: a bad network
    costs iterations, many where it is untrained, and may end at their limit, but it never gives a wrong answer. The
    solve has no gradients to its parameters. For the adjoint system of an operator that is not Hermitian the same map
    serves, by trial.

    Args:
        module: maps (*batch, *in_shape) to the same shape.
        channel: give it (batch, 1, *in_shape) with one batch dimension instead, as opnet's grid models take, and take
            the channel away again.

    >>> from opnet.linops.dense import Dense
    >>> from opnet.solvers.linear.flexible_cg import FlexibleCG
    >>> from opnet.solvers.linear.solve import solve_linear
    >>> A = Dense(torch.tensor([[2.0, 1.0], [1.0, 3.0]], dtype=torch.float64))
    >>> network = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
    >>> solution = solve_linear(A, torch.tensor([3.0, 4.0], dtype=torch.float64), FlexibleCG(Learned(network)))
    >>> solution.value.round(decimals=6)
    tensor([1., 1.], dtype=torch.float64)
    """

    module: Callable[[Tensor], Tensor]
    channel: bool = False

    def __post_init__(self) -> None:
        if not callable(self.module) or isinstance(self.module, type):
            expect("Learned.module", self.module, nn.Module, "a network or another map from residuals to corrections")

    def setup(self, operator: LinearOperator) -> LearnedState:
        return LearnedState(self, operator)


class LearnedState(SolverState):
    symmetric = False

    def __init__(self, method: Learned, operator: LinearOperator) -> None:
        self.method, self.operator = method, operator

    def apply(self, r: Tensor) -> Tensor:
        with torch.no_grad():
            return in_precision(self._correction, r, _dtype(self.method.module, r.dtype), self.operator)

    def _correction(self, r: Tensor) -> Tensor:
        argument = r.reshape(-1, 1, *self.operator.in_shape) if self.method.channel else r
        z = self.method.module(argument)
        if not isinstance(z, Tensor) or z.shape != argument.shape:
            found = f"shape {tuple(z.shape)}" if isinstance(z, Tensor) else f"an object of type {type(z).__name__}"
            raise ValueError(f"Learned.module: expected corrections of shape {tuple(argument.shape)}, found {found}")
        return z.reshape(r.shape)

    def adjoint(self) -> LearnedState:
        A = self.operator
        return self if A.hermitian else LearnedState(self.method, A.adjoint())


def _dtype(module: Callable[[Tensor], Tensor], default: torch.dtype) -> torch.dtype:
    parameters = module.parameters() if isinstance(module, nn.Module) else iter(())
    return next((p.dtype for p in parameters if p.is_floating_point() or p.is_complex()), default)
