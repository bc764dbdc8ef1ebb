"""Coarser grids, and the diffusion operators on them made of the face coefficients of the fine one."""

from __future__ import annotations

from math import prod

from torch import Tensor

from opnet.linops.diffusion import Diffusion
from opnet.solvers.multigrid.transfer import every_second, pair_mean
from opnet.spaces.grid import Grid


def grid_hierarchy(grid: Grid, coarsest: int, largest: int) -> list[Grid]:
    """`grid` and its halvings, until one has at most `coarsest` cells or an axis cannot be halved.

    Raises:
        ValueError: if the last one has more than `largest` cells, too many for a dense factorisation.

    >>> [g.shape for g in grid_hierarchy(Grid((48, 48), nodes="cell"), 64, 1024)]
    [(48, 48), (24, 24), (12, 12), (6, 6)]
    """
    grids = [grid]
    while prod(grids[-1].shape) > coarsest and all(n % 2 == 0 for n in grids[-1].shape):
        grids.append(grids[-1].resized([n // 2 for n in grids[-1].shape]))
    if prod(grids[-1].shape) > largest:
        raise ValueError(
            f"Multigrid: a grid of shape {grid.shape} halves only down to {grids[-1].shape}; expected sizes with "
            f"enough factors 2 to reach {largest} cells, such as {_nearest_size(grid, largest)}"
        )
    return grids


def coarsen(A: Diffusion, grid: Grid) -> Diffusion:
    """The operator on the halved grid: a coarse face carries the mean of the fine coefficients on it.

    With 1/h^2 in the coefficients that is a quarter of their mean. Constant coefficients give the discretisation on the
    coarse grid itself; jumping ones keep what can flow through each coarse face.
    """
    return Diffusion.from_faces([_coarse_faces(c, axis, grid.dim) for axis, c in enumerate(A.faces)], grid)


def _coarse_faces(c: Tensor, axis: int, dim: int) -> Tensor:
    c = every_second(c, axis - dim, 0)
    for other in range(dim):
        if other != axis:
            c = pair_mean(c, other - dim)
    return c / 4


def _nearest_size(grid: Grid, largest: int) -> tuple[int, ...]:
    side = int(largest ** (1 / grid.dim) + 1e-9)
    sizes = []
    for n in grid.shape:
        step = 1
        while n > side * step:
            step *= 2
        sizes.append(-(-n // step) * step)
    return tuple(sizes)
