"""`MLP`: a multilayer perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from opnet.core.expect import integers
from opnet.core.registry import lookup
from opnet.models.blocks import activations  # noqa: F401  (registers)
from opnet.models.blocks.fused_layers import perceptron


class MLP(nn.Module):
    """`x_(i+1) = rho(W_i x_i + b_i)`, the last layer affine.

    Weights are those of `nn.Linear`, under the names that `nn.Sequential` of linear layers and activations gives them,
    so that either loads the other's.

    Args:
        features: entries of the input, of each hidden layer, and of the output.
        activation: rho: "tanh", "relu", "gelu", "softplus" or "sin".

    Shapes: (..., features[0]) to (..., features[-1]).

    Raises:
        ValueError: for fewer than two numbers of features, or an activation that is not registered.

    >>> import torch
    >>> MLP((64, 128, 64))(torch.zeros(512, 64)).shape
    torch.Size([512, 64])
    """

    def __init__(self, features: Sequence[int], activation: str = "tanh") -> None:
        super().__init__()
        self.activation = activation
        for i, (a, b) in enumerate(pairwise(checked_features(features, activation))):
            self.add_module(str(2 * i), nn.Linear(a, b))

    def forward(self, x: Tensor) -> Tensor:
        return perceptron(x, list(self.parameters()), self.activation)


def checked_features(features: Sequence[int], activation: str) -> tuple[int, ...]:
    """The features as ints; a `ValueError` for fewer than two, or an activation that is not registered."""
    features = integers("features", features, "at least two positive integers")
    if len(features) < 2 or min(features) < 1:
        raise ValueError(f"features: expected at least two positive integers, found {features}")
    lookup("activation", activation)
    return features
