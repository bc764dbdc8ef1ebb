"""`Jacobi` and `Chebyshev`: polynomials in the diagonally scaled operator, as smoothers and preconditioners."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.linops.base import LinearOperator
from opnet.solvers.linear.base import LinearSolver, SolverState
from opnet.solvers.linear.vectors import dots, norms, spread


@register("solver", "Jacobi")
@dataclass(frozen=True)
class Jacobi(LinearSolver):
    """Damped Jacobi, `x <- x + weight D^-1 (b - A x)`, `sweeps` times; D is the diagonal of A.

    Converges for symmetric positive definite A if weight < 2 / lambda_max(D^-1 A). For five-point diffusion weight 4/5
    smooths best (U. Trottenberg, C. Oosterlee, A. Schueller, *Multigrid*, Academic Press 2001, section 2.1.2).

    >>> Jacobi(weight=1.5)
    Jacobi(weight=1.5, sweeps=1)
    """

    weight: float = 0.8
    sweeps: int = 1

    def __post_init__(self) -> None:
        if not (0 < self.weight < 2 and self.sweeps >= 1):
            raise ValueError(f"Jacobi: expected 0 < weight < 2 and sweeps >= 1, found {self.weight} and {self.sweeps}")

    def setup(self, operator: LinearOperator, diagonal: Tensor | None = None) -> RelaxationState:
        """The method bound to A; `diagonal` is one to use in the place of A's own."""
        return RelaxationState(operator, self.weights(), diagonal)

    def weights(self) -> tuple[float, ...]:
        """Of the steps `x <- x + w_i D^-1 (b - A x)`."""
        return (self.weight,) * self.sweeps


@register("solver", "Chebyshev")
@dataclass(frozen=True)
class Chebyshev(LinearSolver):
    """The polynomial of a degree in D^-1 A that is smallest on the part [low, high] of its spectrum.

    The error polynomial is the scaled Chebyshev polynomial, applied as Richardson steps at its roots (Y. Saad,
    *Iterative Methods for Sparse Linear Systems*, 2nd ed., SIAM 2003, section 12.3.2; as a smoother: M. Adams et al.,
    *J. Comput. Phys.* 188 (2003) 593-610). All eigenvalues of D^-1 A must be below `high`.

    Args:
        degree: applications of A, less the one that a zero start saves.
        low, high: the interval as fractions of the largest eigenvalue of D^-1 A.
        largest: that eigenvalue, such as 2, Gershgorin's bound for diffusion; None: estimated by power iteration.
    """

    degree: int = 2
    low: float = 0.25
    high: float = 1.0
    largest: float | None = None

    def __post_init__(self) -> None:
        if not (self.degree >= 1 and 0 < self.low < self.high):
            raise ValueError(
                f"Chebyshev: expected degree >= 1 and 0 < low < high, found {self.degree}, {self.low}, {self.high}"
            )

    def setup(self, operator: LinearOperator, diagonal: Tensor | None = None) -> RelaxationState:
        """The method bound to A; `diagonal` is one to use in the place of A's own."""
        if diagonal is None:
            diagonal = operator.diagonal()
        largest = self.largest if self.largest is not None else _largest_eigenvalue(operator, diagonal)
        return RelaxationState(operator, self.weights(largest), diagonal)

    def weights(self, largest: float) -> tuple[float, ...]:
        """Of the steps `x <- x + w_i D^-1 (b - A x)`, for the largest eigenvalue of D^-1 A."""
        middle, radius = 0.5 * (self.high + self.low), 0.5 * (self.high - self.low)
        # The long steps last: they amplify what the short ones have already damped.
        roots = [middle + radius * cos(pi * (2 * i + 1) / (2 * self.degree)) for i in range(self.degree)]
        return tuple(1 / (largest * root) for root in roots)


class RelaxationState(SolverState):
    """Steps `x <- x + w_i D^-1 (b - A x)`; as a whole Hermitian if A is, because D^-1 (A D^-1)^j is."""

    symmetric = True

    def __init__(self, operator: LinearOperator, weights: tuple[float, ...], diagonal: Tensor | None = None) -> None:
        self.operator, self.weights = operator, weights
        self.diagonal = operator.diagonal() if diagonal is None else diagonal
        self.inverse_diagonal = 1 / self.diagonal

    def apply(self, r: Tensor) -> Tensor:
        return self._steps(self.inverse_diagonal * r * self.weights[0], r, self.weights[1:])

    def adjoint(self) -> RelaxationState:
        A = self.operator
        return self if A.hermitian else RelaxationState(A.adjoint(), self.weights, self.diagonal.conj())

    def improve(self, x: Tensor, b: Tensor) -> Tensor:
        """x after the steps, which are the same in the other order; x is overwritten."""
        return self._steps(x, b, self.weights)

    begin, improve_backwards = apply, improve  # as smoothers have them whose order matters

    def _steps(self, x: Tensor, b: Tensor, weights: tuple[float, ...]) -> Tensor:
        for weight in weights:
            x.addcmul_(self.inverse_diagonal, b - self.operator.apply(x), value=weight)
        return x


def _largest_eigenvalue(A: LinearOperator, diagonal: Tensor, steps: int = 10, margin: float = 1.1) -> float:
    """Of D^-1 A, over the whole batch: power iteration in the inner product of D, with a margin."""
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(A.in_shape, generator=generator, dtype=torch.float64).to(A.device, A.dtype)
    v = v.expand(*A.batch_shape, *A.in_shape)
    value = torch.ones(A.batch_shape, dtype=A.dtype.to_real(), device=A.device)
    for _ in range(steps):
        image = A.apply(v)
        value = (dots(v, image, A) / dots(v, diagonal * v, A)).real
        v = image / diagonal
        v = v / spread(norms(v, A), A)
    finite = value[torch.isfinite(value)]  # an element that is not must not harm the others
    return margin * float(finite.max()) if len(finite) else 1.0
