"""`MIONet`: the deep operator network of several input functions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from math import prod

import torch
from torch import Tensor, nn

from opnet.core.expect import integers
from opnet.core.registry import register
from opnet.models.blocks.branch_trunk import equal_features, inner_products
from opnet.models.blocks.mlp import MLP
from opnet.models.blocks.trunk import Trunk
from opnet.models.sensor_model import SensorModel
from opnet.spaces.grid import Grid


@register("model", "MIONet")
class MIONet(SensorModel):
    """The multiple-input deep operator network: a branch for each input function, and their product.

        u_k(x) = sum_{i <= p} b^1_ki(a_1) b^2_ki(a_2) ... t_ki(x) + c_k

    with a_j at the sensors; several channels k have features of their own in every network. Good where u is nearly a
    product in its inputs, or linear in one of them (a source beside a coefficient): branches without hidden layers are
    linear. A `DeepONet`, whose one branch sees all channels together, is the better guess otherwise. With one function
    it is the same.

    Args:
        in_channels, out_channels: channels of a and u.
        sensors: sensors along each axis.
        branch, trunk: widths of the hidden layers and of the output, which is p, the same for both; all branches alike.
        functions: how many channels of a each input function has, in their order. None: one each.
        activation: "relu", "gelu", "tanh", ...
        fourier_features: waves along each axis that the trunk is shown with x.
        sensor_nodes, zero_boundary: see `SensorModel`, as for how inputs on other grids get to the sensors.

    Raises:
        ValueError: for an argument out of range; on a call, for inputs or points that do not fit.

    Source: Jin, Meng and Lu, MIONet: Learning multiple-input operators via tensor product, SIAM Journal on Scientific
    Computing 44 (2022), section 2.3 (low rank).

    >>> model = MIONet(3, 1, sensors=(20,), functions=(2, 1), branch=(32, 16), trunk=(32, 16))
    >>> model(torch.zeros(5, 3, 64)).shape, len(model.branches)
    (torch.Size([5, 1, 64]), 2)
    """

    registered_name = "MIONet"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        sensors: Sequence[int],
        branch: Sequence[int] = (128, 128),
        trunk: Sequence[int] = (128, 128),
        *,
        functions: Sequence[int] | None = None,
        activation: str = "gelu",
        fourier_features: int = 0,
        sensor_nodes: str | Sequence[str] = "cell",
        zero_boundary: bool = False,
    ) -> None:
        super().__init__(in_channels, out_channels, sensors, sensor_nodes=sensor_nodes, zero_boundary=zero_boundary)
        branch, trunk = equal_features("MIONet", branch, trunk)
        functions = (1,) * self.in_channels if functions is None else functions
        self.functions = integers("MIONet: functions", functions, "the channels of each input function")
        if min(self.functions, default=0) < 1 or sum(self.functions) != self.in_channels:
            raise ValueError(
                f"MIONet: functions: expected positive numbers of {self.in_channels} channels together, found "
                f"{self.functions}"
            )
        self.features = branch[-1]
        widths = [(*w[:-1], self.out_channels * self.features) for w in (branch, trunk)]
        count = prod(self.sensors.shape)
        self.branches = nn.ModuleList(MLP((count * n, *widths[0]), activation) for n in self.functions)
        self.trunk = Trunk(self.sensors.dim, widths[1], activation, fourier_features=fourier_features)
        self.arguments |= {
            "branch": list(branch),
            "trunk": list(trunk),
            "functions": list(self.functions),
            "activation": activation,
            "fourier_features": fourier_features,
            "zero_boundary": zero_boundary,
        }

    def answer(self, sensed: Tensor, x: Tensor, grid: Grid | None) -> Tensor:
        parts = sensed.split(self.functions, 1)
        factors = [branch(part.flatten(1)) for branch, part in zip(self.branches, parts, strict=True)]
        return inner_products([reduce(torch.mul, factors)], [self.trunk(x)], self.features)
