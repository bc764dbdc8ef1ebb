"""Prolongation and restriction between cell-centred grids of which one has half the cells on every axis."""

from __future__ import annotations

from types import EllipsisType

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
        left.copy_(coarse).mul_(0.75)
        right.copy_(left)
        left.narrow(dim, 1, n - 1).add_(coarse.narrow(dim, 0, n - 1), alpha=0.25)
        right.narrow(dim, 0, n - 1).add_(coarse.narrow(dim, 1, n - 1), alpha=0.25)
        for child, cell, neighbour, value in _ends(grid, axis, n):
            (left, right)[child].narrow(dim, cell, 1).add_(coarse.narrow(dim, neighbour, 1), alpha=0.25 * value)
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
        for child, cell, neighbour, value in _ends(grid, axis, n):
            coarse.narrow(dim, neighbour, 1).add_((left, right)[child].narrow(dim, cell, 1), alpha=0.125 * value)
        fine = coarse
    return fine


def _ends(grid: Grid, axis: int, n: int) -> list[tuple[int, int, int, float]]:
    """For both ends of an axis: the child that touches the side, its cell, the cell whose value stands for the one
    beyond the side, and with which factor."""
    low, high = grid.boundary[axis]
    ends = []
    for child, side, cell, opposite in ((0, low, 0, n - 1), (1, high, n - 1, 0)):
        ends.append((child, cell, opposite, 1.0) if side == "periodic" else (child, cell, cell, REFLECTION[side]))
    return ends


def _children(fine: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    return every_second(fine, dim, 0), every_second(fine, dim, 1)


def every_second(x: Tensor, dim: int, start: int) -> Tensor:
    """A view of the entries start, start + 2, ... along the axis `dim`, counted from the end as -1, -2, ..."""
    index: tuple[EllipsisType | slice, ...] = (..., slice(start, None, 2), *(slice(None),) * (-dim - 1))
    return x[index]
