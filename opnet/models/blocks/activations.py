"""Activations that models name in their plain-data arguments."""

from __future__ import annotations

import torch
from torch import nn

from opnet.core.registry import register

register("activation", "tanh")(torch.tanh)
register("activation", "relu")(torch.relu)
register("activation", "gelu")(nn.functional.gelu)
register("activation", "softplus")(nn.functional.softplus)
register("activation", "sin")(torch.sin)
