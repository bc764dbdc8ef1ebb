"""Values on one grid from values on another: spectral and linear interpolation, missing ends, cell averages."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from opnet.core.typing import Float
from opnet.spaces.grid import Grid
from opnet.spaces.transforms import axis_matrices, max_modes

FILLS = ("edge", "zero")
_LINEAR = ("linear", "bilinear", "trilinear")  # torch's by the number of axes
_POOLS = (functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d)


def sine_interpolate(
    values: Float[Tensor, "batch channel *grid"], grid: Grid, target: Grid
) -> Float[Tensor, "batch channel *target"]:
    """The sine sum through `values`, at the nodes of `target`.

    `u(x) = sum_k c_k sin(pi k_1 x_1 / L_1) sin(pi k_2 x_2 / L_2) ...`: exact for such sums with as many terms as there
    are nodes inside the box, so for u = 0 on the boundary. Values at nodes on the boundary are taken to be 0.

    Raises:
        ValueError: when the grids' boxes differ, or values do not lie on `grid`.

    >>> coarse, fine = Grid((16,), nodes="left"), Grid((32,), nodes="left")
    >>> wave = lambda grid: torch.sin(3 * torch.pi * grid.axis(0))[None, None]
    >>> torch.allclose(sine_interpolate(wave(coarse), coarse, fine), wave(fine))
    True
    """
    check_on_grid(values, grid)
    _check_box(grid, target)
    for axis in range(grid.dim):
        modes = max_modes(grid, axis, "sine")
        analysis, _ = axis_matrices(grid, axis, modes, "sine", device=values.device)
        _, synthesis = axis_matrices(target, axis, modes, "sine", device=values.device)
        matrix = (synthesis @ analysis).to(values.dtype)
        values = torch.tensordot(values, matrix, dims=([2 + axis], [1])).movedim(-1, 2 + axis)
    return values


def linear_interpolate(
    values: Float[Tensor, "batch channel *grid"], grid: Grid, target: Grid
) -> Float[Tensor, "batch channel *target"]:
    """The piecewise linear function through `values` (multilinear on more axes), at the nodes of `target`.

    Beyond the outermost nodes the last piece goes on, so that affine functions are met exactly on every placement; on
    periodic axes the nodes repeat. Second order for smooth functions. On a coarser target this is sampling: what its
    nodes do not resolve is aliased.

    Raises:
        ValueError: when the grids' boxes differ, or values do not lie on `grid`.

    >>> cells, nodes = Grid((4,), nodes="cell"), Grid((3,))
    >>> linear_interpolate(1 + cells.axis(0)[None, None], cells, nodes)
    tensor([[[1.0000, 1.5000, 2.0000]]], dtype=torch.float64)
    """
    check_on_grid(values, grid)
    _check_box(grid, target)
    if grid.dim <= len(_LINEAR) and grid.boundary == target.boundary:
        if _has_ends(grid) and _has_ends(target):
            return _between_ends(values, grid, target)
        if _is_of_cells(grid) and _is_of_cells(target) and (_divides(target, grid) or _divides(grid, target)):
            return _between_cells(values, grid, target)
    for axis in range(grid.dim):
        if (grid.shape[axis], grid.nodes[axis]) != (target.shape[axis], target.nodes[axis]):
            matrix = _linear_matrix(grid, target, axis).to(values)
            values = torch.tensordot(values, matrix, dims=([2 + axis], [1])).movedim(-1, 2 + axis)
    return values


def close_ends(values: Tensor, grid: Grid, fill: str = "edge") -> tuple[Tensor, Grid]:
    """Values on the grid with the ends that "left" and "interior" nodes leave out, and that ("vertex") grid.

    # shape: (batch, channel, *grid) -> (batch, channel, *closed)

    The values there are those of the nearest node ("edge") or 0 ("zero"). Axes that miss no end, and periodic ones,
    stay as they are.

    Raises:
        ValueError: for an unknown fill, or values that do not lie on `grid`.

    >>> close_ends(torch.ones(1, 1, 3), Grid((3,), nodes="left"), "zero")[0]
    tensor([[[1., 1., 1., 0.]]])
    """
    check_on_grid(values, grid)
    if fill not in FILLS:
        raise ValueError(f"fill: expected one of {', '.join(FILLS)}, found {fill!r}")
    missing = [_missing_ends(grid, axis) for axis in range(grid.dim)]
    if not any(map(sum, missing)):
        return values, grid
    for axis, ends in enumerate(missing):
        values = _pad_axis(values, 2 + axis, ends, fill)
    closed = replace(
        grid,
        shape=tuple(values.shape[2:]),
        nodes=tuple("vertex" if sum(ends) else kind for ends, kind in zip(missing, grid.nodes, strict=True)),
    )
    return values, closed


def open_ends(values: Tensor, grid: Grid) -> Tensor:
    """What `close_ends` added left out again: `values` on the closed grid restricted to `grid`."""
    for axis, (low, _) in enumerate(_missing_ends(grid, axis) for axis in range(grid.dim)):
        values = values.narrow(2 + axis, low, grid.shape[axis])
    return values


def restrict_cells(values: Float[Tensor, "batch channel *grid"], grid: Grid, factor: int) -> tuple[Tensor, Grid]:
    """Averages over blocks of `factor` cells an axis, and the coarser cell grid: exact for cell averages.

    Raises:
        ValueError: unless nodes are cells and `factor` divides their numbers.

    >>> restrict_cells(torch.tensor([[[1.0, 3.0, 5.0, 7.0]]]), Grid((4,), nodes="cell"), 2)[0]
    tensor([[[2., 6.]]])
    """
    check_on_grid(values, grid)
    if set(grid.nodes) != {"cell"}:
        raise ValueError(f"grid: expected cell nodes, found {', '.join(grid.nodes)}")
    if factor < 1 or any(n % factor for n in grid.shape):
        raise ValueError(f"factor: expected a divisor of every axis of {grid.shape}, found {factor}")
    for axis in reversed(range(grid.dim)):
        values = values.unflatten(2 + axis, (-1, factor))
    return values.mean([3 + 2 * axis for axis in range(grid.dim)]), grid.resized([n // factor for n in grid.shape])


def check_on_grid(values: Tensor, grid: Grid) -> None:
    """Raise a `ValueError` unless `values` has the form (batch, channel, *grid)."""
    if tuple(values.shape[2:]) != grid.shape:
        raise ValueError(
            f"values: expected (batch, channel, {', '.join(map(str, grid.shape))}), found {tuple(values.shape)}"
        )


def _check_box(grid: Grid, target: Grid) -> None:
    if target.extent != grid.extent:
        raise ValueError(f"target: expected a grid on the box {grid.extent}, found {target.extent}")


def _divides(coarse: Grid, fine: Grid) -> bool:
    return all(n % m == 0 for n, m in zip(fine.intervals, coarse.intervals, strict=True))


def _has_ends(grid: Grid) -> bool:
    """Whether both ends of every axis are nodes; of a periodic axis the one that stands for both."""
    return all(
        nodes == ("left" if low == "periodic" else "vertex")
        for nodes, (low, _) in zip(grid.nodes, grid.boundary, strict=True)
    )


def _is_of_cells(grid: Grid) -> bool:
    """Whether all nodes are cells between two sides."""
    return set(grid.nodes) == {"cell"} and not any(low == "periodic" for low, _ in grid.boundary)


def _between_ends(values: Tensor, grid: Grid, target: Grid) -> Tensor:
    """`linear_interpolate` where both ends of every axis are nodes, by torch, which is much faster than matrices."""
    if _divides(target, grid):
        factors = [n // m for n, m in zip(grid.intervals, target.intervals, strict=True)]
        return _POOLS[grid.dim - 1](values, 1, factors)  # of one node each: a slice, with a faster derivative
    for axis, (low, _) in enumerate(grid.boundary, start=2):
        if low == "periodic":
            values = torch.cat([values, values.narrow(axis, 0, 1)], axis)
    size = [m + 1 for m in target.intervals]
    values = functional.interpolate(values, size, mode=_LINEAR[grid.dim - 1], align_corners=True)
    for axis, (low, _) in enumerate(grid.boundary, start=2):
        if low == "periodic":
            values = values.narrow(axis, 0, size[axis - 2] - 1)
    return values


def _between_cells(values: Tensor, grid: Grid, target: Grid) -> Tensor:
    """`linear_interpolate` between cells that divide each other, by torch.

    Beyond the outermost cells torch repeats them: they get neighbours on the line through the outermost two.
    """
    if _divides(target, grid):
        return functional.interpolate(values, target.shape, mode=_LINEAR[grid.dim - 1], align_corners=False)
    factors = [m // n for n, m in zip(grid.shape, target.shape, strict=True)]
    for axis, n in enumerate(grid.shape, start=2):
        low, high = (
            values.narrow(axis, end, 1).lerp(values.narrow(axis, inner, 1), -1.0)
            for end, inner in ((0, min(1, n - 1)), (n - 1, max(n - 2, 0)))
        )
        values = torch.cat([low, values, high], axis)
    size = [m + 2 * factor for m, factor in zip(target.shape, factors, strict=True)]
    values = functional.interpolate(values, size, mode=_LINEAR[grid.dim - 1], align_corners=False)
    for axis, factor in enumerate(factors):
        values = values.narrow(2 + axis, factor, target.shape[axis])
    return values


def _linear_matrix(grid: Grid, target: Grid, axis: int) -> Tensor:
    """(target node, node): the values of the hat functions at the target's nodes."""
    n = grid.shape[axis]
    place = (target.axis(axis) - grid.axis(axis)[0]) / grid.spacing[axis]
    low = place.floor()
    if grid.boundary[axis][0] != "periodic":
        low = low.clamp(0, max(n - 2, 0))
    share, low = place - low, low.long()
    if n == 1:
        return torch.ones(len(place), 1, dtype=torch.float64)
    matrix = torch.zeros(len(place), n, dtype=torch.float64)
    rows = torch.arange(len(place))
    matrix[rows, low % n] = 1 - share
    matrix[rows, (low + 1) % n] = share
    return matrix


def _missing_ends(grid: Grid, axis: int) -> tuple[int, int]:
    if grid.boundary[axis][0] == "periodic":
        return 0, 0
    return {"left": (0, 1), "interior": (1, 1)}.get(grid.nodes[axis], (0, 0))


def _pad_axis(values: Tensor, axis: int, ends: tuple[int, int], fill: str) -> Tensor:
    parts = [values]
    for end, count in enumerate(ends):
        if count:
            edge = values.narrow(axis, 0 if end == 0 else values.shape[axis] - 1, 1)
            parts.insert(0 if end == 0 else len(parts), edge if fill == "edge" else torch.zeros_like(edge))
    return torch.cat(parts, axis) if len(parts) > 1 else values
