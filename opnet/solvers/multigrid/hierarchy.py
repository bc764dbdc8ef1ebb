"""`Level` and the hierarchies of them: what a cycle goes down and up."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from opnet.linops.base import LinearOperator
from opnet.linops.diffusion import Diffusion
from opnet.linops.stencil import Stencil
from opnet.solvers.multigrid.coarsening import coarsenings
from opnet.solvers.multigrid.interpolation import Interpolation
from opnet.solvers.multigrid.rediscretised import coarsen, grid_hierarchy
from opnet.solvers.multigrid.smoothers import as_stencil
from opnet.solvers.multigrid.transfer import Transfer


@runtime_checkable
class Smoother(Protocol):
    """What a cycle asks of a smoother bound to a level."""

    def begin(self, b: Tensor) -> Tensor: ...

    def improve(self, x: Tensor, b: Tensor) -> Tensor: ...

    def improve_backwards(self, x: Tensor, b: Tensor) -> Tensor: ...

    def adjoint(self) -> Smoother: ...


@runtime_checkable
class Transfers(Protocol):
    """What a cycle asks of the way between a level and the next coarser one."""

    def prolong(self, u: Tensor) -> Tensor: ...

    def restrict(self, r: Tensor) -> Tensor: ...

    def adjoint(self) -> Transfers: ...


@dataclass(frozen=True)
class Level:
    """One level but the coarsest.

    Attributes:
        operator: A.
        smoother: bound to A.
        transfer: between this level and the next coarser one.
    """

    operator: LinearOperator
    smoother: Smoother
    transfer: Transfers

    def prolong(self, u: Tensor) -> Tensor:
        """From the next coarser level to this one."""
        return self.transfer.prolong(u)

    def restrict(self, r: Tensor) -> Tensor:
        """From this level to the next coarser one."""
        return self.transfer.restrict(r)


@dataclass(frozen=True)
class Hierarchy:
    """The levels from fine to coarse, and the inverse of the coarsest operator.

    Attributes:
        levels: all but the coarsest.
        inverse: of the coarsest operator, a matrix on its unknowns; (*batch, n, n).
        shape: of the coarsest unknowns, n in all.
    """

    levels: list[Level]
    inverse: Tensor
    shape: tuple[int, ...]

    def solve_coarsest(self, b: Tensor) -> Tensor:
        """The coarsest operator's inverse applied.  # shape: (*batch, *shape) -> the same"""
        flat = b.flatten(b.ndim - len(self.shape))
        if self.inverse.ndim == 2:
            return (flat @ self.inverse.mT).reshape(b.shape)
        return (self.inverse @ flat.unsqueeze(-1)).reshape(b.shape)

    def adjoint(self) -> Hierarchy:
        """That of the adjoint operator."""
        levels = [Level(at.operator.adjoint(), at.smoother.adjoint(), at.transfer.adjoint()) for at in self.levels]
        return Hierarchy(levels, self.inverse.mH, self.shape)


@runtime_checkable
class BindsToLevel(Protocol):
    """A smoother as a value, `setup` binding it to a level."""

    def setup(self, operator: LinearOperator, diagonal: Tensor | None = None) -> Smoother: ...


def galerkin_hierarchy(
    operator: LinearOperator, smoother: BindsToLevel, coarsest: int, dtype: torch.dtype
) -> Hierarchy:
    """Coarse operators P^T A P with operator-dependent P; computed in the operator's precision, kept in `dtype`."""
    A = as_stencil("Multigrid", operator)
    levels: list[Level] = []
    while prod(A.in_shape) > coarsest and (axes := coarsenings(A.in_shape, A.periodic)) is not None:
        P = Interpolation(A, axes)
        coarse, P = P.galerkin(A), P.to(dtype)
        diagonal = smoothing_diagonal(A).to(dtype)
        A = A.to(dtype=dtype)
        levels.append(Level(A, smoother.setup(A, diagonal), P))
        A = coarse
    return Hierarchy(levels, dense_inverse(A).to(dtype), A.in_shape)


def rediscretised_hierarchy(
    operator: LinearOperator, smoother: BindsToLevel, coarsest: int, dtype: torch.dtype
) -> Hierarchy:
    """Diffusion on halved cells; `ValueError` for another operator, or a grid that cannot be halved far enough."""
    if not isinstance(operator, Diffusion) or set(operator.grid.nodes) != {"cell"} or operator.reaction is not None:
        raise ValueError(
            "Multigrid: coarse='rediscretised' expected a Diffusion on cells without c; coarse='galerkin' takes others"
        )
    levels: list[Level] = []
    A = operator
    for grid in grid_hierarchy(operator.grid, coarsest, 1024)[1:]:
        transfer, single = Transfer(A, dtype), A.to(dtype=dtype)
        levels.append(Level(single, smoother.setup(single), transfer))
        A = coarsen(A, grid)
    return Hierarchy(levels, dense_inverse(A).to(dtype), A.in_shape)


def smoothing_diagonal(A: Stencil) -> Tensor:
    """The diagonal, but at least half the sum of a row's absolute values, which bounds D^-1 A by 2.

    Galerkin operators at strong jumps have rows whose diagonal is less. A complex operator keeps its diagonal.
    """
    if A.dtype.is_complex:
        return A.diagonal()
    total = sum(c.abs() for c in A.coefficients.values())
    return torch.maximum(A.diagonal(), 0.5 * total)


def dense_inverse(A: LinearOperator) -> Tensor:
    """A^-1, where A is singular the pseudo-inverse; NaN for an element of the batch that is not finite."""
    matrix = A.to_dense()
    finite = torch.isfinite(matrix).all(-1).all(-1)[..., None, None]
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    matrix = torch.where(finite, matrix, identity)
    # Scaled, so that the pseudo-inverse sees a kernel and not the range of the coefficient.
    size = matrix.diagonal(dim1=-2, dim2=-1).abs()
    scale = torch.rsqrt(torch.where(size == 0, torch.ones_like(size), size))
    scaled = scale[..., :, None] * matrix * scale[..., None, :]
    inverse, eps = None, torch.finfo(A.dtype).eps
    hermitian = A.hermitian or torch.equal(matrix, matrix.mH)
    if hermitian:
        factor, failed = torch.linalg.cholesky_ex(scaled)
        pivots = factor.diagonal(dim1=-2, dim2=-1).abs()
        well = (failed == 0) & (pivots.amin(-1) > 4 * eps**0.5)  # rounding leaves less of a kernel
        if bool(well.all()):
            inverse = torch.cholesky_inverse(factor)
    if inverse is None:
        inverse = torch.linalg.pinv(scaled, hermitian=hermitian, rtol=8 * eps * scaled.shape[-1])
    inverse = scale[..., :, None] * inverse * scale[..., None, :]
    return torch.where(finite, inverse, torch.full_like(inverse, torch.nan))
