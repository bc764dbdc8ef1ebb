"""`PODDeepONet`: a deep operator network whose trunk is a basis of the training outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from opnet.core.expect import at_least, integers
from opnet.core.registry import register
from opnet.models.blocks.mlp import MLP
from opnet.models.blocks.stored_functions import StoredFunctions, described
from opnet.models.sensor_model import SensorModel
from opnet.spaces.grid import Grid
from opnet.spaces.pod import pod


@register("model", "PODDeepONet")
class PODDeepONet(SensorModel):
    """The deep operator network with a proper orthogonal decomposition (POD) for its trunk.

        u(x) = m(x) + sum_{k <= r} tau_k b_k(a(s_1), ..., a(s_m)) psi_k(x)

    m and the modes psi_k are those of the *training* outputs in the grid's quadrature (`pod`), tau_k their root mean
    squares, so that the branch b, which alone is learned, gives numbers of order one. `adapt(inputs, targets, grid)`
    finds them before training; they are buffers. Elsewhere than on their grid they are interpolated (multilinear).

    Good where few modes hold the outputs: less to learn than with a trunk, and smaller errors with few data; outputs
    that vanish on the boundary keep to it. Bad where singular values fall slowly (fronts, transport): the error is
    never below what the modes leave out. Between the nodes u is piecewise linear: no second derivatives in x.

    Args:
        in_channels, out_channels: channels of a and u; all channels of u share the coefficients.
        sensors: sensors along each axis.
        rank: r. Good: where `PODBasis.explained` is 1 less the square of the relative error hoped for.
        branch: widths of the hidden layers.
        activation: "relu", "gelu", "tanh", ...
        sensor_nodes: see `SensorModel`, as for how inputs on other grids get to the sensors.
        grid: description of the grid the basis sits on, of a model that was adapted; None before.

    Raises:
        ValueError: for an argument out of range; on a call, for inputs or points that do not fit, or before `adapt`.

    Source: Lu et al., A comprehensive and fair comparison of two neural operators, Computer Methods in Applied
    Mechanics and Engineering 393 (2022), section 3.1.4.

    >>> model, grid = PODDeepONet(1, 1, sensors=(32,), rank=3), Grid((32,), nodes="cell")
    >>> model.adapt(torch.randn(10, 1, 32), torch.randn(10, 1, 32), grid)
    >>> model(torch.zeros(4, 1, 32), grid).shape, model(torch.zeros(4, 1, 40), points=torch.rand(7, 1)).shape
    (torch.Size([4, 1, 32]), torch.Size([4, 1, 7]))
    """

    registered_name = "PODDeepONet"
    needs_data = True
    scale: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        sensors: Sequence[int],
        rank: int = 32,
        branch: Sequence[int] = (128, 128),
        *,
        activation: str = "gelu",
        sensor_nodes: str | Sequence[str] = "cell",
        grid: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels, sensors, sensor_nodes=sensor_nodes, bias=False)
        self.rank = at_least("PODDeepONet: rank", rank)
        branch = integers("PODDeepONet: branch", branch, "widths such as (128, 128)")
        if min(branch, default=1) < 1:
            raise ValueError(f"PODDeepONet: branch: expected positive widths, found {branch}")
        self.branch = MLP((self.in_channels * prod(self.sensors.shape), *branch, self.rank), activation)
        # The mean first, then the modes.
        self.functions = StoredFunctions("PODDeepONet", 1 + self.rank, self.out_channels, grid)
        self.register_buffer("scale", torch.ones(self.rank))
        self.arguments |= {"rank": self.rank, "branch": list(branch), "activation": activation}
        self._sits_on(self.functions.grid)

    def adapt(self, inputs: Tensor, targets: Tensor, grid: Grid) -> None:
        """Take the basis of the outputs of training data.

        # shape: (sample, in_channels, *grid), (sample, out_channels, *grid)

        Raises:
            ValueError: for targets of other channels or axes than the model's, or a rank beyond what they span.
        """
        if targets.shape[1] != self.out_channels:
            raise ValueError(f"PODDeepONet: targets: expected {self.out_channels} channels, found {targets.shape[1]}")
        self._sits_on(grid)
        basis = pod(targets, grid, self.rank)
        self.functions.hold(torch.cat([basis.mean[None], basis.modes]).to(self.scale), grid)
        self.scale = basis.singular_values.to(self.scale)

    def answer(self, sensed: Tensor, x: Tensor, grid: Grid | None) -> Tensor:
        functions = self.functions.at(grid).flatten(2) if grid is not None else self.functions.at_points(x)
        coefficients = self.branch(sensed.flatten(1)) * self.scale
        if x.ndim == 2:
            return functions[0] + torch.tensordot(coefficients, functions[1:], dims=1)
        return functions[0].transpose(0, 1) + torch.einsum("br,rcbp->bcp", coefficients, functions[1:])

    def _sits_on(self, grid: Grid | None) -> None:
        if grid is not None and grid.dim != self.dim:
            raise ValueError(f"PODDeepONet: grid: expected {self.dim} axes, the sensors', found {grid.dim}")
        self.arguments["grid"] = described(grid)
