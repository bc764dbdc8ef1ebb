"""`Level` and the hierarchies of them: what a cycle goes down and up."""

from __future__ import annotations

from collections.abc import Sequence
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
from opnet.solvers.multigrid.stencils import as_stencil
from opnet.solvers.multigrid.transfer import Transfer

KERNEL = 256  # times the rounding that is expected of a zero eigenvalue


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
    return Hierarchy(levels, dense_inverse(A, operator.in_shape).to(dtype), A.in_shape)


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
    return Hierarchy(levels, dense_inverse(A, operator.in_shape).to(dtype), A.in_shape)


def smoothing_diagonal(A: Stencil) -> Tensor:
    """The diagonal, but at least half the sum of a row's absolute values, which bounds D^-1 A by 2.

    Galerkin operators at strong jumps have rows whose diagonal is less. A complex operator keeps its diagonal.
    """
    if A.dtype.is_complex:
        return A.diagonal()
    diagonal = A.diagonal()
    total = sum((c.abs() for c in A.coefficients.values()), torch.zeros_like(diagonal))
    return torch.maximum(diagonal, 0.5 * total)


def dense_inverse(A: LinearOperator, finest: Sequence[int] | None = None) -> Tensor:
    """A^-1, where A is singular the pseudo-inverse; NaN for an element of the batch that is not finite.

    Rounding of a finest operator with N times the nodes along an axis makes about N^2 unit roundoffs of a zero
    eigenvalue of the diagonally scaled A. A few hundred times that count as zero, but never what a Laplacian has.

    Args:
        A: the operator on a coarsest grid.
        finest: the shape of the finest grid; by default 128 times that of A along each axis.
    """
    matrix = A.to_dense()
    finite = torch.isfinite(matrix).all(-1).all(-1)[..., None, None]
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    matrix = torch.where(finite, matrix, identity)
    # Scaled, so that the pseudo-inverse sees a kernel and not the range of the coefficient.
    size = matrix.diagonal(dim1=-2, dim2=-1).abs()
    scale = torch.rsqrt(torch.where(size == 0, torch.ones_like(size), size))
    scaled = scale[..., :, None] * matrix * scale[..., None, :]
    thinned = 128.0 if finest is None else max(n / m for n, m in zip(finest, A.in_shape, strict=True))
    zero = min(KERNEL * torch.finfo(A.dtype).eps * thinned**2, 1 / (16 * max(A.in_shape) ** 2))
    hermitian = A.hermitian or torch.equal(matrix, matrix.mH)
    inverse = None
    if hermitian:
        factor, failed = torch.linalg.cholesky_ex(scaled)
        if not bool(failed.any()):
            found = torch.cholesky_inverse(factor)
            # The norm of the inverse bounds the smallest eigenvalue from below.
            inverse = found if bool((torch.linalg.matrix_norm(found) * zero < 1).all()) else None
    if inverse is None:
        inverse = torch.linalg.pinv(scaled, hermitian=hermitian, rtol=zero)
    inverse = scale[..., :, None] * inverse * scale[..., None, :]
    return torch.where(finite, inverse, torch.full_like(inverse, torch.nan))
