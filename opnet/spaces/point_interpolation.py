"""`linear_at`: functions on a grid, at points anywhere in its box."""

from __future__ import annotations

from itertools import product
from typing import Any

import torch
from torch import Tensor

from opnet.core.typing import Float
from opnet.spaces.grid import Grid
from opnet.spaces.interpolation import check_on_grid


def linear_at(
    values: Float[Tensor, "batch channel *grid"], grid: Grid, points: Float[Tensor, "point dim"]
) -> Float[Tensor, "batch channel point"]:
    """The piecewise linear function through `values` (multilinear on more axes) that `linear_interpolate` takes at the
    nodes of a grid, at `points` in the coordinates of `grid`.

    Differentiable in values and points; the derivative in the points jumps at nodes.

    Raises:
        ValueError: for values that do not lie on `grid`, or points of another dimension.

    >>> grid = Grid((3,))
    >>> linear_at(grid.axis(0)[None, None] ** 2, grid, torch.tensor([[0.25], [1.0]], dtype=torch.float64))
    tensor([[[0.1250, 1.0000]]], dtype=torch.float64)
    """
    check_on_grid(values, grid)
    if points.shape[-1] != grid.dim:
        raise ValueError(f"points: expected (point, {grid.dim}), found {tuple(points.shape)}")
    # For each axis, the nodes on both sides with their shares.
    sides = [_sides(grid, axis, points[:, axis]) for axis in range(grid.dim)]
    total = values.new_zeros(*values.shape[:2], len(points))
    for corner in product(*sides):
        share = torch.stack([share for _, share in corner]).prod(0)
        nodes: tuple[Any, ...] = (..., *(node for node, _ in corner))
        total = total + share * values[nodes]
    return total


def _sides(grid: Grid, axis: int, x: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
    n = grid.shape[axis]
    place = (x - float(grid.axis(axis)[0])) / grid.spacing[axis]
    low = place.detach().floor()
    if grid.boundary[axis][0] != "periodic":
        low = low.clamp(0, max(n - 2, 0))
    share, low = place - low, low.long()
    if n == 1:
        return ((torch.zeros_like(low), torch.ones_like(share)),)
    return (low % n, 1 - share), ((low + 1) % n, share)
