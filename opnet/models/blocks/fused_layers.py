"""`perceptron`: affine maps with activations between them, each in one pass where the processor's library has one.

As two passes, the second with a slow tanh, a layer takes up to three times as long. The fused operation is oneDNN's,
which torch calls in compiled graphs and does not document: it is used for what it is known to do, and everything else
takes the plain path, which gives the same to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import functional

from opnet.core.registry import lookup

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
    if _is_fusible(x, parameters, activation):
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


def _is_fusible(x: Tensor, parameters: Sequence[Tensor], activation: str) -> bool:
    """Whether the fused operation applies and no transform looks into it."""
    return (
        activation in _SLOPES
        and type(x) is Tensor
        and all(t.dtype == torch.float32 and t.device.type == "cpu" for t in (x, *parameters))
        and x.numel() > 0
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()  # type: ignore[attr-defined]
        and not torch.is_autocast_enabled("cpu")
        and not torch._C._are_functorch_transforms_active()
        and forward_ad._current_level < 0
        and _operation() is not None
    )


@lru_cache(maxsize=1)
def _operation() -> Callable[..., Tensor] | None:
    """oneDNN's linear with an activation, if this build of torch has it and it answers as expected."""
    try:
        operation = torch.ops.mkldnn._linear_pointwise
        x, weight, bias = torch.tensor([[0.5, -2.0]]), torch.tensor([[1.0, 2.0], [0.25, 0.5]]), torch.tensor([0.1, 0.2])
        for name, rho in (("none", lambda z: z), ("tanh", torch.tanh), ("relu", torch.relu)):
            torch.testing.assert_close(operation(x, weight, bias, name, [], ""), rho(x @ weight.T + bias))
    except (AttributeError, RuntimeError, TypeError, AssertionError):
        return None
    return operation


def _run(x: Tensor, weight: Tensor, bias: Tensor | None, activation: str) -> Tensor:
    operation = _operation()
    assert operation is not None
    return operation(x, weight, bias, activation, [], "")


def _layers(x: Tensor, activation: str, parameters: Sequence[Tensor]) -> list[Tensor]:
    """x and the output of every layer."""
    values, last = [x], len(parameters) - 2
    for i in range(0, len(parameters), 2):
        values.append(_run(values[-1], parameters[i], parameters[i + 1], "none" if i == last else activation))
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
            return _differentiable(values[0], ctx.activation, parameters, gradients[0], ctx.needs_input_grad)
        of_x, _, *of_parameters = ctx.needs_input_grad
        gradient = gradients[0]
        answer: list[Tensor | None] = [None] * len(parameters)
        for i in range(count - 1, -1, -1):
            if of_parameters[2 * i]:
                answer[2 * i] = _run(gradient.t(), values[i].t(), None, "none")
            if of_parameters[2 * i + 1]:
                answer[2 * i + 1] = gradient.sum(0)
            if i or of_x:
                gradient = _run(gradient, parameters[2 * i].t(), None, "none")
            if i:
                gradient = _SLOPES[ctx.activation](gradient, values[i])
        return (gradient if of_x else None, None, *answer)


def _differentiable(
    x: Tensor, activation: str, parameters: Sequence[Tensor], gradient: Tensor, wanted: Sequence[bool]
) -> tuple[Tensor | None, ...]:
    """The same by automatic differentiation of the plain path."""
    wanted = (wanted[0], *wanted[2:])
    chosen = [t for t, want in zip((x, *parameters), wanted, strict=True) if want]
    found = iter(torch.autograd.grad(_plain(x, parameters, activation), chosen, gradient, create_graph=True))
    first, *others = (next(found) if want else None for want in wanted)
    return (first, None, *others)
