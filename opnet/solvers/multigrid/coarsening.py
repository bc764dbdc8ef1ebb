"""Coarser grids, and the diffusion operators on them made of the face coefficients of the fine one."""

from __future__ import annotations

from torch import Tensor

from opnet.linops.stencil import Diffusion
from opnet.spaces.grid import Grid


def grid_hierarchy(grid: Grid, coarsest: int, largest: int) -> list[Grid]:
    """`grid` and its halvings, until one has at most `coarsest` cells or an axis cannot be halved.

    Raises:
        ValueError: if the last one has more than `largest` cells, too many for a dense factorisation.

    >>> [g.shape for g in grid_hierarchy(Grid((48, 48), nodes="cell"), 64, 1024)]
    [(48, 48), (24, 24), (12, 12), (6, 6)]
    """
    grids = [grid]
    while _cells(grids[-1]) > coarsest and all(n % 2 == 0 for n in grids[-1].shape):
        grids.append(grids[-1].resized([n // 2 for n in grids[-1].shape]))
    if _cells(grids[-1]) > largest:
        raise ValueError(
            f"Multigrid: a grid of shape {grid.shape} halves only down to {grids[-1].shape}; expected sizes with enough "
            f"factors 2 to reach {largest} cells, such as {_nearest_size(grid, largest)}"
        )
    return grids


def coarsen(A: Diffusion, grid: Grid) -> Diffusion:
    """The operator on the halved grid: a coarse face carries the mean of the fine coefficients on it.

    With 1/h^2 in the coefficients that is a quarter of their mean. Constant coefficients give back the discretisation on
    the coarse grid; jumping ones keep the flux that can pass each coarse face (P. Wesseling, *An Introduction to
    Multigrid Methods*, Wiley 1992, section 5.4).
    """
    return Diffusion.from_faces([_coarse_faces(c, axis, grid.dim) for axis, c in enumerate(A.faces)], grid)


def _coarse_faces(c: Tensor, axis: int, dim: int) -> Tensor:
    c = _every_second(c, axis - dim, 0)
    for other in range(dim):
        if other != axis:
            c = (_every_second(c, other - dim, 0) + _every_second(c, other - dim, 1)) / 2
    return c / 4


def _every_second(c: Tensor, dim: int, start: int) -> Tensor:
    return c[(..., slice(start, None, 2), *(slice(None),) * (-dim - 1))]


def _cells(grid: Grid) -> int:
    total = 1
    for n in grid.shape:
        total *= n
    return total


def _nearest_size(grid: Grid, largest: int) -> tuple[int, ...]:
    side = int(largest ** (1 / grid.dim) + 1e-9)
    sizes = []
    for n in grid.shape:
        step = 1
        while n > side * step:
            step *= 2
        sizes.append(-(-n // step) * step)
    return tuple(sizes)
