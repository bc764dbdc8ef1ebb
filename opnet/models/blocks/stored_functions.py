"""`StoredFunctions`: functions on a grid, such as a basis of the training data, that travel with a model's weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from opnet.core.typing import Float
from opnet.spaces.grid import Grid
from opnet.spaces.interpolation import linear_interpolate
from opnet.spaces.point_interpolation import linear_at


class StoredFunctions(nn.Module):
    """`count` functions as a buffer (count, channel, *grid), read on any grid by interpolation.

    The box is only scaled: functions are of the unit coordinates. Without a grid there are none yet, until `hold`; with
    one they are noise, for the weights that are then loaded.

    Args:
        name: what messages call the owner.
        count: functions.
        channels: of each.
        grid: description of the grid they sit on, as `Grid.describe` gives it.
        interpolate: how they get to other grids: `linear_interpolate`, or `sine_interpolate` for functions that vanish
            on the boundary.
    """

    values: Tensor | None

    def __init__(
        self,
        name: str,
        count: int,
        channels: int,
        grid: Mapping[str, Any] | None,
        interpolate: Callable[[Tensor, Grid, Grid], Tensor] = linear_interpolate,
    ) -> None:
        super().__init__()
        self.name, self.count, self.channels, self.interpolate = name, count, channels, interpolate
        self.grid = None if grid is None else Grid.from_description(dict(grid))
        values = None if self.grid is None else torch.randn(count, channels, *self.grid.shape)
        self.register_buffer("values", values)

    def hold(self, values: Float[Tensor, "count channel *grid"], grid: Grid) -> None:
        """Take these functions in place of what there was."""
        assert values.shape == (self.count, self.channels, *grid.shape)
        self.grid, self.values = grid, values

    def at(self, grid: Grid) -> Float[Tensor, "count channel *grid"]:
        """The functions at the nodes of a grid.

        Raises:
            ValueError: where there are none yet.
        """
        values, own = self._held()
        return self.interpolate(values, own, replace(grid, extent=own.extent))

    def at_points(self, x: Float[Tensor, "*point dim"]) -> Float[Tensor, "count channel *point"]:
        """The functions at points of the unit box, by multilinear interpolation.

        Raises:
            ValueError: where there are none yet.
        """
        values, own = self._held()
        return linear_at(values, replace(own, extent=()), x.flatten(0, -2)).unflatten(-1, x.shape[:-1])

    def _held(self) -> tuple[Tensor, Grid]:
        if self.values is None or self.grid is None:
            raise ValueError(
                f"{self.name}: expected to have seen training data: call adapt(inputs, targets, grid) first"
            )
        return self.values, self.grid


def described(grid: Grid | None) -> dict[str, Any] | None:
    """The grid as plain data."""
    return None if grid is None else grid.describe()
