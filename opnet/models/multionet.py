"""`MultiONet`: a deep operator network that answers from all layers of its branch and trunk."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from torch import Tensor, nn

from opnet.core.expect import integer, integers
from opnet.core.registry import lookup, register
from opnet.models.blocks import activations  # noqa: F401  (registers)
from opnet.models.blocks.branch_trunk import inner_products
from opnet.models.blocks.trunk import position_features
from opnet.models.sensor_model import SensorModel
from opnet.spaces.grid import Grid


@register("model", "MultiONet")
class MultiONet(SensorModel):
    """The deep operator network whose every pair of layers answers, and the answers are averaged.

        u_k(x) = 1/L sum_{l <= L} sum_i b^l_ki(a(s_1), ..., a(s_m)) t^l_ki(x) + c_k

    b^l and t^l are the outputs of layer l of the branch and of the trunk, after the activation (the branch's last layer
    has none); channels k of u share each layer's features equally. With as many weights as `DeepONet` it has L times
    its products: more expressive where one basis is not enough, such as coefficients that jump, at a little more cost.

    Args:
        in_channels, out_channels: channels of a and u.
        sensors: sensors along each axis.
        widths: of the layers, the same in branch and trunk, multiples of out_channels.
        activation: "relu", "gelu", "tanh", ...
        fourier_features: waves along each axis that the trunk is shown with x.
        sensor_nodes, zero_boundary: see `SensorModel`, as for how inputs on other grids get to the sensors.

    Raises:
        ValueError: for an argument out of range; on a call, for inputs or points that do not fit.

    Source: Zang and Koutsourelakis, DGenNO: a novel physics-aware neural operator for solving forward and inverse PDE
    problems based on deep, generative probabilistic modeling, arXiv:2502.06250, where it is the decoder.

    >>> import torch
    >>> MultiONet(1, 2, sensors=(20,), widths=(32, 32, 32))(torch.zeros(5, 1, 64)).shape
    torch.Size([5, 2, 64])
    """

    registered_name = "MultiONet"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        sensors: Sequence[int],
        widths: Sequence[int] = (128, 128, 128),
        *,
        activation: str = "gelu",
        fourier_features: int = 0,
        sensor_nodes: str | Sequence[str] = "cell",
        zero_boundary: bool = False,
    ) -> None:
        super().__init__(in_channels, out_channels, sensors, sensor_nodes=sensor_nodes, zero_boundary=zero_boundary)
        widths = integers("MultiONet: widths", widths, "integers, one a layer, such as (128, 128)")
        if not widths or min(widths) < 1 or any(width % self.out_channels for width in widths):
            raise ValueError(
                f"MultiONet: widths: expected one or more positive multiples of {self.out_channels}, the output "
                f"channels, found {widths}"
            )
        self.fourier_features = integer("MultiONet: fourier_features", fourier_features)
        if self.fourier_features < 0:
            raise ValueError(f"MultiONet: fourier_features: expected at least 0, found {fourier_features}")
        self.activation = lookup("activation", activation)
        entries = self.in_channels * prod(self.sensors.shape), self.sensors.dim * (1 + 2 * self.fourier_features)
        self.branch, self.trunk = (
            nn.ModuleList(nn.Linear(a, b) for a, b in pairwise((first, *widths))) for first in entries
        )
        self.arguments |= {
            "widths": list(widths),
            "activation": activation,
            "fourier_features": self.fourier_features,
            "zero_boundary": zero_boundary,
        }

    def answer(self, sensed: Tensor, x: Tensor, grid: Grid | None) -> Tensor:
        b, t, total = sensed.flatten(1), position_features(x, self.fourier_features), x.new_zeros(())
        layers = zip(self.branch, self.trunk, strict=True)
        for i, (branch, trunk) in enumerate(layers, 1):
            b, t = branch(b), self.activation(trunk(t))
            if i < len(self.branch):
                b = self.activation(b)
            total = total + inner_products([b], [t], b.shape[-1] // self.out_channels)
        return total / len(self.branch)
