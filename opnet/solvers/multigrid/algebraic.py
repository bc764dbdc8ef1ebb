"""`AlgebraicMultigrid`: multigrid for sparse matrices without a grid, such as unstructured meshes and graphs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from opnet.core.expect import expect, integer
from opnet.core.registry import register
from opnet.linops.base import LinearOperator
from opnet.linops.dense import Dense
from opnet.linops.sparse import CSR
from opnet.solvers.linear.base import LinearSolver, SolverState
from opnet.solvers.linear.precision import in_precision
from opnet.solvers.linear.relaxation import Chebyshev, Jacobi
from opnet.solvers.multigrid.cycle import VISITS, Cycle
from opnet.solvers.multigrid.hierarchy import Hierarchy, Level, dense_inverse

LARGEST_DENSE = 2048  # unknowns of a coarsest level that PyAMG cannot coarsen further
INTERPOLATIONS = ("classical", "direct")


class AlgebraicCoarsening(ABC):
    """A way to choose coarse unknowns from the matrix alone, as a frozen value."""

    @abstractmethod
    def build(self, matrix: Any, hermitian: bool, coarsest: int) -> Any:
        """PyAMG's multilevel object for a finite square `scipy.sparse.csr_array`."""


@dataclass(frozen=True)
class RugeStuben(AlgebraicCoarsening):
    """Classical coarsening: a subset of the unknowns, and interpolation from the strongly connected ones among them.

    For real M-matrices and near them: scalar diffusion, graph Laplacians. J. W. Ruge and K. Stueben, in S. F. McCormick
    (ed.), *Multigrid Methods*, SIAM 1987, chapter 4.

    Args:
        threshold: i depends strongly on j if -a_ij >= threshold max_k (-a_ik).
        interpolation: "classical" or "direct".
    """

    threshold: float = 0.25
    interpolation: str = "classical"

    def __post_init__(self) -> None:
        if not 0 <= self.threshold < 1:
            raise ValueError(f"RugeStuben.threshold: expected 0 <= threshold < 1, found {self.threshold}")
        if self.interpolation not in INTERPOLATIONS:
            raise ValueError(
                f"RugeStuben.interpolation: expected one of {', '.join(INTERPOLATIONS)}, found {self.interpolation!r}"
            )

    def build(self, matrix: Any, hermitian: bool, coarsest: int) -> Any:
        if np.iscomplexobj(matrix.data):
            raise ValueError(
                "RugeStuben: expected a real operator, found a complex one: SmoothedAggregation() takes it"
            )
        return _pyamg().ruge_stuben_solver(
            matrix,
            strength=("classical", {"theta": self.threshold}),
            interpolation=self.interpolation,
            presmoother=None,
            postsmoother=None,
            max_coarse=coarsest,
        )


@dataclass(frozen=True, eq=False)
class SmoothedAggregation(AlgebraicCoarsening):
    """Coarse unknowns that are aggregates of fine ones, and piecewise near-kernel vectors smoothed into interpolation.

    For elasticity and other systems, and for scalar problems in three dimensions, where it is cheaper than classical
    coarsening. P. Vanek, J. Mandel and M. Brezina, *Computing* 56 (1996) 179-196.

    Args:
        near_nullspace: vectors that A nearly annihilates and that coarse levels must represent, such as the rigid body
            modes of elasticity; (k, *in_shape); constants by default.
        threshold: i and j are strongly connected if |a_ij| >= threshold sqrt(|a_ii a_jj|).
        block: unknowns a node, adjacent in the numbering and aggregated together: 2 for elasticity in the plane.
    """

    near_nullspace: Tensor | None = None
    threshold: float = 0.0
    block: int = 1

    def __post_init__(self) -> None:
        if self.near_nullspace is not None:
            expect(
                "SmoothedAggregation.near_nullspace", self.near_nullspace, Tensor, "a Tensor (k, *in_shape), or None"
            )
        if not (0 <= self.threshold < 1 and self.block >= 1):
            raise ValueError(
                f"SmoothedAggregation: expected 0 <= threshold < 1 and block >= 1, found {self.threshold} and "
                f"{self.block}"
            )

    def build(self, matrix: Any, hermitian: bool, coarsest: int) -> Any:
        n = matrix.shape[0]
        if n % self.block:
            raise ValueError(f"SmoothedAggregation.block: expected a divisor of {n} unknowns, found {self.block}")
        return _pyamg().smoothed_aggregation_solver(
            matrix.tobsr((self.block, self.block)) if self.block > 1 else matrix,
            B=self._candidates(n),
            symmetry="hermitian" if hermitian else "nonsymmetric",
            strength=("symmetric", {"theta": self.threshold}),
            presmoother=None,
            postsmoother=None,
            max_levels=30,
            max_coarse=coarsest,
        )

    def _candidates(self, n: int) -> np.ndarray | None:
        B = self.near_nullspace
        if B is None:
            return None
        if B.ndim < 2 or B[0].numel() != n or not bool(torch.isfinite(B).all()):
            raise ValueError(
                f"SmoothedAggregation.near_nullspace: expected finite vectors (k, *in_shape) of {n} unknowns each, "
                f"found {tuple(B.shape)}"
            )
        return B.detach().reshape(len(B), n).T.cpu().numpy().copy()


