"""`Trunk`: functions of the position that a network learns."""

from __future__ import annotations

from collections.abc import Sequence
from math import pi

import torch
from torch import Tensor, nn

from opnet.core.expect import integer
from opnet.core.registry import lookup
from opnet.core.typing import Float
from opnet.models.blocks.mlp import MLP


class Trunk(nn.Module):
    """`t(x) = rho(MLP(x, cos(pi k x_i), sin(pi k x_i))), 1 <= k <= m`: the last layer has its activation too.

    Args:
        dim: entries of x.
        widths: of the hidden layers and the output.
        activation: rho, a registered name.
        fourier_features: m, of every axis; 0: x alone. They show a network what it would learn slowly, waves shorter
            than the box.

    Raises:
        ValueError: for no widths, an unknown activation, or a negative number of features.

    >>> Trunk(2, (16, 8), fourier_features=3)(torch.rand(100, 2)).shape
    torch.Size([100, 8])
    """

    def __init__(self, dim: int, widths: Sequence[int], activation: str = "gelu", *, fourier_features: int = 0) -> None:
        super().__init__()
        self.fourier_features = integer("fourier_features", fourier_features)
        if self.fourier_features < 0:
            raise ValueError(f"fourier_features: expected at least 0, found {fourier_features}")
        self.activation = activation
        self.mlp = MLP((dim * (1 + 2 * self.fourier_features), *widths), activation)

    def forward(self, x: Float[Tensor, "*point dim"]) -> Float[Tensor, "*point out"]:
        return lookup("activation", self.activation)(self.mlp(position_features(x, self.fourier_features)))


def position_features(x: Float[Tensor, "*point dim"], waves: int) -> Float[Tensor, "*point feature"]:
    """x, and of every axis cos(pi k x_i) and sin(pi k x_i) for k up to `waves`."""
    if not waves:
        return x
    phase = (x.unsqueeze(-1) * (pi * torch.arange(1, waves + 1, dtype=x.dtype, device=x.device))).flatten(-2)
    return torch.cat([x, phase.cos(), phase.sin()], -1)
