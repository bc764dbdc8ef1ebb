"""`Transfer`: prolongation and restriction between the cells of a grid and those of the halved grid."""

from __future__ import annotations

from types import EllipsisType

import torch
from torch import Tensor

from opnet.linops.diffusion import Diffusion


class Transfer:
    r"""Interpolation P that keeps the flux continuous where the coefficient jumps, and R = P^T / 2^dim.

    Axis by axis, a fine cell between the midpoints of its coarse cell C and of the neighbour N on its side takes

    .. math:: u = (1 - w) u_C + w u_N, \qquad w = \rho(C, u) / \rho(C, N),

    with `rho` the resistance of the way, the sum of 1 / c over its faces (half of those inside C and N, whose
    midpoints they are). A constant coefficient has w = 1/4: linear interpolation; beyond a Dirichlet side u_N = 0, at a
    Neumann side w = 0. Interpolation by flux continuity is that of R. E. Alcouffe, A. Brandt, J. E. Dendy and
    J. W. Painter, *SIAM J. Sci. Stat. Comput.* 2 (1981) 430-454, here between cell midpoints and one axis at a time.

    Args:
        A: the fine operator, of even size on every axis.
        dtype: precision of the transfers; that of A by default.

    >>> from opnet.spaces.grid import Grid
    >>> P = Transfer(Diffusion(torch.ones(4), Grid((4,), nodes="cell", boundary="periodic"))).prolong
    >>> P(torch.tensor([0.0, 4.0]))
    tensor([1., 1., 3., 3.])
    """

    def __init__(self, A: Diffusion, dtype: torch.dtype | None = None) -> None:
        self.dim = A.grid.dim
        self.periodic = [low == "periodic" for low, _ in A.grid.boundary]
        self.weights = []
        for axis, c in enumerate(A.faces):
            for later in range(axis + 1, self.dim):  # axes are refined in order: the later ones are still coarse
                c = pair_mean(c, later - self.dim)
            left, right = _weights(c, axis - self.dim, self.periodic[axis])
            self.weights.append((left.to(dtype or A.dtype), right.to(dtype or A.dtype)))

    def conj(self) -> Transfer:
        """The complex conjugate."""
        other = object.__new__(Transfer)
        other.dim, other.periodic = self.dim, self.periodic
        other.weights = [(left.conj(), right.conj()) for left, right in self.weights]
        return other

    def adjoint(self) -> Transfer:
        """That of A^H, where A^T = A."""
        return self.conj()

    def prolong(self, coarse: Tensor) -> Tensor:
        """P u, from the halved grid to the grid."""
        for axis, (to_left, to_right) in enumerate(self.weights):
            dim, n = axis - self.dim, coarse.shape[axis - self.dim]
            fine = coarse.new_empty(*coarse.shape[:dim], 2 * n, *coarse.shape[coarse.ndim + dim + 1 :])
            left, right = every_second(fine, dim, 0), every_second(fine, dim, 1)
            left.copy_(coarse).addcmul_(to_left, coarse, value=-1)
            right.copy_(coarse).addcmul_(to_right, coarse, value=-1)
            for cells, neighbours in _neighbours(n, self.periodic[axis]):
                left.narrow(dim, *cells).addcmul_(to_left.narrow(dim, *cells), coarse.narrow(dim, *neighbours))
                right.narrow(dim, *neighbours).addcmul_(to_right.narrow(dim, *neighbours), coarse.narrow(dim, *cells))
            coarse = fine
        return coarse

    def restrict(self, fine: Tensor) -> Tensor:
        """R r = P^T r / 2^dim, from the grid to the halved grid."""
        for axis in reversed(range(self.dim)):
            to_left, to_right = self.weights[axis]
            dim, n = axis - self.dim, fine.shape[axis - self.dim] // 2
            left, right = every_second(fine, dim, 0), every_second(fine, dim, 1)
            coarse = (left + right).addcmul_(to_left, left, value=-1).addcmul_(to_right, right, value=-1)
            for cells, neighbours in _neighbours(n, self.periodic[axis]):
                coarse.narrow(dim, *neighbours).addcmul_(to_left.narrow(dim, *cells), left.narrow(dim, *cells))
                coarse.narrow(dim, *cells).addcmul_(to_right.narrow(dim, *neighbours), right.narrow(dim, *neighbours))
            fine = coarse
        return fine.mul_(0.5**self.dim)


def _weights(c: Tensor, dim: int, periodic: bool) -> tuple[Tensor, Tensor]:
    """w of the left and of the right child of every coarse cell, from the 2 n + 1 face coefficients on an axis."""
    half = 0.5 / every_second(c, dim, 1)  # from a coarse midpoint to either child
    way = 1 / every_second(c, dim, 0)
    n = half.shape[dim]
    way.narrow(dim, 0, n).add_(half)
    way.narrow(dim, 1, n).add_(half)
    if periodic:
        way.narrow(dim, 0, 1).add_(half.narrow(dim, n - 1, 1))
        way.narrow(dim, n, 1).add_(half.narrow(dim, 0, 1))
    return half / way.narrow(dim, 0, n), half / way.narrow(dim, 1, n)


def _neighbours(n: int, periodic: bool) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """(start, length) of coarse cells and of their left neighbours on an axis of n."""
    inner = ((1, n - 1), (0, n - 1))
    return [inner, ((0, 1), (n - 1, 1))] if periodic else [inner]


def pair_mean(c: Tensor, dim: int) -> Tensor:
    """Means of the values of both children of every coarse cell."""
    return (every_second(c, dim, 0) + every_second(c, dim, 1)) / 2


def every_second(x: Tensor, dim: int, start: int) -> Tensor:
    """A view of the entries start, start + 2, ... along the axis `dim`, counted from the end as -1, -2, ..."""
    index: tuple[EllipsisType | slice, ...] = (..., slice(start, None, 2), *(slice(None),) * (-dim - 1))
    return x[index]
