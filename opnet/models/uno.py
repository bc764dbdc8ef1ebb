"""`UNO`: the U-shaped neural operator."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from opnet.core.expect import at_least, integers
from opnet.core.registry import register
from opnet.core.typing import Float
from opnet.models.blocks.mlp import MLP
from opnet.models.blocks.spectral import SpectralConvolution, check_spectral
from opnet.models.grid_model import GridModel
from opnet.spaces.grid import Grid
from opnet.spaces.interpolation import close_ends, open_ends
from opnet.spaces.regridding import Regridding
from opnet.spaces.transforms import SpectralTransform


@register("model", "UNO")
class UNO(GridModel):
    """Fourier layers on a grid, on one of half as many nodes an axis, ..., and back, with skips between equals.

        K v = gelu(W v + b + T^-1 (R . T v));   v = P(a, x)
        down, l = 0, ..., L - 1:   s_l = K v,   v <- A_l I v       (I onto the grid of level l + 1)
        K v;   up, l = L - 1, ..., 0:   v <- K B_l (I v, s_l)      (I onto the grid of level l)
        u = Q(v)

    (the last K without gelu; Q one hidden layer with gelu). Each level down has twice the channels and half the modes,
    so that in two dimensions all layers have as many weights. `Regridding` says what I is: the grids are fractions of
    the one at hand, so that the same weights mean one operator, approached as the grid is refined.

    Good for more layers at less memory and time than `FNO` takes for as many. Bad for transfer: neuraloperator's,
    trained on Darcy flow at 16^2, has .096 there and .149 at 32^2, where its FNO has .093 and .118.

    Args:
        in_channels, out_channels: channels of a and u.
        modes: m for every axis on the finest grid, as in `FNO`.
        width: channels of v there.
        levels: L. Good: 1 or 2; there are 2 L + 1 layers.
        basis, padding: as in `FNO`.
        projection_width: hidden channels of Q.

    Raises:
        ValueError: for an argument out of range; on a call, for inputs whose channels, dtype or grid do not fit, or a
            grid that does not resolve the modes.

    Source: Rahman, Ross, Azizzadenesheli, U-NO: U-shaped Neural Operators, 2023, section 3.

    >>> UNO(1, 1, modes=(4, 4), width=8, levels=1)(torch.zeros(3, 1, 16, 20)).shape
    torch.Size([3, 1, 16, 20])
    """

    registered_name = "UNO"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        modes: Sequence[int] = (12, 12),
        width: int = 32,
        *,
        levels: int = 2,
        basis: str = "fourier",
        padding: float = 0.0,
        projection_width: int = 128,
    ) -> None:
        super().__init__()
        modes = integers("UNO: modes", modes, "integers, one for each axis, such as (12, 12)")
        self.arguments = {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "modes": list(modes),
            "width": width,
            "levels": levels,
            "basis": basis,
            "padding": padding,
            "projection_width": projection_width,
        }
        _check_arguments(self.arguments)
        self.in_channels, self.dim, self.basis, self.padding = in_channels, len(modes), basis, padding
        self.modes = [tuple(-(-m // 2**level) for m in modes) for level in range(levels + 1)]
        widths = [width * 2**level for level in range(levels + 1)]
        self.lifting = nn.Linear(in_channels + len(modes), width)
        order = [*range(levels + 1), *reversed(range(levels))]
        self.spectral = nn.ModuleList(SpectralConvolution(widths[i], self.modes[i], basis) for i in order)
        self.pointwise = nn.ModuleList(nn.Linear(widths[i], widths[i]) for i in order)
        self.down = nn.ModuleList(nn.Linear(widths[i], widths[i + 1]) for i in range(levels))
        self.up = nn.ModuleList(nn.Linear(widths[i] + widths[i + 1], widths[i]) for i in range(levels))
        self.projection = MLP((width, projection_width, out_channels), "gelu")
        self._made: dict[tuple[Grid, torch.dtype, torch.device], _Levels] = {}

    def forward(self, inputs: Tensor, grid: Grid | None = None) -> Float[Tensor, "batch out *grid"]:
        """u for every a of the batch; without a grid, the nodes are cells of the unit box.

        # shape: (batch, in_channels, *grid) -> (batch, out_channels, *grid)
        """
        grid = self.checked(inputs, grid)
        inputs, closed = close_ends(inputs, grid)
        on = self._levels(closed, inputs)
        x = closed.unit_coordinates(inputs.dtype, inputs.device)
        v = torch.cat([inputs, x.expand(len(inputs), *x.shape)], 1)
        # (*grid, batch, channel) from here on: see SpectralConvolution.
        v = self.lifting(v.movedim((0, 1), (-2, -1)).contiguous())
        levels, kept = len(self.down), []
        for level, down in enumerate(self.down):
            v = gelu(self._layer(level, v, on.transforms[level]))
            kept.append(v)
            v = down(on.coarser[level](v))
        v = gelu(self._layer(levels, v, on.transforms[levels]))
        for level in reversed(range(levels)):
            v = self.up[level](torch.cat([on.finer[level](v), kept[level]], -1))
            v = self._layer(2 * levels - level, v, on.transforms[level])
            v = gelu(v) if level else v
        return open_ends(self.projection(v).movedim((-2, -1), (0, 1)), grid).contiguous()

    def _layer(self, layer: int, v: Tensor, transform: SpectralTransform) -> Tensor:
        return self.spectral[layer](v, transform, add_to=self.pointwise[layer](v))

    def _levels(self, grid: Grid, like: Tensor) -> _Levels:
        key = (grid, like.dtype, like.device)
        if key not in self._made:
            self._made[key] = _Levels(grid, self.modes, self.basis, self.padding, like)
        return self._made[key]


class _Levels:
    """The transforms of every level's grid, and the ways between neighbours."""

    def __init__(self, grid: Grid, modes: list[tuple[int, ...]], basis: str, padding: float, like: Tensor) -> None:
        where: Any = {"dtype": like.dtype, "device": like.device}
        grids = [_coarsened(grid, 2**level) for level in range(len(modes))]
        self.transforms = [
            SpectralTransform(on, m, basis, padding=padding, **where) for on, m in zip(grids, modes, strict=True)
        ]
        self.coarser = [Regridding(fine, coarse, **where) for fine, coarse in pairwise(grids)]
        self.finer = [Regridding(coarse, fine, **where) for fine, coarse in pairwise(grids)]


def _coarsened(grid: Grid, factor: int) -> Grid:
    """The grid of `factor` times the spacing, or just less where that does not go into the box."""
    more = (n - count for n, count in zip(grid.shape, grid.intervals, strict=True))
    return grid.resized([-(-count // factor) + extra for count, extra in zip(grid.intervals, more, strict=True)])


def _check_arguments(arguments: dict) -> None:
    for name in ("in_channels", "out_channels", "width", "levels", "projection_width"):
        arguments[name] = at_least(f"UNO: {name}", arguments[name])
    check_spectral("UNO", arguments["modes"], arguments["basis"], arguments["padding"])
