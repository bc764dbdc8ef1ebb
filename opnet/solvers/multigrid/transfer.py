"""Prolongation and restriction between cell-centred grids of which one has half the cells on every axis."""

from __future__ import annotations

import torch
from torch import Tensor

from opnet.spaces.grid import Grid

# The value half a cell outside a side, in units of the last value inside: odd and even reflection.
REFLECTION = {"dirichlet": -1.0, "neumann": 1.0}


def prolong(coarse: Tensor, grid: Grid) -> Tensor:
    """Linear interpolation P from the cells of the halved grid to those of `grid`.

    On each axis the two children of a cell take 3/4 of its value and 1/4 of that of the neighbour on their side
    (U. Trottenberg, C. Oosterlee, A. Schueller, *Multigrid*, Academic Press 2001, section 2.8.4); beyond a Dirichlet
    side the neighbour is the odd, beyond a Neumann side the even reflection.
    """
    for axis in range(grid.dim):
        dim, n = axis - grid.dim, coarse.shape[axis - grid.dim]
        fine = coarse.new_empty(*coarse.shape[:dim], 2 * n, *coarse.shape[coarse.ndim + dim + 1 :])
        left, right = _children(fine, dim)
        torch.mul(coarse, 0.75, out=left)
        right.copy_(left)
        left.narrow(dim, 1, n - 1).add_(coarse.narrow(dim, 0, n - 1), alpha=0.25)
        right.narrow(dim, 0, n - 1).add_(coarse.narrow(dim, 1, n - 1), alpha=0.25)
        for child, here, there, side in _ends(grid, axis, n):
            cell, value = (here, REFLECTION[side]) if side in REFLECTION else (there, 1.0)
            (left, right)[child].narrow(dim, here, 1).add_(coarse.narrow(dim, cell, 1), alpha=0.25 * value)
        coarse = fine
    return coarse


def restrict(fine: Tensor, grid: Grid) -> Tensor:
    """R = P^T / 2^dim, from the cells of `grid` to those of the halved grid: weighted means, as functions are."""
    for axis in range(grid.dim):
        dim, n = axis - grid.dim, fine.shape[axis - grid.dim] // 2
        left, right = _children(fine, dim)
        coarse = (left + right).mul_(0.375)
        coarse.narrow(dim, 0, n - 1).add_(left.narrow(dim, 1, n - 1), alpha=0.125)
        coarse.narrow(dim, 1, n - 1).add_(right.narrow(dim, 0, n - 1), alpha=0.125)
        for child, here, there, side in _ends(grid, axis, n):
            cell, value = (here, REFLECTION[side]) if side in REFLECTION else (there, 1.0)
            coarse.narrow(dim, cell, 1).add_((left, right)[child].narrow(dim, here, 1), alpha=0.125 * value)
        fine = coarse
    return fine


def _ends(grid: Grid, axis: int, n: int) -> tuple[tuple[int, int, int, str], ...]:
    """For the two ends of an axis: which child touches it, its cell, the cell at the other end, the side's kind."""
    low, high = grid.boundary[axis]
    return (0, 0, n - 1, low), (1, n - 1, 0, high)


def _children(fine: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Views of the even and odd cells along one axis."""
    rest = (slice(None),) * (-dim - 1)
    return fine[(..., slice(0, None, 2), *rest)], fine[(..., slice(1, None, 2), *rest)]
