"""`perceptron`: affine maps with activations between them, each in one pass where the processor's library has one.

As two passes, the second with a slow tanh, a layer takes up to three times as long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from opnet.core.products import fused_affine, is_fusible
from opnet.core.registry import lookup
from opnet.models.blocks.differentiated import differentiated

_SLOPES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "tanh": lambda gradient, y: torch.ops.aten.tanh_backward(gradient, y),
    "relu": lambda gradient, y: torch.where(y > 0, gradient, 0.0),
}
"""The gradient before an activation, from the one after it and the activation's value."""


def perceptron(x: Tensor, parameters: Sequence[Tensor], activation: str) -> Tensor:
    """`x <- rho(x W^T + b)` for each pair of `parameters` W (out, in), b (out,), the last without rho.

    Args:
        x: (..., in).
        parameters: W and b of each layer in turn.
        activation: the registered name of rho.
    """
    if activation in _SLOPES and is_fusible(x, *parameters):
        rows = x if x.ndim == 2 else x.reshape(-1, x.shape[-1])
        if torch.is_grad_enabled() and (x.requires_grad or any(p.requires_grad for p in parameters)):
            y: Any = _Fused.apply(rows, activation, *parameters)
        else:
            y = _layers(rows, activation, parameters)[-1]
        return y if x.ndim == 2 else y.reshape(*x.shape[:-1], y.shape[-1])
    return _plain(x, parameters, activation)


def _plain(x: Tensor, parameters: Sequence[Tensor], activation: str) -> Tensor:
    rho, last = lookup("activation", activation), len(parameters) - 2
    for i in range(0, len(parameters), 2):
        x = functional.linear(x, parameters[i], parameters[i + 1])
        x = x if i == last else rho(x)
    return x


def _layers(x: Tensor, activation: str, parameters: Sequence[Tensor]) -> list[Tensor]:
    """x and the output of every layer."""
    values, last = [x], len(parameters) - 2
    for i in range(0, len(parameters), 2):
        values.append(fused_affine(values[-1], parameters[i], parameters[i + 1], "none" if i == last else activation))
    return values


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, activation: str, *parameters: Tensor) -> Tensor:
        *values, y = _layers(x, activation, parameters)
        ctx.activation = activation
        ctx.save_for_backward(*values, *parameters)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors  # once: checkpoints give them out no second time
        count = len(saved) // 3
        values, parameters = saved[:count], saved[count:]
        if torch.is_grad_enabled():  # derivatives of the derivative are wanted, which the fused operation has not
            found = _plain(values[0], parameters, ctx.activation)
            wanted = (ctx.needs_input_grad[0], *ctx.needs_input_grad[2:])
            first, *others = differentiated(found, (values[0], *parameters), gradients[0], wanted)
            return (first, None, *others)
        of_x, _, *of_parameters = ctx.needs_input_grad
        gradient = gradients[0]
        answer: list[Tensor | None] = [None] * len(parameters)
        for i in range(count - 1, -1, -1):
            if of_parameters[2 * i]:
                answer[2 * i] = fused_affine(gradient.t(), values[i].t(), None)
            if of_parameters[2 * i + 1]:
                answer[2 * i + 1] = gradient.sum(0)
            if i or of_x:
                gradient = fused_affine(gradient, parameters[2 * i].t(), None)
            if i:
                gradient = _SLOPES[ctx.activation](gradient, values[i])
        return (gradient if of_x else None, None, *answer)
