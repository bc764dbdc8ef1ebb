"""Strengths: the scalar factors of a model's terms, learned or fixed."""

from __future__ import annotations

from math import isfinite

import torch
from torch import nn


def strength(module: nn.Module, name: str, value: float, learnable: bool) -> None:
    """Make `module.name` a number that starts at `value`: a parameter if it is learned, a buffer if not.

    Raises:
        ValueError: for a value that is not finite.

    >>> strength(module := nn.Module(), "speed", 2.0, learnable=False)
    >>> module.speed, list(module.parameters())
    (tensor(2.), [])
    """
    if not isfinite(value):
        raise ValueError(f"{name}: expected a finite number, found {value}")
    number = torch.tensor(float(value))
    if learnable:
        module.register_parameter(name, nn.Parameter(number))
    else:
        module.register_buffer(name, number)