@register("solver", "AlgebraicMultigrid")
@dataclass(frozen=True)
class AlgebraicMultigrid(LinearSolver):
    """Multigrid whose coarse levels come from the matrix alone: PyAMG builds them, and they are cycled here.

    The coarse operators are Galerkin products `A_{l+1} = R_l A_l P_l`. The set-up runs on the CPU, in float64; cycles
    run where the operator is, for all right-hand sides together. Consistent singular systems (graph Laplacians, sides
    without Dirichlet) are solved as others are, with their kernel given to `solve_linear`. Needs PyAMG:
    `pip install opnet[amg]` (N. Bell, L. N. Olson, J. Schroder and B. Southworth, *J. Open Source Softw.* 8 (2023)
    5495).

    Args:
        coarsening: how: `RugeStuben()` or `SmoothedAggregation()`.
        cycle: "V", "W" or "F", the last of which is not symmetric.
        pre, post: smoother applications before and after the coarse correction; equal ones keep a cycle of a symmetric
            operator symmetric, as conjugate gradients need.
        smoother: a relaxation method as a value. `Jacobi` needs weight < 2 / lambda_max(D^-1 A) on every level, which
            aggregation may break; `Chebyshev()` estimates it.
        coarsest: stop coarsening at this many unknowns, solved densely.
        dtype: precision of the cycle; by default that of float32 (complex64), which halves its memory traffic. The
            residuals are the Krylov method's or the solver's own, in the operator's precision, and so is the result.

    >>> from scipy.sparse import diags_array
    >>> from opnet.solvers.linear.cg import CG
    >>> from opnet.solvers.linear.solve import solve_linear
    >>> A = CSR.from_scipy(diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(500, 500)))
    >>> b = torch.ones(500, dtype=torch.float64)
    >>> int(solve_linear(A, b, CG(preconditioner=AlgebraicMultigrid())).iterations) < 10
    True
    """

    coarsening: AlgebraicCoarsening = field(default_factory=RugeStuben)
    cycle: str = "V"
    pre: int = 1
    post: int = 1
    smoother: Jacobi | Chebyshev = field(default_factory=lambda: Chebyshev(degree=3, low=0.2))
    coarsest: int = 64
    dtype: torch.dtype | None = None

    def __post_init__(self) -> None:
        expect(
            "AlgebraicMultigrid.coarsening",
            self.coarsening,
            AlgebraicCoarsening,
            "RugeStuben() or SmoothedAggregation()",
        )
        if self.cycle not in VISITS:
            raise ValueError(f"AlgebraicMultigrid.cycle: expected one of {', '.join(VISITS)}, found {self.cycle!r}")
        if integer("AlgebraicMultigrid.pre", self.pre) < 1 or integer("AlgebraicMultigrid.post", self.post) < 1:
            raise ValueError(f"AlgebraicMultigrid: expected pre >= 1 and post >= 1, found {self.pre} and {self.post}")
        if not 1 <= integer("AlgebraicMultigrid.coarsest", self.coarsest) <= LARGEST_DENSE:
            raise ValueError(
                f"AlgebraicMultigrid.coarsest: expected 1 ... {LARGEST_DENSE} unknowns, found {self.coarsest}"
            )

    def setup(self, operator: LinearOperator) -> AlgebraicMultigridState:
        """The hierarchy of coarse operators.

        Raises:
            ImportError: without PyAMG.
            ValueError: for an operator that is batched, not square or not finite, that has a zero on its diagonal or
                no `to_scipy`, or that cannot be coarsened far enough.
        """
        matrix = _matrix(operator)
        hermitian = _is_hermitian(matrix)
        with _fixed_draws():
            found = self.coarsening.build(matrix, hermitian, self.coarsest).levels
        n = found[-1].A.shape[0]
        if n > LARGEST_DENSE:
            raise ValueError(
                f"AlgebraicMultigrid: expected coarsening down to {LARGEST_DENSE} unknowns, found that it stopped at "
                f"{n} of {matrix.shape[0]}: a smaller threshold connects more of them"
            )
        dtype = self.dtype or (torch.complex64 if operator.dtype.is_complex else torch.float32)

        def kept(part: Any) -> CSR:
            return CSR.from_scipy(part, dtype, operator.device)

        levels = []
        for level in found[:-1]:
            A = kept(level.A)
            diagonal = torch.as_tensor(level.A.diagonal()).to(operator.device, dtype)
            levels.append(Level(A, self.smoother.setup(A, diagonal), Matrices(kept(level.P), kept(level.R))))
        last = torch.as_tensor(found[-1].A.toarray())
        inverse = dense_inverse(Dense((last + last.mH) / 2 if hermitian else last)).to(operator.device, dtype)
        return AlgebraicMultigridState(self, operator, Hierarchy(levels, inverse, (n,)), hermitian)


