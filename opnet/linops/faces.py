"""Finite volumes on a grid: what flows through the faces between nodes, and through the sides of the box."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor

from opnet.core.expect import expect
from opnet.spaces.grid import Grid

FACES = ("harmonic", "arithmetic")
Side = tuple[int, int]


@dataclass(frozen=True)
class AxisFaces:
    """The faces across one axis.

    Attributes:
        t: coefficients of the n + 1 faces; on a periodic axis the first and the last are one.
        data: for either side, what its boundary datum is multiplied by in the equation of the node beside it.
    """

    t: Tensor
    data: tuple[Tensor, Tensor]


def axis_faces(a: Tensor, grid: Grid, axis: int, faces: str, robin: Mapping[Side, Tensor]) -> AxisFaces:
    """Coefficients t = a / h^2 on the faces, a being the mean of the nodes beside each, and on the two sides.

    With a du/dn + beta u = g on a side, where half a cell has the conductance 2 a / h, the last node's equation gets
    s (beta u - g), s = 1 / (h (1 + beta h / (2 a))); on a vertex, which lies on the side itself, s = 1 / h.
    """
    dim, n, h = axis - grid.dim, grid.shape[axis], grid.spacing[axis]
    half = 0.5 / a if faces == "harmonic" else 0.5 * a  # of a way, or of a mean

    def join(p: Tensor, q: Tensor) -> Tensor:
        return (p + q).reciprocal_() if faces == "harmonic" else p + q

    if grid.nodes[axis] == "interior":
        t = join(half.narrow(dim, 0, n + 1), half.narrow(dim, 1, n + 1)) / h**2
        return AxisFaces(t, (t.narrow(dim, 0, 1), t.narrow(dim, n, 1)))
    first, last = half.narrow(dim, 0, 1), half.narrow(dim, n - 1, 1)
    if grid.boundary[axis][0] == "periodic":
        low = high = join(first, last)
        data = (torch.zeros_like(low),) * 2
    else:
        low, low_data = _side(a.narrow(dim, 0, 1), grid, (axis, 0), robin)
        high, high_data = _side(a.narrow(dim, n - 1, 1), grid, (axis, 1), robin)
        data = low_data, high_data
    inner = join(half.narrow(dim, 0, n - 1), half.narrow(dim, 1, n - 1))
    batch = torch.broadcast_shapes(*(part.shape[: part.ndim - grid.dim] for part in (low, inner, high)))
    parts = [part.expand(*batch, *part.shape[part.ndim - grid.dim :]) for part in (low, inner, high)]
    return AxisFaces(torch.cat(parts, dim).div_(h**2), data)


def _side(a: Tensor, grid: Grid, key: Side, robin: Mapping[Side, Tensor]) -> tuple[Tensor, Tensor]:
    """h^2 times the side's coefficient, and the factor of its datum."""
    axis, side = key
    h, vertex = grid.spacing[axis], grid.nodes[axis] == "vertex"
    if grid.boundary[axis][side] == "dirichlet":
        t = torch.zeros_like(a) if vertex else 2 * a
        return t, t / h**2
    if grid.boundary[axis][side] == "neumann":
        return torch.zeros_like(a), torch.full_like(a, 1 / h)
    beta = robin[key]
    s = torch.ones_like(a) if vertex else 2 * a / (2 * a + h * beta)
    return s * beta * h, s / h


def with_boundary_nodes(a: Tensor, grid: Grid) -> Tensor:
    """a with the boundary nodes of "interior" axes; where they are not given, a copy of the node beside them."""
    for axis in range(grid.dim):
        dim, n = axis - grid.dim, grid.shape[axis]
        if grid.nodes[axis] == "interior" and a.shape[dim] == n:
            a = torch.cat([a.narrow(dim, 0, 1), a, a.narrow(dim, n - 1, 1)], dim)
    return a


