"""Norms of functions sampled on a grid, by the grid's own quadrature.

Every root is taken by `vector_norm`, whose gradient at zero is zero, so that the norms can be minimised to nothing.
"""

from __future__ import annotations

from math import inf, pi

import torch
from torch import Tensor
from torch.linalg import vector_norm

from opnet.core.typing import Float, Inexact
from opnet.spaces.grid import Grid

DERIVATIVES = ("spectral", "difference")


def l2_norm(values: Inexact[Tensor, "batch channel *shape"], grid: Grid) -> Float[Tensor, "batch channel"]:
    """`||v|| = (int |v|^2 dx)^(1/2)`, the integral by `grid.weights()`; unit: that of v times length^(dim/2).

    >>> grid = Grid((64,), boundary="periodic")
    >>> l2_norm(torch.sin(2 * torch.pi * grid.axis(0))[None, None], grid)
    tensor([[0.7071]], dtype=torch.float64)
    """
    return lp_norm(values, grid, 2.0)


def lp_norm(values: Inexact[Tensor, "batch channel *shape"], grid: Grid, p: float) -> Float[Tensor, "batch channel"]:
    """`||v||_p = (int |v|^p dx)^(1/p)` by `grid.weights()`; for p infinite the largest |v| at a node.

    >>> lp_norm(torch.tensor([[[1.0, -3.0]]]), Grid((2,), nodes="cell"), 1.0)
    tensor([[2.]])
    """
    return vector_norm(_weighted(values, grid, p=p), ord=p, dim=_axes(grid))


def h1_seminorm(
    values: Float[Tensor, "batch channel *shape"], grid: Grid, derivative: str = "spectral"
) -> Float[Tensor, "batch channel"]:
    """`|v|_1 = (sum_i int |dv/dx_i|^2 dx)^(1/2)`; unit: that of v times length^(dim/2 - 1).

    Along a periodic axis by Parseval's identity, `int |dv/dx|^2 = L sum_k |2 pi k / L|^2 |v_k|^2` over the discrete
    Fourier coefficients, the Nyquist mode included: exact for what the grid resolves, and blind to nothing but
    constants. Along any other axis, and with `derivative="difference"` along all, by the difference quotients of
    neighbouring nodes, each standing for the interval between them and the outermost ones also for the piece of the box
    beyond them: second order for every placement, and for "vertex" the seminorm of the piecewise linear interpolant.
    The quadrature of the remaining axes is the grid's. An axis with a single node contributes nothing.

    Raises:
        ValueError: for an unknown derivative.

    >>> grid = Grid((64,), boundary="periodic")
    >>> h1_seminorm(torch.sin(2 * torch.pi * grid.axis(0))[None, None], grid) / (2 * torch.pi)
    tensor([[0.7071]], dtype=torch.float64)
    """
    if derivative not in DERIVATIVES:
        raise ValueError(f"derivative: expected one of {', '.join(DERIVATIVES)}, found {derivative!r}")
    slopes = [vector_norm(_slope(values, grid, axis, derivative), dim=_axes(grid)) for axis in range(grid.dim)]
    return vector_norm(torch.stack(slopes), dim=0)


def h1_norm(
    values: Float[Tensor, "batch channel *shape"], grid: Grid, derivative: str = "spectral"
) -> Float[Tensor, "batch channel"]:
    """`||v||_1 = (||v||^2 + |v|_1^2)^(1/2)`, lengths in the grid's unit of length; derivatives as in `h1_seminorm`."""
    return vector_norm(torch.stack([l2_norm(values, grid), h1_seminorm(values, grid, derivative)]), dim=0)


def _axes(grid: Grid) -> tuple[int, ...]:
    return tuple(range(-grid.dim, 0))


def _weighted(values: Tensor, grid: Grid, skip: int | None = None, p: float = 2.0) -> Tensor:
    """`values` times the p-th roots of the quadrature weights of every axis but `skip`."""
    if p == inf:
        return values
    constant = 1.0
    for axis in range(grid.dim):
        if axis == skip:
            continue
        if grid.nodes[axis] == "vertex":
            weights = grid.axis_weights(axis, values.dtype, values.device)
            values = values * _along(weights ** (1 / p), axis, grid)
        else:
            constant *= grid.spacing[axis] ** (1 / p)
    return values * constant


def _slope(values: Tensor, grid: Grid, axis: int, derivative: str) -> Tensor:
    """What has the integral of |dv/dx_axis|^2 as its plain sum of squares."""
    values = _weighted(values, grid, skip=axis)
    n, h = grid.shape[axis], grid.spacing[axis]
    at = axis - grid.dim
    if n == 1:
        return torch.zeros_like(values)
    periodic = grid.boundary[axis][0] == "periodic"
    if periodic and derivative == "spectral":
        # Modes other than 0 and Nyquist stand for their conjugates too.
        modes = torch.arange(n // 2 + 1, dtype=values.dtype, device=values.device)
        both = torch.where((modes > 0) & (2 * modes < n), 2.0, 1.0).to(values.dtype)
        length = grid.lengths[axis]
        factor = modes * both.sqrt() * (2 * pi / length * length**0.5 / n)
        coefficients = torch.view_as_real(torch.fft.rfft(values, dim=at) * _along(factor, axis, grid))
        return torch.cat([coefficients[..., 0], coefficients[..., 1]], dim=at)
    if periodic:
        return (torch.roll(values, -1, at) - values) * h**-0.5
    low, high = grid.extent[axis]
    nodes = grid.axis(axis)
    shares = torch.full((n - 1,), h, dtype=torch.float64)
    shares[0] += nodes[0] - low
    shares[-1] += high - nodes[-1]
    factor = (shares.sqrt() / h).to(values)
    return torch.diff(values, dim=at) * _along(factor, axis, grid)


def _along(factor: Tensor, axis: int, grid: Grid) -> Tensor:
    return factor.reshape(-1, *(1,) * (grid.dim - 1 - axis))
