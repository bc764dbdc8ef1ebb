"""Smoothers whose updates come in an order: coloured Gauss-Seidel by nodes, and by lines.

As a smoother `begin` and `improve` run the sweeps in their order and `improve_backwards` in the reverse, so that a
cycle that ends as it began is symmetric; as a preconditioner of its own, `apply` runs one after the other.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor

from opnet.core.expect import integer
from opnet.core.registry import register
from opnet.linops.base import LinearOperator
from opnet.linops.stencil import Stencil
from opnet.solvers.linear.base import LinearSolver, SolverState
from opnet.solvers.multigrid.stencils import as_stencil
from opnet.solvers.multigrid.tridiagonal import Tridiagonal

# A line that nothing holds, such as one between Neumann sides, is singular, though its consistent problem has
# solutions: where a line's entries add up to less than this fraction of its diagonal, that is raised by as much.
HELD = 4e-6


@register("solver", "GaussSeidel")
@dataclass(frozen=True)
class GaussSeidel(LinearSolver):
    """Gauss-Seidel by colours: red-black where only axis neighbours couple, 2^d colours where all 3^d - 1 do.

    Nodes of one colour are not coupled and are updated at once (on a periodic axis of odd length those at its ends are
    coupled, and yet updated at once). U. Trottenberg, C. Oosterlee, A. Schueller, *Multigrid*, Academic Press 2001,
    sections 2.1.3 and 5.4.

    >>> GaussSeidel()
    GaussSeidel(sweeps=1)
    """

    sweeps: int = 1

    def __post_init__(self) -> None:
        if integer("GaussSeidel.sweeps", self.sweeps) < 1:
            raise ValueError(f"GaussSeidel.sweeps: expected at least 1, found {self.sweeps}")

    def setup(self, operator: LinearOperator, diagonal: Tensor | None = None) -> GaussSeidelState:
        """The method bound to a `Stencil` or `Diffusion`; `diagonal` is one to use in the place of its own."""
        A = as_stencil("GaussSeidel", operator)
        return GaussSeidelState(operator, self.sweeps, A, operator.diagonal() if diagonal is None else diagonal)


@register("solver", "Lines")
@dataclass(frozen=True)
class Lines(LinearSolver):
    """Zebra line Gauss-Seidel: whole grid lines are solved at once, first every second one, then those between.

    For coefficients much larger along one axis than along another. With several `axes` they alternate, which needs no
    knowledge of where which is large; where the coefficient jumps as well, W-cycles keep iterations from growing with
    the grid. On three axes lines come in four colours; coefficients that are large in whole planes need more than
    lines. U. Trottenberg, C. Oosterlee, A. Schueller, *Multigrid*, Academic Press 2001, sections 5.1.3 and 5.2.

    Args:
        axes: whose lines, one after the other; None for all.
        sweeps: how often.
    """

    axes: tuple[int, ...] | None = None
    sweeps: int = 1

    def __post_init__(self) -> None:
        if integer("Lines.sweeps", self.sweeps) < 1:
            raise ValueError(f"Lines.sweeps: expected at least 1, found {self.sweeps}")

    def setup(self, operator: LinearOperator, diagonal: Tensor | None = None) -> LinesState:
        """The method bound to a `Stencil` or `Diffusion`, its lines factorised; `diagonal` is not looked at.

        Raises:
            ValueError: for another operator, or axes that it does not have.
        """
        A = as_stencil("Lines", operator)
        d = len(A.in_shape)
        axes = range(d) if self.axes is None else self.axes
        if not axes or any(not 0 <= axis < d for axis in axes):
            raise ValueError(f"Lines.axes: expected some of 0 ... {d - 1}, found {self.axes}")
        return LinesState(operator, self.sweeps, A, axes)


class SweepState(SolverState):
    """Corrections one after the other, each of a part of the unknowns by the residual that the ones before left."""

    def __init__(self, operator: LinearOperator, sweeps: int, A: Stencil) -> None:
        self.operator, self.sweeps, self.A = operator, sweeps, A
        self.symmetric = A.hermitian

    @abstractmethod
    def corrections(self) -> Sequence[int]:
        """Names of the corrections of one sweep, in order."""

    @abstractmethod
    def correct(self, which: int, x: Tensor, r: Tensor) -> None:
        """Add one correction to x, r being b - A x."""

    def begin(self, b: Tensor) -> Tensor:
        """The sweeps from zero."""
        batch = torch.broadcast_shapes(b.shape[: b.ndim - len(self.A.in_shape)], self.A.batch_shape)
        return self.improve(b.new_zeros(*batch, *self.A.in_shape), b)

    def improve(self, x: Tensor, b: Tensor) -> Tensor:
        """x after the sweeps; x is overwritten."""
        return self._sweep(x, b, self.corrections())

    def improve_backwards(self, x: Tensor, b: Tensor) -> Tensor:
        """x after the sweeps in reverse order; x is overwritten."""
        return self._sweep(x, b, self.corrections()[::-1])

    def apply(self, r: Tensor) -> Tensor:
        return self.improve_backwards(self.begin(r), r)

    def _sweep(self, x: Tensor, b: Tensor, order: Sequence[int]) -> Tensor:
        for _ in range(self.sweeps):
            for which in order:
                self.correct(which, x, b - self.A.apply(x))
        return x


class GaussSeidelState(SweepState):
    def __init__(self, operator: LinearOperator, sweeps: int, A: Stencil, diagonal: Tensor) -> None:
        super().__init__(operator, sweeps, A)
        d = len(A.in_shape)
        five = all(sum(map(abs, q)) <= 1 for q in A.coefficients)
        self.colours = (
            [[p for p in product((0, 1), repeat=d) if sum(p) % 2 == colour] for colour in (0, 1)]
            if five
            else [[p] for p in sorted(product((0, 1), repeat=d), key=lambda p: (sum(p) % 2, p))]
        )
        self.diagonal = diagonal
        self.inverse_diagonal = 1 / diagonal

    def corrections(self) -> Sequence[int]:
        return range(len(self.colours))

    def correct(self, which: int, x: Tensor, r: Tensor) -> None:
        for parity in self.colours[which]:
            nodes: Any = (..., *(slice(p, None, 2) for p in parity))
            x[nodes].addcmul_(self.inverse_diagonal[nodes], r[nodes])

    def adjoint(self) -> GaussSeidelState:
        if self.symmetric:
            return self
        A = self.operator.adjoint()
        return GaussSeidelState(A, self.sweeps, as_stencil("GaussSeidel", A), self.diagonal.conj())


class LinesState(SweepState):
    def __init__(self, operator: LinearOperator, sweeps: int, A: Stencil, axes: Sequence[int]) -> None:
        super().__init__(operator, sweeps, A)
        self.axes, d = axes, len(A.in_shape)
        self.parts: list[tuple[Any, Tridiagonal]] = []
        for axis in axes:
            along = [tuple(int(i == axis) * step for i in range(d)) for step in (-1, 0, 1)]
            zero = torch.zeros_like(A.coefficients[along[1]])
            lower, diagonal, upper = (A.coefficients.get(q, zero) for q in along)
            sums, sizes = ((c.sum(axis - d, keepdim=True)).abs() for c in (lower + diagonal + upper, diagonal))
            diagonal = torch.where(sums > HELD * sizes, diagonal, diagonal * (1 + HELD))
            for parity in product((0, 1), repeat=d - 1):
                others = iter(parity)
                lines: Any = (..., *(slice(None) if i == axis else slice(next(others), None, 2) for i in range(d)))
                if zero[lines].numel():
                    factors = Tridiagonal(lower[lines], diagonal[lines], upper[lines], axis - d, A.periodic[axis])
                    self.parts.append((lines, factors))

    def corrections(self) -> Sequence[int]:
        return range(len(self.parts))

    def correct(self, which: int, x: Tensor, r: Tensor) -> None:
        lines, factors = self.parts[which]
        x[lines] += factors.solve(r[lines])

    def adjoint(self) -> LinesState:
        if self.symmetric:
            return self
        A = self.operator.adjoint()
        return LinesState(A, self.sweeps, as_stencil("Lines", A), self.axes)
