"""`Multigrid`: geometric multigrid for diffusion on cells, as a solver or as a preconditioner."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.linops.base import LinearOperator
from opnet.linops.diffusion import Diffusion
from opnet.solvers.linear.base import LinearSolver, SolverState, norms, spread
from opnet.solvers.linear.relaxation import Chebyshev, Jacobi
from opnet.solvers.multigrid.coarsening import coarsen, grid_hierarchy
from opnet.solvers.multigrid.transfer import Transfer

CYCLES = {"V": 1, "W": 2}
LARGEST_DENSE = 1024  # unknowns of a coarsest grid that cannot be halved further


@register("solver", "Multigrid")
@dataclass(frozen=True)
class Multigrid(LinearSolver):
    """Multigrid for `Diffusion`: halved cells, interpolation that knows the coefficient, averaged coarse coefficients.

    A V-cycle is symmetric positive definite if `pre == post`, as conjugate gradients need; with CG it takes 7 to 9
    iterations to 1e-8 for a coefficient jumping between 3 and 12 along random curves, from 64 x 64 to 1024 x 1024, and
    as many with `dtype=torch.float32`. Up to 512 x 512 jumps by 100 take 8 to 17, jumps by 1e4 9 to 37 (to 62 with
    float32): the coarse operators are not Galerkin products. For the same reason a W-cycle may fail to be definite at
    such jumps, which CG reports as BREAKDOWN.

    U. Trottenberg, C. Oosterlee, A. Schueller, *Multigrid*, Academic Press 2001, sections 2.4 and 2.8.

    Args:
        cycle: "V" or "W".
        pre, post: smoother applications before and after the coarse correction.
        smoother: a relaxation method as a value.
        coarsest: stop halving at this many unknowns, solved densely by Cholesky.
        dtype: precision of the cycle; that of the operator by default. float32 halves the memory traffic inside a
            float64 CG, whose residuals stay float64.

    >>> from opnet.solvers.linear.cg import CG
    >>> from opnet.solvers.linear.solve import solve_linear
    >>> from opnet.spaces.grid import Grid
    >>> ones = torch.ones(32, 32, dtype=torch.float64)
    >>> solution = solve_linear(Diffusion(ones, Grid((32, 32), nodes="cell")), ones, CG(preconditioner=Multigrid()))
    >>> int(solution.iterations) < 10
    True
    """

    cycle: str = "V"
    pre: int = 1
    post: int = 1
    # Gershgorin: the diagonally scaled operator has its spectrum in [0, 2].
    smoother: Jacobi | Chebyshev = field(default_factory=lambda: Chebyshev(degree=3, low=0.1, largest=2.0))
    coarsest: int = 64
    dtype: torch.dtype | None = None

    def __post_init__(self) -> None:
        if self.cycle not in CYCLES:
            raise ValueError(f"Multigrid.cycle: expected one of {', '.join(CYCLES)}, found {self.cycle!r}")
        if not (self.pre >= 1 and self.post >= 1):
            raise ValueError(f"Multigrid: expected pre >= 1 and post >= 1, found {self.pre} and {self.post}")
        if not 1 <= self.coarsest <= LARGEST_DENSE:
            raise ValueError(f"Multigrid.coarsest: expected 1 ... {LARGEST_DENSE} unknowns, found {self.coarsest}")

    def setup(self, operator: LinearOperator) -> MultigridState:
        """The hierarchy of coarse operators.

        Raises:
            ValueError: for an operator other than `Diffusion`, or a grid that cannot be halved far enough.
        """
        if not isinstance(operator, Diffusion):
            raise ValueError(f"Multigrid: expected a Diffusion operator, found {type(operator).__name__}")
        return MultigridState(self, operator)


class MultigridState(SolverState):
    """The hierarchy: `levels` from fine to coarse with their smoothers, and the inverse on the coarsest."""

    def __init__(self, method: Multigrid, operator: Diffusion) -> None:
        self.operator, self.method = operator, method
        self.symmetric = method.pre == method.post
        dtype = method.dtype or operator.dtype
        levels = [operator]
        for grid in grid_hierarchy(operator.grid, method.coarsest, LARGEST_DENSE)[1:]:
            levels.append(coarsen(levels[-1], grid))
        self.inverse = _dense_inverse(levels[-1]).to(dtype)
        self.levels = [A.to(dtype=dtype) for A in levels]
        self.smoothers = [method.smoother.setup(A) for A in self.levels[:-1]]
        self.transfers = [Transfer(A, dtype) for A in levels[:-1]]

    def apply(self, r: Tensor) -> Tensor:
        """One cycle from zero."""
        dtype = self.levels[0].dtype
        if r.dtype == dtype:
            return self._cycle(0, r)
        size = norms(r, self.operator)  # so that small residuals do not underflow in the lower precision
        size = spread(torch.where(size > 0, size, torch.ones_like(size)), self.operator)
        return self._cycle(0, (r / size).to(dtype)).to(r.dtype) * size

    def _cycle(self, level: int, b: Tensor) -> Tensor:
        if level == len(self.smoothers):
            return (self.inverse @ b.flatten(b.ndim - len(self.operator.in_shape)).unsqueeze(-1)).reshape(b.shape)
        A, smoother, transfer = self.levels[level], self.smoothers[level], self.transfers[level]
        method = self.method
        x = smoother.apply(b)
        for _ in range(method.pre - 1):
            x = smoother.improve(x, b)
        for _ in range(1 if level + 1 == len(self.smoothers) else CYCLES[method.cycle]):
            x += transfer.prolong(self._cycle(level + 1, transfer.restrict(b - A.apply(x))))
        for _ in range(method.post):
            x = smoother.improve(x, b)
        return x


def _dense_inverse(A: Diffusion) -> Tensor:
    """A^-1, or without a Dirichlet side the inverse of A + (multiple of the projection on constants)."""
    matrix = A.to_dense()
    if A.singular:
        largest = matrix.diagonal(dim1=-2, dim2=-1).amax(-1)[..., None, None]
        matrix = matrix + largest / matrix.shape[-1]
    return torch.cholesky_inverse(torch.linalg.cholesky(matrix))