@dataclass(frozen=True)
class Matrices:
    """Prolongation P from the next coarser level and restriction R to it."""

    P: LinearOperator
    R: LinearOperator

    def prolong(self, u: Tensor) -> Tensor:
        return self.P.apply(u)

    def restrict(self, r: Tensor) -> Tensor:
        return self.R.apply(r)

    def adjoint(self) -> Matrices:
        return Matrices(self.R.adjoint(), self.P.adjoint())


class AlgebraicMultigridState(SolverState):
    """The hierarchy of one operator."""

    def __init__(
        self, method: AlgebraicMultigrid, operator: LinearOperator, hierarchy: Hierarchy, hermitian: bool
    ) -> None:
        self.method, self.operator, self.hierarchy, self.hermitian = method, operator, hierarchy, hermitian
        self.cycle = Cycle(hierarchy, method.cycle, method.pre, method.post)
        self.symmetric = hermitian and self.cycle.symmetric

    def apply(self, r: Tensor) -> Tensor:
        """One cycle from zero, on all right-hand sides together."""
        dtype = self.hierarchy.inverse.dtype
        return self._cycle(r) if r.dtype == dtype else in_precision(self._cycle, r, dtype, self.operator)

    def _cycle(self, r: Tensor) -> Tensor:
        return self.cycle.apply(r.reshape(-1, self.operator.shape[0])).reshape(r.shape)

    def adjoint(self) -> AlgebraicMultigridState:
        """The hierarchy of the adjoint operators, with P and R changing places; nothing is built anew."""
        if self.operator.hermitian:
            return self
        hierarchy = self.hierarchy if self.hermitian else self.hierarchy.adjoint()
        return AlgebraicMultigridState(self.method, self.operator.adjoint(), hierarchy, self.hermitian)


def _pyamg() -> ModuleType:
    try:
        import pyamg
    except ImportError as error:
        raise ImportError(
            "AlgebraicMultigrid: expected PyAMG, which builds the hierarchy, found none: pip install opnet[amg]"
        ) from error
    return pyamg


@contextmanager
def _fixed_draws() -> Iterator[None]:
    """PyAMG draws from NumPy's global generator: the same numbers every time, and the caller's stream kept."""
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


def _matrix(operator: LinearOperator) -> Any:
    """A as PyAMG takes it: a finite square `csr_array` of double precision without zeros on the diagonal."""
    if not hasattr(operator, "to_scipy"):
        raise ValueError(
            f"AlgebraicMultigrid: expected an operator with to_scipy(), such as CSR or Diffusion, found "
            f"{type(operator).__name__}"
        )
    if operator.batch_shape:
        raise ValueError(
            f"AlgebraicMultigrid: expected an operator without a batch (right-hand sides may have one), found batch "
            f"{tuple(operator.batch_shape)}"
        )
    matrix = operator.to_scipy().tocsr().astype(np.complex128 if operator.dtype.is_complex else np.float64)
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"AlgebraicMultigrid: expected a square operator, found {matrix.shape[0]} x {matrix.shape[1]}")
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    if not np.isfinite(matrix.data).all():
        raise ValueError("AlgebraicMultigrid: expected finite entries, found NaN or Inf")
    zeros = np.flatnonzero(matrix.diagonal() == 0)
    if len(zeros):
        raise ValueError(f"AlgebraicMultigrid: expected no zero on the diagonal, found {len(zeros)}, first {zeros[0]}")
    matrix.indices, matrix.indptr = matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32)
    return matrix


def _is_hermitian(matrix: Any) -> bool:
    """Whether A^H = A to rounding, for a matrix with sorted indices."""
    adjoint = matrix.T.tocsr().conj(copy=False)
    parts = ("indptr", "indices", "data")
    if all(np.array_equal(getattr(matrix, part), getattr(adjoint, part)) for part in parts):
        return True  # without the work of a difference
    rounding = 8 * np.finfo(np.float64).eps * abs(matrix).max()
    return bool(abs(matrix - adjoint).max() <= rounding)
