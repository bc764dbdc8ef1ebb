"""`TridiagonalSolver`: linear systems known to be tridiagonal by their products alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from opnet.linops.base import LinearOperator
from opnet.solvers.linear.base import LinearSolver, SolverState
from opnet.solvers.multigrid.tridiagonal import Tridiagonal

COLOURS = 3  # columns three apart meet in no row


@dataclass(frozen=True)
class TridiagonalSolver(LinearSolver):
    """Elimination in a tridiagonal operator on one axis, whose bands three products tell.

    (A. R. Curtis, M. J. D. Powell and J. K. Reid, *IMA J. Appl. Math.* 13 (1974) 117-119.) An operator with more than
    three bands is solved by iteration with its tridiagonal part, and need not converge.

    >>> from opnet.linops.dense import Dense
    >>> from opnet.solvers.linear.solve import solve_linear
    >>> A = Dense(torch.tensor([[2.0, -1.0, 0.0], [-1.0, 2.0, -1.0], [0.0, -1.0, 2.0]], dtype=torch.float64))
    >>> solve_linear(A, torch.tensor([0.0, 0.0, 4.0], dtype=torch.float64), TridiagonalSolver()).value
    tensor([1., 2., 3.], dtype=torch.float64)
    """

    def setup(self, operator: LinearOperator) -> TridiagonalState:
        """Take the bands, and factorise.

        Raises:
            ValueError: for an operator on other than one axis.
        """
        if len(operator.in_shape) != 1:
            raise ValueError(
                f"TridiagonalSolver: expected an operator on vectors, found one on {tuple(operator.in_shape)}"
            )
        (n,) = operator.in_shape
        rows = torch.arange(n, device=operator.device)
        ones = (rows % COLOURS == torch.arange(COLOURS, device=operator.device)[:, None]).to(operator.dtype)
        images = torch.stack([operator.apply(one.expand(*operator.batch_shape, n)) for one in ones])
        lower, diagonal, upper = (images[(rows + shift) % COLOURS, ..., rows].movedim(0, -1) for shift in (-1, 0, 1))
        return TridiagonalState(operator, (lower, diagonal, upper))


class TridiagonalState(SolverState):
    window = 3
    symmetric = False

    def __init__(self, operator: LinearOperator, bands: tuple[Tensor, Tensor, Tensor]) -> None:
        self.operator, self.bands = operator, bands
        self._factors = Tridiagonal(*bands, -1)

    def apply(self, r: Tensor) -> Tensor:
        return self._factors.solve(r)

    def adjoint(self) -> TridiagonalState:
        lower, diagonal, upper = (band.conj() for band in self.bands)
        return TridiagonalState(self.operator.adjoint(), (upper.roll(1, -1), diagonal, lower.roll(-1, -1)))
