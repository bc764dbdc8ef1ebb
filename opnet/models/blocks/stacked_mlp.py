"""`StackedMLP`: many small networks on one input, each giving one number."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from opnet.core.registry import lookup
from opnet.core.typing import Float
from opnet.models.blocks.mlp import checked_features


class StackedMLP(nn.Module):
    """`y_i = MLP_i(x)`, i = 1, ..., n: networks of one architecture and weights of their own, run together.

    Args:
        features: entries of x, of each hidden layer of every network, and n.
        activation: rho, a registered name.

    The weights start as those of `nn.Linear`.

    Raises:
        ValueError: for fewer than two numbers of features, or an activation that is not registered.

    >>> StackedMLP((100, 8, 40))(torch.zeros(5, 100)).shape
    torch.Size([5, 40])
    """

    def __init__(self, features: Sequence[int], activation: str = "gelu") -> None:
        super().__init__()
        features = checked_features(features, activation)
        self.activation = activation
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for a, b in pairwise((*features[:-1], 1)):
            bound = a**-0.5
            for parameters, shape in ((self.weights, (features[-1], a, b)), (self.biases, (features[-1], 1, b))):
                parameters.append(nn.Parameter(torch.empty(shape).uniform_(-bound, bound)))

    def forward(self, x: Float[Tensor, "batch feature"]) -> Float[Tensor, "batch out"]:
        rho = lookup("activation", self.activation)
        y = x.expand(len(self.weights[0]), *x.shape)
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            y = torch.baddbmm(bias, rho(y) if layer else y, weight)
        return y.squeeze(-1).T
