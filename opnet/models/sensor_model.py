"""`SensorModel`: what operator models that read their input at sensors and answer anywhere have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from opnet.core.expect import at_least
from opnet.core.typing import Float
from opnet.models.grid_model import GridModel
from opnet.spaces.grid import Grid
from opnet.spaces.interpolation import linear_interpolate


class SensorModel(GridModel):
    """`u(x) = U(a(s_1), ..., a(s_m); x) + c` with fixed sensors s_i and any x, c one number a channel.

    The sensors are the nodes of a grid on the unit box, to which the box of the inputs is scaled. Inputs on another
    grid get there by multilinear interpolation (`linear_interpolate`: one matrix product an axis, second order); on the
    sensors' own grid nothing is changed. Outputs are at the nodes of the inputs' grid, or at `points`, which may
    require gradients: derivatives of u in x are `torch.autograd.grad`'s.

    Args:
        in_channels, out_channels: channels of a and u.
        sensors: sensors along each axis.
        sensor_nodes: their placement, as `Grid` names them: one, or one an axis.
        zero_boundary: multiply u by `prod_i 4 x_i (1 - x_i)`, for solutions that vanish on the boundary.
        bias: whether there is c.

    Raises:
        ValueError: for an argument out of range; on a call, for inputs or points that do not fit.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        sensors: Sequence[int],
        *,
        sensor_nodes: str | Sequence[str] = "cell",
        zero_boundary: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self.in_channels = at_least(f"{name}: in_channels", in_channels)
        self.out_channels = at_least(f"{name}: out_channels", out_channels)
        try:
            self.sensors = Grid(tuple(sensors), nodes=sensor_nodes)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{name}: sensors, sensor_nodes: expected those of a grid: {error}") from error
        self.dim = self.sensors.dim
        self.zero_boundary = zero_boundary
        self.bias = nn.Parameter(torch.zeros(self.out_channels)) if bias else None
        self.arguments = {
            "in_channels": self.in_channels,
            "out_channels": self.out_channels,
            "sensors": list(self.sensors.shape),
            "sensor_nodes": list(self.sensors.nodes),
        }

    @abstractmethod
    def answer(
        self, sensed: Float[Tensor, "batch channel *sensors"], x: Tensor, grid: Grid | None
    ) -> Float[Tensor, "batch out point"]:
        """U at x, (point, dim) or (batch, point, dim) in the unit box: the nodes of `grid` if there is one."""

    def forward(self, inputs: Tensor, grid: Grid | None = None, points: Tensor | None = None) -> Tensor:
        """u for every a of the batch; without a grid, the nodes are cells of the unit box.

        Args:
            points: where to answer, in the coordinates of the grid: (point, dim), the same for every sample, or
                (batch, point, dim), each sample's own. None: at the nodes.

        # shape: (batch, in_channels, *grid) -> (batch, out_channels, *grid), or (batch, out_channels, point)
        """
        grid = self.checked(inputs, grid)
        sensed = linear_interpolate(inputs, grid, replace(self.sensors, extent=grid.extent))
        if points is None:
            x = grid.unit_coordinates(inputs.dtype, inputs.device).flatten(1).T
        else:
            x = self._unit(points, inputs, grid)
        u = self.answer(sensed, x, grid if points is None else None)
        if self.bias is not None:
            u = u + self.bias[:, None]
        if self.zero_boundary:
            u = u * (4 * x * (1 - x)).prod(-1).unsqueeze(-2)
        return (u if points is not None else u.unflatten(-1, grid.shape)).contiguous()

    def _unit(self, points: Tensor, inputs: Tensor, grid: Grid) -> Tensor:
        """Points of the grid's box scaled to the unit box."""
        shape = tuple(points.shape)
        if len(shape) not in (2, 3) or shape[-1] != self.dim or (len(shape) == 3 and shape[0] != len(inputs)):
            raise ValueError(
                f"points: expected (point, {self.dim}) or ({len(inputs)}, point, {self.dim}), found {shape}"
            )
        if points.dtype != inputs.dtype:
            raise ValueError(f"points: expected {inputs.dtype}, as the inputs, found {points.dtype}")
        low = points.new_tensor([low for low, _ in grid.extent])
        x = (points - low) / points.new_tensor(grid.lengths)
        # Rounding may leave the box by a little; NaN is not within it either.
        if not bool(((x >= -1e-5) & (x <= 1 + 1e-5)).all()):
            raise ValueError(f"points: expected points in the box {grid.extent}, found some outside")
        return x