def across(a: Tensor, grid: Grid, axis: int) -> Tensor:
    """a without the boundary nodes of the "interior" axes other than `axis`, which no face across `axis` touches."""
    for other in range(grid.dim):
        if other != axis and grid.nodes[other] == "interior":
            a = a.narrow(other - grid.dim, 1, grid.shape[other])
    return a


def volumes(grid: Grid, dtype: torch.dtype, device: Any, leave_out: int | None = None) -> Tensor | None:
    """Control volumes relative to an inner node's, 1/2 at each vertex on an end; None if all are 1.

    `leave_out` is an axis along which faces are counted, not nodes.
    """
    axes = [axis for axis in range(grid.dim) if grid.nodes[axis] == "vertex" and axis != leave_out]
    total: Tensor | None = None
    for axis in axes:
        w = (grid.axis_weights(axis, torch.float64, device) / grid.spacing[axis]).to(dtype)
        w = w.reshape(-1, *(1,) * (grid.dim - 1 - axis))
        total = w if total is None else total * w
    return total


def fixed_nodes(grid: Grid, device: Any) -> Tensor | None:
    """Which nodes lie on a Dirichlet side, so that their values are known; None if none does.  # shape: grid.shape"""
    fixed = torch.zeros(grid.shape, dtype=torch.bool, device=device)
    for axis, side in product(range(grid.dim), (0, 1)):
        if holds_nodes(grid, (axis, side)):
            fixed.select(axis, -side).fill_(True)
    return fixed if any(holds_nodes(grid, key) for key in product(range(grid.dim), (0, 1))) else None


def holds_nodes(grid: Grid, key: Side) -> bool:
    """Whether a side is Dirichlet and has nodes on it."""
    axis, side = key
    return grid.nodes[axis] == "vertex" and grid.boundary[axis][side] == "dirichlet"


def side_values(
    name: str, values: Mapping[Side, Any], grid: Grid, dtype: torch.dtype, device: Any
) -> dict[Side, Tensor]:
    """Numbers, or tensors over a side, by (axis, side), as tensors that broadcast along the axis.

    Raises:
        ValueError: for a side that does not exist or a tensor that does not fit it.
    """
    expect(name, values, Mapping, "a mapping such as {(0, 1): 2.0}, from (axis, side) to a number or a Tensor")
    tensors = {}
    for key, value in values.items():
        if key not in set(product(range(grid.dim), (0, 1))) or grid.boundary[key[0]][key[1]] == "periodic":
            raise ValueError(
                f"{name}: expected sides (axis, 0) or (axis, 1) of axes that are not periodic, found {key!r} for "
                f"boundary {grid.boundary}"
            )
        shape = tuple(n for axis, n in enumerate(grid.shape) if axis != key[0])
        tensor = field(f"{name}[{key}]", value, shape, dtype, device)
        tensors[key] = tensor if tensor.ndim == 0 else tensor.unsqueeze(key[0] - grid.dim)
    return tensors


def field(name: str, value: Any, shape: tuple[int, ...], dtype: torch.dtype, device: Any) -> Tensor:
    """A number, or a tensor of shape () or (*batch, *shape), as a tensor of `dtype` or its complex counterpart.

    Raises:
        ValueError: for another kind, shape or dtype, or values that are not finite.
    """
    expect(name, value, (int, float, complex, Tensor), "a number or a Tensor")
    if not isinstance(value, Tensor):
        value = torch.tensor(value, dtype=dtype.to_complex() if isinstance(value, complex) else dtype, device=device)
    if value.dtype not in (dtype.to_real(), dtype.to_complex()):
        raise ValueError(f"{name}: expected {dtype.to_real()} or {dtype.to_complex()}, found {value.dtype}")
    if value.ndim and tuple(value.shape[max(0, value.ndim - len(shape)) :]) != shape:
        raise ValueError(
            f"{name}: expected a number or a tensor of shape (..., {', '.join(map(str, shape))}), "
            f"found {tuple(value.shape)}"
        )
    if not bool(torch.isfinite(value).all()):
        raise ValueError(f"{name}: expected finite values, found {int((~torch.isfinite(value)).sum())} that are not")
    return value
