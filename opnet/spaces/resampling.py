"""Coarser versions of functions on grids: by their series, by weighted means, or by leaving nodes out."""

from __future__ import annotations

from collections.abc import Sequence
from math import pi

import torch
from torch import Tensor

from opnet.spaces.grid import Grid
from opnet.spaces.interpolation import check_on_grid, restrict_cells
from opnet.spaces.transforms import axis_matrices, max_modes

HOW = ("spectral", "full_weighting", "stride")
_SERIES = {"periodic": "fourier", "dirichlet": "sine", "neumann": "cosine"}


def resample(values: Tensor, grid: Grid, shape: int | Sequence[int], how: str) -> tuple[Tensor, Grid]:
    """`values` (batch, channel, *grid) on the grid of the same box with fewer nodes.

    - "spectral": the waves that the coarse nodes resolve, of the series that the boundary asks for: Fourier (periodic),
      sine (Dirichlet: u = 0), cosine (Neumann). Exact for resolved functions; rings at jumps.
    - "full_weighting": means of cells, or 1/4, 1/2, 1/4 of neighbouring nodes, halving as often as needed (the
      restriction of multigrid methods). Keeps means; right for coefficients that jump.
    - "stride": every s-th node. What the coarse nodes do not resolve is aliased: noise, unless there is none.

    Raises:
        ValueError: for another way, more nodes, a boundary without a series, or a number of nodes that the way cannot
            give on this placement.

    >>> fine = Grid((64,), boundary="periodic")
    >>> wave = lambda grid: (torch.cos(2 * pi * 3 * grid.axis(0)) + torch.sin(2 * pi * 20 * grid.axis(0)))[None, None]
    >>> coarse, grid = resample(wave(fine), fine, 16, "spectral")  # wave 20 is none of 16 nodes
    >>> torch.allclose(coarse[0, 0], torch.cos(2 * pi * 3 * grid.axis(0)))
    True
    """
    check_on_grid(values, grid)
    if how not in HOW:
        raise ValueError(f"how: expected one of {', '.join(HOW)}, found {how!r}")
    target = grid.resized(shape)
    if any(n > m for n, m in zip(target.shape, grid.shape, strict=True)):
        raise ValueError(f"shape: expected at most {grid.shape}, found {target.shape}")
    if how == "full_weighting" and set(grid.nodes) == {"cell"} and len({*_factors(grid, target)}) == 1:
        return restrict_cells(values, grid, _factors(grid, target)[0])
    by_axis = {"spectral": _spectral, "full_weighting": _weighted, "stride": _strided}[how]
    for axis in range(grid.dim):
        if grid.shape[axis] != target.shape[axis]:
            values = by_axis(values.movedim(2 + axis, -1), grid, target, axis).movedim(-1, 2 + axis)
    return values, target


def _spectral(values: Tensor, grid: Grid, target: Grid, axis: int) -> Tensor:
    low, high = grid.boundary[axis]
    if low != high or low not in _SERIES:
        raise ValueError(f"how: 'spectral' expects one of {', '.join(_SERIES)} on axis {axis}, found {low} and {high}")
    if low == "periodic":
        return _fewer_waves(values, grid, target, axis)
    modes = max_modes(target, axis, _SERIES[low])
    analysis, _ = axis_matrices(grid, axis, modes, _SERIES[low])
    _, synthesis = axis_matrices(target, axis, modes, _SERIES[low])
    return values @ analysis.T.to(values) @ synthesis.T.to(values)


def _fewer_waves(values: Tensor, grid: Grid, target: Grid, axis: int) -> Tensor:
    """The waves |k| < n / 2 of the target's n nodes, moved to where its first node lies."""
    n = target.shape[axis]
    waves = torch.fft.rfft(values, norm="forward")[..., : (n - 1) // 2 + 1]
    moved = (target.axis(axis)[0] - grid.axis(axis)[0]) / grid.lengths[axis]
    k = torch.arange(waves.shape[-1], dtype=torch.float64)
    waves = waves * torch.polar(torch.ones_like(k), 2 * pi * moved * k).to(waves)
    return torch.fft.irfft(waves, n, norm="forward")


def _factors(grid: Grid, target: Grid) -> tuple[int, ...]:
    for axis, (m, n) in enumerate(zip(grid.intervals, target.intervals, strict=True)):
        if m % n:
            raise ValueError(
                f"shape: expected a divisor of the {m} intervals of axis {axis}, found {n} ({grid.shape[axis]} and "
                f"{target.shape[axis]} {grid.nodes[axis]} nodes)"
            )
    return tuple(m // n for m, n in zip(grid.intervals, target.intervals, strict=True))


def _weighted(values: Tensor, grid: Grid, target: Grid, axis: int) -> Tensor:
    factor = _factors(grid, target)[axis]
    if grid.nodes[axis] == "cell":
        return values.unflatten(-1, (-1, factor)).mean(-1)
    if factor & (factor - 1):
        raise ValueError(f"shape: full weighting of nodes halves: expected half, a quarter, ..., found 1/{factor}")
    while factor > 1:
        values = _halved(values, grid.nodes[axis], grid.boundary[axis][0] == "periodic")
        factor //= 2
    return values


def _halved(values: Tensor, nodes: str, periodic: bool) -> Tensor:
    if nodes == "interior":
        return values[..., 1::2] / 2 + (values[..., :-1:2] + values[..., 2::2]) / 4
    kept, between = values[..., ::2], values[..., 1::2]
    before = between.roll(1, -1) if periodic else between[..., : kept.shape[-1] - 1]
    if periodic:
        return kept / 2 + (before + between) / 4
    inner = kept[..., 1 : between.shape[-1]] / 2 + (between[..., :-1] + between[..., 1:]) / 4
    return torch.cat([kept[..., :1], inner, kept[..., between.shape[-1] :]], -1)  # the end's value stands for itself


def _strided(values: Tensor, grid: Grid, target: Grid, axis: int) -> Tensor:
    factor = _factors(grid, target)[axis]
    nodes = grid.nodes[axis]
    if nodes == "cell" and factor % 2 == 0:
        raise ValueError(f"shape: the middle of {factor} cells is none's: expected an odd part of {grid.shape[axis]}")
    first = {"cell": (factor - 1) // 2, "interior": factor - 1}.get(nodes, 0)
    return values[..., first::factor]
