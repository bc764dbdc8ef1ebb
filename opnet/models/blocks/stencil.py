"""`StencilConvolution`: a learned stencil on the nodes of a grid, with what the boundary asks for beyond them."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from opnet.spaces.grid import Grid

PADDINGS = ("zeros", "reflect", "replicate", "circular")
CONVOLUTIONS = (functional.conv1d, functional.conv2d, functional.conv3d)

Padding = tuple[tuple[str, str], ...]
"""What lies beyond the (low, high) end of each axis: one of `PADDINGS`."""


class StencilConvolution(nn.Module):
    """`(S v)_i = sum_|k| <= 1 S_k v_(s i + k)`: channels mixed by the 3^dim weights around every s-th node.

    Args:
        in_channels, out_channels: channels of v and S v.
        dim: axes of the grid, 1 to 3.
        stride: s.

    The weight has shape (out, in, 3, ...). On n nodes an axis the answer has ceil(n / s).
    """

    def __init__(self, in_channels: int, out_channels: int, dim: int, stride: int = 1) -> None:
        super().__init__()
        self.stride, self.convolve = stride, CONVOLUTIONS[dim - 1]
        self.weight = new_stencil(out_channels, in_channels, dim, 3)

    def forward(self, v: Tensor, padding: Padding, pointwise: nn.Linear | None = None) -> Tensor:
        """S v, or with a pointwise map `S v + W v + b`, as one convolution.

        # shape: (batch, in_channels, *grid) -> (batch, out_channels, *strided)
        """
        weight: Tensor = self.weight
        bias = None
        if pointwise is not None:
            dim = len(padding)
            weight = weight + functional.pad(pointwise.weight[(..., *(None,) * dim)], (1, 1) * dim)
            bias = pointwise.bias
        own = [1] * len(padding)
        for axis, ends in enumerate(padding):
            if ends != ("zeros", "zeros"):
                v, own[axis] = _with_ghosts(v, 2 + axis, ends), 0
        return self.convolve(v, weight, bias, stride=self.stride, padding=own)


def new_stencil(first: int, second: int, dim: int, size: int) -> nn.Parameter:
    """A weight (first, second, size, ...) uniform in +-(second size^dim)^-1/2, as torch's convolutions start."""
    weight = nn.Parameter(torch.empty(first, second, *(size,) * dim))
    nn.init.kaiming_uniform_(weight, a=sqrt(5))
    return weight


def padding_of(grid: Grid, padding: str | None = None) -> Padding:
    """What lies beyond the ends of the grid: `padding` on every side, or by default what its boundary asks for.

    Dirichlet: zeros. Neumann and Robin: the mirror image about the boundary, which lies on the last node ("reflect") or
    half a spacing beyond it ("replicate", of cells). Periodic: the other end ("circular").
    """
    if padding is not None:
        return ((padding, padding),) * grid.dim
    kinds = []
    for nodes, sides in zip(grid.nodes, grid.boundary, strict=True):
        mirror = "replicate" if nodes == "cell" else "reflect"
        by_side = {"dirichlet": "zeros", "neumann": mirror, "robin": mirror, "periodic": "circular"}
        kinds.append((by_side[sides[0]], by_side[sides[1]]))
    return tuple(kinds)


def _with_ghosts(v: Tensor, axis: int, ends: tuple[str, str]) -> Tensor:
    """v with one more node at either end of the axis."""
    n = v.shape[axis]
    low, high = (
        torch.zeros_like(v.narrow(axis, 0, 1)) if kind == "zeros" else v.narrow(axis, _source(kind, end, n), 1)
        for end, kind in enumerate(ends)
    )
    return torch.cat([low, v, high], axis)


def _source(kind: str, end: int, n: int) -> int:
    """The node whose value stands beyond the low (0) or high (1) end."""
    return {"reflect": (1, n - 2), "replicate": (0, n - 1), "circular": (n - 1, 0)}[kind][end]
