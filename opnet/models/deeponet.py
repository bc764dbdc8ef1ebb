"""`DeepONet`: the deep operator network, a branch for the input function and a trunk for the position."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from torch import Tensor, nn

from opnet.core.registry import register
from opnet.models.blocks.branch_trunk import equal_features, inner_products
from opnet.models.blocks.mlp import MLP
from opnet.models.blocks.stacked_mlp import StackedMLP
from opnet.models.blocks.trunk import Trunk
from opnet.models.sensor_model import SensorModel
from opnet.spaces.grid import Grid

OUTPUTS = ("split_both", "split_branch", "split_trunk", "independent")


@register("model", "DeepONet")
class DeepONet(SensorModel):
    """The deep operator network on a box.

        u_k(x) = sum_{i <= p} b_ki(a(s_1), ..., a(s_m)) t_ki(x) + c_k

    The branch b is a perceptron of the values at the sensors, the trunk t one of the position, with an activation on
    its last layer. The basis t of the outputs is learned and the same for all a; so for the nodes of a grid, or points
    that the samples share, all answers are one matrix product (Cartesian product). Good for smooth or diffusive
    problems, few data, any query points and derivatives in x; bad for solutions that move or have fronts, whose best
    basis is large whatever is learned. Bound to its sensors: detail between them is not seen.

    Args:
        in_channels, out_channels: channels of a and u.
        sensors: sensors along each axis.
        branch, trunk: widths of the hidden layers and of the output, which is p, the same for both.
        outputs: what several channels of u share. "split_both": nothing but the hidden layers, whose last one gives p
            features for each channel in the branch and in the trunk; "split_branch": the trunk; "split_trunk": the
            branch; "independent": nothing.
        stacked: p (for each channel) small branches with one output instead of one with p: the first form of the paper,
            slower and seldom better.
        activation: "relu", "gelu", "tanh", ... ; one with two derivatives for residuals of second order.
        fourier_features: waves along each axis that the trunk is shown with x. Good: 0 for smooth u, as many as u has.
        sensor_nodes, zero_boundary: see `SensorModel`, as for how inputs on other grids get to the sensors.

    Raises:
        ValueError: for an argument out of range; on a call, for inputs or points that do not fit.

    Source: Lu, Jin, Pang, Zhang and Karniadakis, Learning nonlinear operators via DeepONet, Nature Machine Intelligence
    3 (2021), equation 2; several outputs: Lu et al., A comprehensive and fair comparison of two neural operators, 2022,
    section 3.1.6.

    >>> import torch
    >>> model = DeepONet(1, 2, sensors=(20,), branch=(32, 16), trunk=(32, 16))
    >>> a = torch.zeros(5, 1, 64)
    >>> model(a).shape, model(a, points=torch.rand(7, 1)).shape, model(a, points=torch.rand(5, 7, 1)).shape
    (torch.Size([5, 2, 64]), torch.Size([5, 2, 7]), torch.Size([5, 2, 7]))
    >>> model(a, points=torch.rand(4, 7, 1))
    Traceback (most recent call last):
    ValueError: points: expected (point, 1) or (5, point, 1), found (4, 7, 1)
    """

    registered_name = "DeepONet"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        sensors: Sequence[int],
        branch: Sequence[int] = (128, 128),
        trunk: Sequence[int] = (128, 128),
        *,
        outputs: str = "split_both",
        stacked: bool = False,
        activation: str = "gelu",
        fourier_features: int = 0,
        sensor_nodes: str | Sequence[str] = "cell",
        zero_boundary: bool = False,
    ) -> None:
        super().__init__(in_channels, out_channels, sensors, sensor_nodes=sensor_nodes, zero_boundary=zero_boundary)
        branch, trunk = equal_features("DeepONet", branch, trunk)
        if outputs not in OUTPUTS:
            raise ValueError(f"DeepONet: outputs: expected one of {', '.join(OUTPUTS)}, found {outputs!r}")
        self.arguments |= {
            "branch": list(branch),
            "trunk": list(trunk),
            "outputs": outputs,
            "stacked": stacked,
            "activation": activation,
            "fourier_features": fourier_features,
            "zero_boundary": zero_boundary,
        }
        self.features = branch[-1]
        networks = self.out_channels if outputs == "independent" else 1
        branches = self.out_channels if outputs in ("split_both", "split_branch") else 1
        trunks = self.out_channels if outputs in ("split_both", "split_trunk") else 1
        entries = self.in_channels * prod(self.sensors.shape)
        kind = StackedMLP if stacked else MLP
        self.branch = nn.ModuleList(
            kind((entries, *branch[:-1], branches * self.features), activation) for _ in range(networks)
        )
        self.trunk = nn.ModuleList(
            Trunk(
                self.sensors.dim,
                (*trunk[:-1], trunks * self.features),
                activation,
                fourier_features=fourier_features,
            )
            for _ in range(networks)
        )

    def answer(self, sensed: Tensor, x: Tensor, grid: Grid | None) -> Tensor:
        return inner_products([b(sensed.flatten(1)) for b in self.branch], [t(x) for t in self.trunk], self.features)
