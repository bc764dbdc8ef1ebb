"""`Patches`: a grid cut into patches with what surrounds them, ever more coarsely, and put together again."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

import torch
from torch import Tensor

from opnet.spaces.grid import Grid


class Patches:
    """The box as `counts` equal parts an axis, each seen by itself and from farther away.

    A patch has the nodes of its part and a halo of neighbours on both sides: cells of its box where the grid has cells,
    otherwise "vertex" nodes, with both ends. Its view of level l has as many values about the same centre, each the
    mean over 2^l spacings an axis: it shows 2^l times as much of the box, as coarsely. A node belongs to the part its
    coordinates lie in, whatever the resolution.

    Values beyond a periodic axis are those of its other end; beyond others the nearest node's ("edge") or 0 ("zero").

    Args:
        grid: where values sit.
        counts: parts for each axis.
        levels: views besides the patch itself.
        halo: its width as a fraction of the patch's.
        fill: "edge" or "zero".

    Attributes:
        patch: the grid of one patch, a box with the patch's physical lengths.
        count: number of patches.

    Raises:
        ValueError: when a part has no node.

    >>> patches = Patches(Grid((8,), nodes="cell"), (2,), levels=1, halo=0.25, dtype=torch.float64)
    >>> views = patches.split(torch.arange(8.0, dtype=torch.float64).reshape(1, 1, 8))
    >>> views[0]
    tensor([[0.0000, 0.0000, 1.0000, 2.0000, 3.0000, 4.0000],
            [0.0000, 0.0000, 0.5000, 2.5000, 4.5000, 6.5000]], dtype=torch.float64)
    >>> patches.join(views[:, :1])
    tensor([[[0., 1., 2., 3., 4., 5., 6., 7.]]], dtype=torch.float64)
    """

    def __init__(
        self,
        grid: Grid,
        counts: Sequence[int],
        *,
        levels: int,
        halo: float,
        fill: str = "edge",
        dtype: torch.dtype = torch.float32,
        device: Any = None,
    ) -> None:
        self.counts = tuple(counts)
        # Outside inference mode, which would bar the matrices from training.
        with torch.inference_mode(False), torch.no_grad():
            axes = [_cut(grid, axis, count, halo) for axis, count in enumerate(counts)]
            self.widths = tuple(width for _, width, _ in axes)
            self._views = [
                [
                    _view_matrix(grid, axis, first, width, level, fill).to(device, dtype)
                    for axis, (first, width, _) in enumerate(axes)
                ]
                for level in range(levels + 1)
            ]
            self._places = [place.to(device) for _, _, place in axes]
        nodes = tuple("cell" if kind == "cell" else "vertex" for kind in grid.nodes)
        intervals = (width - (kind == "vertex") for width, kind in zip(self.widths, nodes, strict=True))
        lengths = (count * h for count, h in zip(intervals, grid.spacing, strict=True))
        self.patch = Grid(self.widths, tuple((0.0, length) for length in lengths), nodes=nodes)
        self.count = torch.Size(counts).numel()

    def split(self, values: Tensor) -> Tensor:
        """Every patch with its views.  # shape: (batch, channel, *grid) -> (batch * patch, view * channel, *width)"""
        views = []
        for matrices in self._views:
            view = values
            for matrix in matrices:  # each takes the first axis of the grid and puts its own last
                view = torch.tensordot(view, matrix, dims=([2], [1]))
            views.append(view)
        parts = torch.cat(views, 1)
        dim = len(self.counts)
        for axis in reversed(range(dim)):
            parts = parts.unflatten(2 + axis, (self.counts[axis], self.widths[axis]))
        return parts.permute(0, *range(2, 2 + 2 * dim, 2), 1, *range(3, 3 + 2 * dim, 2)).flatten(0, dim).contiguous()

    def join(self, parts: Tensor) -> Tensor:
        """Every node's value from the patch it belongs to.

        # shape: (batch * patch, channel, *width) -> (batch, channel, *grid)
        """
        dim = len(self.counts)
        parts = parts.unflatten(0, (-1, *self.counts))  # (batch, *patch, channel, *width)
        pairs = (axis for i in range(dim) for axis in (1 + i, 2 + dim + i))
        parts = parts.permute(0, 1 + dim, *pairs)
        for axis, place in enumerate(self._places):
            parts = parts.flatten(2 + axis, 3 + axis).index_select(2 + axis, place)
        return parts


def _cut(grid: Grid, axis: int, count: int, halo: float) -> tuple[Tensor, int, Tensor]:
    """First node (with halo) of every patch, nodes of one, and where each node stands among all patches' nodes."""
    nodes, h = grid.axis(axis), grid.spacing[axis]
    ends = torch.arange(count, dtype=torch.float64) * grid.intervals[axis] / count
    # A node on the end between two parts belongs to the second, whatever rounding says.
    first = torch.ceil(ends - (nodes[0] - grid.extent[axis][0]) / h - 1e-9).long()
    number = torch.arange(len(nodes))
    owner = (torch.searchsorted(first, number, right=True) - 1).clamp(min=0)
    if int(torch.bincount(owner, minlength=count).min()) == 0:
        raise ValueError(f"patches: expected a node in each of {count} parts of axis {axis}, found {len(nodes)} nodes")
    size = 2 * ceil(grid.intervals[axis] / count / 2)  # even, so that the views' nodes are or halve the grid's
    around = round(halo * size)
    width = size + 2 * around + (grid.nodes[axis] != "cell")
    return first - around, width, owner * width + number - first[owner] + around


def _view_matrix(grid: Grid, axis: int, first: Tensor, width: int, level: int, fill: str) -> Tensor:
    """What takes an axis's nodes to those of all patches' views.  # shape: (patch * width, node)"""
    n, factor, cells = grid.shape[axis], 2**level, grid.nodes[axis] == "cell"
    if cells or level == 0:
        share = torch.full((factor,), 1 / factor, dtype=torch.float64)
    else:  # the trapezoidal rule over as many spacings, about a node
        share = torch.tensor([0.5, *[1.0] * (factor - 1), 0.5], dtype=torch.float64) / factor
    before = (factor - 1) * (width - (not cells)) // 2 + (0 if cells else factor // 2)
    index = (first[:, None] + factor * torch.arange(width) - before).reshape(-1, 1) + torch.arange(len(share))
    share = share.expand(index.shape)
    if grid.boundary[axis][0] == "periodic":
        index = index % n
    else:
        if fill == "zero":
            share = share * ((index >= 0) & (index < n))
        index = index.clamp(0, n - 1)
    return torch.zeros(len(index), n, dtype=torch.float64).scatter_add(1, index, share)
