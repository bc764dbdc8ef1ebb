"""Activations that models name in their plain-data arguments."""

from __future__ import annotations

from math import erf, exp, pi, sqrt

import torch
from torch import nn

from opnet.core.registry import register

register("activation", "tanh")(torch.tanh)
register("activation", "relu")(torch.relu)
register("activation", "gelu")(nn.functional.gelu)
register("activation", "softplus")(nn.functional.softplus)
register("activation", "sin")(torch.sin)

LIPSCHITZ = {
    torch.tanh: 1.0,
    torch.relu: 1.0,
    # The derivative Phi(x) + x phi(x) is largest at x = sqrt 2: 1.1289.
    nn.functional.gelu: 0.5 * (1 + erf(1.0)) + exp(-1.0) / sqrt(pi),
    nn.functional.softplus: 1.0,
    torch.sin: 1.0,
}
"""sup |rho'| of each."""
