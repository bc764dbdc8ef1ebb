"""`KernelModel`: what operators made of integrals with learned kernels have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn

from opnet.core.expect import at_least, integer, integers
from opnet.core.typing import Float
from opnet.models.blocks.kernel_integral import KERNELS
from opnet.models.blocks.neighbourhoods import WINDOWS
from opnet.models.grid_model import GridModel
from opnet.spaces.grid import Grid
from opnet.spaces.interpolation import close_ends, open_ends
from opnet.spaces.points import Points

KEPT = 4
"""Sets of points whose geometry a model keeps: training and test resolutions."""


class KernelModel(GridModel):
    """`v_0 = P (a, x)`, layers of integrals, `u = Q(v_n)`, Q with one hidden layer and gelu: on grids and on points.

    Integrals are averages with quadrature weights, and positions are in units of the box's longest side, so that the
    same weights mean the same operator on every grid or cloud of points. Subclasses implement `geometry`, what depends
    on the points alone, which is kept for those seen last, and `operator`, the layers.
    """

    traceable = False  # the neighbours are found where the points are known
    dim: int

    def _make_ends(self, in_channels: int, out_channels: int, dim: int, width: int, projection_width: int) -> None:
        self.in_channels, self.dim = in_channels, dim
        self.lifting = nn.Linear(in_channels + dim, width)
        self.projection = nn.Sequential(
            nn.Linear(width, projection_width), nn.GELU(), nn.Linear(projection_width, out_channels)
        )
        self._kept: list[tuple[Points, Any]] = []

    @abstractmethod
    def geometry(self, points: Points) -> Any:
        """What the layers need to know of the points."""

    @abstractmethod
    def operator(self, a: Tensor, points: Points, geometry: Any) -> Tensor:
        """v_n, of values a of the inputs.  # shape: (point, batch, in_channels) -> (point, batch, width)"""

    def forward(self, inputs: Tensor, grid: Grid | None = None) -> Float[Tensor, "batch out *grid"]:
        """u for every a of the batch; without a grid, the nodes are cells of the unit box.

        At ends of the box that "left" and "interior" nodes leave out (not on periodic axes) the nearest value of `a`
        is repeated first.

        # shape: (batch, in_channels, *grid) -> (batch, out_channels, *grid)
        """
        grid = self.checked(inputs, grid)
        inputs, closed = close_ends(inputs, grid)
        u = self._solution(inputs.flatten(2).movedim(2, 0), Points.of_grid(closed, inputs.device))
        return open_ends(u.movedim(0, 2).unflatten(2, closed.shape), grid).contiguous()

    def forward_points(
        self,
        values: Tensor,
        points: Tensor,
        weights: Tensor | None = None,
        periods: Sequence[float | None] = (),
    ) -> Float[Tensor, "batch point out"]:
        """u at the points for every a of the batch.

        Args:
            values: of a at each point; (batch, point, in_channels).
            points: positions, the same for all samples, in the unit of length in which the domain's longest side is
                about 1; (point, dim).
            weights, periods: see `Points`.

        # shape: (batch, point, in_channels) -> (batch, point, out_channels)

        Raises:
            ValueError: for values whose dtype, channels or number do not fit the model and the points, or points that
                `Points` refuses.
        """
        cloud = Points(points, weights, periods)
        if cloud.dim != self.dim:
            raise ValueError(f"points: expected (point, {self.dim}), found {tuple(points.shape)}")
        if values.ndim != 3 or values.shape[1:] != (cloud.n, self.in_channels) or not len(values):
            raise ValueError(
                f"values: expected (batch, {cloud.n}, {self.in_channels}), one value for each point and channel, "
                f"found {tuple(values.shape)}"
            )
        if values.dtype != self.lifting.weight.dtype:
            raise ValueError(f"values: expected {self.lifting.weight.dtype}, the model's dtype, found {values.dtype}")
        return self._solution(values.transpose(0, 1), cloud).transpose(0, 1).contiguous()

    def _solution(self, a: Tensor, points: Points) -> Tensor:
        kept = next((pair for pair in self._kept if pair[0].is_same(points)), None)
        if kept is None:
            # Made for good, also where the first call is in inference mode.
            with torch.inference_mode(False), torch.no_grad():
                kept = points, self.geometry(points)
            self._kept = [kept, *self._kept[: KEPT - 1]]
        return self.projection(self.operator(a, *kept))

    def lifted(self, a: Tensor, points: Points) -> Tensor:
        """v_0.  # shape: (point, batch, in_channels) -> (point, batch, width)"""
        x = points.positions.to(a.dtype)
        return self.lifting(torch.cat([a, x[:, None].expand(-1, a.shape[1], -1)], -1))


def check_arguments(name: str, arguments: dict[str, Any]) -> None:
    """Make counts ints and `hidden` a list of them.

    Raises:
        ValueError: for an argument of a kernel model that is out of range.
    """
    arguments["hidden"] = list(integers(f"{name}: hidden", arguments["hidden"], "integers, such as (64, 64)"))
    if not arguments["hidden"] or min(arguments["hidden"]) < 1:
        raise ValueError(f"{name}: hidden: expected one or more positive integers, found {arguments['hidden']}")
    counts = ("in_channels", "out_channels", "dim", "width", "layers", "levels", "terms", "rank", "projection_width")
    for key in [key for key in (*counts, "neighbours") if arguments.get(key) is not None]:
        arguments[key] = at_least(f"{name}: {key}", arguments[key])
    if "seed" in arguments:
        arguments["seed"] = integer(f"{name}: seed", arguments["seed"])
    radius = arguments.get("radius", 1.0)
    if not (isinstance(radius, (int, float)) and isfinite(radius) and radius > 0):
        raise ValueError(f"{name}: radius: expected a positive number, found {radius!r}")
    for key, allowed in (("kernel", KERNELS), ("window", WINDOWS)):
        if arguments.get(key, allowed[0]) not in allowed:
            raise ValueError(f"{name}: {key}: expected one of {', '.join(allowed)}, found {arguments[key]!r}")
