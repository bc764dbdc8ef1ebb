"""`Multigrid`: geometric multigrid on grids of any size, as a solver or as a preconditioner."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from opnet.core.expect import expect, integer
from opnet.core.registry import register
from opnet.linops.base import LinearOperator
from opnet.solvers.linear.base import LinearSolver, Monitor, SolverState
from opnet.solvers.linear.precision import in_precision
from opnet.solvers.linear.relaxation import Chebyshev, Jacobi
from opnet.solvers.multigrid.cycle import VISITS, Cycle
from opnet.solvers.multigrid.fused import MOST, FusedMultigrid, fits
from opnet.solvers.multigrid.hierarchy import Hierarchy, galerkin_hierarchy, rediscretised_hierarchy
from opnet.solvers.multigrid.smoothers import GaussSeidel, Lines
from opnet.solvers.multigrid.stencils import as_stencil

COARSE = {"galerkin": galerkin_hierarchy, "rediscretised": rediscretised_hierarchy}
LARGEST_DENSE = 1024  # unknowns of a coarsest grid
PRECISIONS = (None, torch.float32, torch.float64)
SMOOTHERS = (Chebyshev, Jacobi, GaussSeidel, Lines)


@register("solver", "Multigrid")
@dataclass(frozen=True)
class Multigrid(LinearSolver):
    r"""Multigrid for operators that couple nearest neighbours on a grid of 1, 2 or 3 axes: `Diffusion` and `Stencil`,
    and such as `Identity(shape) + dt * A`.

    Every second node of an axis is kept, whatever its length; the interpolation P is taken from the operator, so that
    it follows jumps of the coefficient, and the coarse operator is P^T A P (`Interpolation`). That makes the number of
    iterations nearly independent of the grid, and of the size of jumps across interfaces that the grid resolves; cells
    of either of two values at random, 1 and 1e4, are hard (over 100 iterations on 64 x 64). A cycle is

    .. math:: x \leftarrow S(b), \quad x \leftarrow x + P \, C(P^T (b - A x)), \quad x \leftarrow S^*(x, b)

    with the smoother S and one or two cycles C on the next coarser level. It is a symmetric positive definite map, as
    conjugate gradients ask, if A is, `pre == post` and the cycle is "V" or "W".

    Where numba is installed (`opnet[fast]`), V(1, 1)-cycles in float32 on two axes that do not wrap, with Galerkin
    operators and at most two smoothing steps (Chebyshev or Jacobi), on a CPU, and the conjugate gradients around them,
    run in compiled loops, one element of a batch after the other. They are compiled at the first use, in about twelve
    seconds, and kept. The result is the same to rounding. A batch of over 2 GiB of hierarchies keeps none and sets each
    element up again when its turn comes: for conjugate gradients once a solve, for others in every iteration.

    A. Brandt, *Math. Comp.* 31 (1977) 333-390; U. Trottenberg, C. Oosterlee, A. Schueller, *Multigrid*, Academic Press
    2001, sections 2.4 to 2.6 and 7.7.

    Args:
        cycle: "V", "W" or "F".
        pre, post: smoother applications before and after the coarse correction.
        smoother: `Chebyshev`, `Jacobi`, `GaussSeidel` or `Lines`, the last where one axis's coefficients dominate.
        coarse: "galerkin", or "rediscretised": coefficients averaged on halved cells, for `Diffusion` on cells of even
            sizes; it bears jumps up to about 100.
        coarsest: stop coarsening at this many unknowns, solved densely.
        full: as a solver (not as a preconditioner), begin without x0 by full multigrid: the coarsest problem's
            solution, interpolated and improved by one cycle on every level (A. Brandt 1977, section 4).
        dtype: precision of the cycle, torch.float32 (by default on two and three axes: it halves the memory traffic)
            or torch.float64 (by default on one); that of the parts for a complex operator. The residuals are the Krylov
            method's or the solver's own, in the operator's precision, and so is the result. float32 bears condition
            numbers of D^-1 A up to about 1e6; beyond, such as at coefficients 1e4 times larger along an axis without
            Dirichlet sides, float64 is needed.

    >>> from opnet.linops.diffusion import Diffusion
    >>> from opnet.solvers.linear.cg import CG
    >>> from opnet.solvers.linear.solve import solve_linear
    >>> from opnet.spaces.grid import Grid
    >>> ones = torch.ones(31, 45, dtype=torch.float64)
    >>> A = Diffusion(ones, Grid((31, 45), nodes="interior"))
    >>> solution = solve_linear(A, ones, CG(preconditioner=Multigrid()))
    >>> int(solution.iterations) < 10
    True
    """

    cycle: str = "V"
    pre: int = 1
    post: int = 1
    # The diagonally scaled operator has its spectrum in [0, 2] (`smoothing_diagonal`); the upper three quarters are
    # left to the smoother.
    smoother: Jacobi | Chebyshev | GaussSeidel | Lines = field(
        default_factory=lambda: Chebyshev(degree=2, low=0.25, largest=2.0)
    )
    coarse: str = "galerkin"
    coarsest: int = 64
    full: bool = False
    dtype: torch.dtype | None = None

    def __post_init__(self) -> None:
        for name, value, known in (("cycle", self.cycle, VISITS), ("coarse", self.coarse, COARSE)):
            if value not in known:
                raise ValueError(f"Multigrid.{name}: expected one of {', '.join(known)}, found {value!r}")
        if integer("Multigrid.pre", self.pre) < 1 or integer("Multigrid.post", self.post) < 1:
            raise ValueError(f"Multigrid: expected pre >= 1 and post >= 1, found {self.pre} and {self.post}")
        if not 1 <= integer("Multigrid.coarsest", self.coarsest) <= LARGEST_DENSE:
            raise ValueError(f"Multigrid.coarsest: expected 1 ... {LARGEST_DENSE} unknowns, found {self.coarsest}")
        if self.dtype not in PRECISIONS:
            raise ValueError(f"Multigrid.dtype: expected torch.float32 or torch.float64, found {self.dtype!r}")
        expect("Multigrid.smoother", self.smoother, SMOOTHERS, "Chebyshev, Jacobi, GaussSeidel or Lines")

    def setup(self, operator: LinearOperator) -> MultigridState:
        """The hierarchy of coarse operators.

        Raises:
            ValueError: for an operator other than `Diffusion` and `Stencil`, or for `coarse="rediscretised"` one on
                other nodes than cells or on a grid that cannot be halved far enough.
        """
        return MultigridState(self, operator)

    def cycle_dtype(self, operator: LinearOperator) -> torch.dtype:
        """The precision of the cycle for an operator."""
        dtype = self.dtype or (torch.float32 if len(operator.in_shape) > 1 else torch.float64)
        return dtype.to_complex() if operator.dtype.is_complex else dtype


class MultigridState(SolverState):
    """The hierarchy of one operator."""

    def __init__(self, method: Multigrid, operator: LinearOperator, hierarchy: Hierarchy | None = None) -> None:
        self.method, self.operator = method, operator
        self.symmetric = operator.hermitian and method.pre == method.post and method.cycle != "F"
        self.dtype = method.cycle_dtype(operator)
        self._hierarchy = hierarchy
        self._fused: FusedMultigrid | None = None
        if hierarchy is None and method.coarse == "galerkin" and fits(method, A := as_stencil("Multigrid", operator)):
            self._fused = FusedMultigrid(method, A)
        else:
            _ = self.hierarchy

    @property
    def cycle(self) -> Cycle:
        """The cycle over the levels."""
        return Cycle(self.hierarchy, self.method.cycle, self.method.pre, self.method.post)

    @property
    def hierarchy(self) -> Hierarchy:
        """The levels, built when first asked for: the compiled loops have their own."""
        if self._hierarchy is None:
            method = self.method
            build = COARSE[method.coarse]
            with torch.no_grad():  # a preconditioner is a constant, in compiled loops as well
                self._hierarchy = build(self.operator, method.smoother, method.coarsest, self.dtype)
        return self._hierarchy

    def adjoint(self) -> MultigridState:
        A = self.operator
        if A.hermitian:
            return self
        if not A.symmetric:
            return MultigridState(self.method, A.adjoint())
        return MultigridState(self.method, A.adjoint(), self.hierarchy.adjoint())

    def apply(self, r: Tensor) -> Tensor:
        """One cycle from zero."""
        self.operator.check_argument(r)
        if self._fused is not None and not _differentiated(r):
            return self._fused.apply(r)
        if r.dtype == self.dtype:
            return self.cycle.apply(r)
        return in_precision(self.cycle.apply, r, self.dtype, self.operator)

    def iterate(self, b: Tensor, x: Tensor, target: Tensor, max_iterations: int) -> tuple[Tensor, Monitor]:
        if self.method.full and not bool(x.any()):
            x = self.full(b)
        return super().iterate(b, x, target, max_iterations)

    def fused_cg(self, b: Tensor, x: Tensor, target: Tensor, max_iterations: int) -> tuple[Tensor, Monitor] | None:
        if self._fused is None or max_iterations > MOST or _differentiated(b, x):
            return None
        r = b - self.operator.apply(x) if bool(x.any()) else b.contiguous()
        return self._fused.conjugate_gradients(b, x, r, target, max_iterations)

    def full(self, b: Tensor) -> Tensor:
        """Full multigrid: a cycle on every level, each from the interpolated result of the one below."""
        return in_precision(self._full, b, self.dtype, self.operator)

    def _full(self, b: Tensor) -> Tensor:
        sides = [b]
        for level in self.hierarchy.levels:
            sides.append(level.restrict(sides[-1]))
        x = self.hierarchy.solve_coarsest(sides.pop())
        for depth in reversed(range(len(sides))):
            level = self.hierarchy.levels[depth]
            x = level.prolong(x)
            x += self.cycle.apply(sides[depth] - level.operator.apply(x), depth)
        return x


def _differentiated(*fields: Tensor) -> bool:
    """Whether gradients to one of the fields are asked for, which compiled loops do not have."""
    return torch.is_grad_enabled() and any(field.requires_grad for field in fields)
