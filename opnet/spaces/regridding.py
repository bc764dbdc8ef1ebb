"""`Regridding`: from one grid of a box to another, by linear interpolation up and hat-weighted means down."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from opnet.spaces.grid import Grid


class Regridding:
    """`w_i = sum_j hat((x'_i - x_j) / d_i) v_j / sum_j hat((x'_i - x_j) / d_i)` along each axis, hat(s) = (1 - |s|)_+.

    d is the larger of the two spacings, which makes this linear interpolation onto finer grids and the full weighting
    of multigrid methods onto coarser ones; near an end that is not periodic it is no more than the distance from it.
    Each axis is one product with a small matrix. Values lie as (*grid, rest).

    Args:
        grid, target: on one box.

    Raises:
        ValueError: when the boxes differ.

    >>> coarse, fine = Grid((3,)), Grid((5,))
    >>> Regridding(coarse, fine)(torch.tensor([0.0, 2.0, 8.0], dtype=torch.float64))
    tensor([0., 1., 2., 5., 8.], dtype=torch.float64)
    >>> Regridding(fine, coarse)(torch.tensor([0.0, 1.0, 2.0, 5.0, 8.0], dtype=torch.float64))
    tensor([0.0000, 2.5000, 8.0000], dtype=torch.float64)
    """

    def __init__(self, grid: Grid, target: Grid, *, dtype: torch.dtype = torch.float64, device: Any = None) -> None:
        if target.extent != grid.extent:
            raise ValueError(f"target: expected a grid on the box {grid.extent}, found {target.extent}")
        self.target = target
        # Built in float64 whatever the dtype, and outside inference mode, which would bar the matrices from training.
        with torch.inference_mode(False), torch.no_grad():
            self._matrices = [_matrix(grid, target, axis).to(device, dtype) for axis in range(grid.dim)]

    def __call__(self, values: Tensor) -> Tensor:
        """# shape: (*grid, rest) -> (*target, rest)"""
        rest = values.shape[len(self._matrices) :]
        lead = 1
        for matrix in self._matrices:
            values = matrix @ values.reshape(lead, matrix.shape[1], -1)
            lead *= matrix.shape[0]
        return values.reshape(*self.target.shape, *rest)


def _matrix(grid: Grid, target: Grid, axis: int) -> Tensor:
    x, to = grid.axis(axis), target.axis(axis)
    low, high = grid.extent[axis]
    distance = (to[:, None] - x).abs()
    reach = torch.full_like(to, max(grid.spacing[axis], target.spacing[axis]))
    if grid.boundary[axis][0] == "periodic":
        distance = torch.minimum(distance, high - low - distance)
    else:
        reach = torch.minimum(reach, torch.minimum(to - low, high - to).clamp(min=grid.spacing[axis]))
    weights = (1 - distance / reach[:, None]).clamp(min=0)
    return weights / weights.sum(1, keepdim=True)
