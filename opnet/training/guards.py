"""Keeping what is not finite out of the weights, and finding which sample it came from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite, sqrt

import torch
from torch import Tensor, nn

from opnet.core.errors import SolveError
from opnet.data.batch import Batch


def largest_allowed(dtype: torch.dtype) -> float:
    """Bound for gradient norms and learning rates: beyond it Adam's squares overflow, or its steps, each at most a
    few times the learning rate, could."""
    return sqrt(torch.finfo(dtype).max)


def gradients(loss_of: Callable[[Batch], Tensor], batch: Batch, parameters: Sequence[Tensor]) -> tuple[float, Tensor]:
    """The loss on `batch` and the norm of its gradient, which is left in `parameters`."""
    for parameter in parameters:
        parameter.grad = None
    loss = loss_of(batch)
    loss.backward()
    norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    return float(loss.detach()), norm


def failing_samples(
    loss_of: Callable[[Batch], Tensor], batch: Batch, parameters: Sequence[Tensor]
) -> tuple[list[int], str | None]:
    """The samples whose loss or gradient is out of range by itself, with what the first one shows.

    All samples of the batch, and None, when they fail only together.
    """
    n = len(batch.inputs)
    names = list(range(n)) if batch.index is None else batch.index.tolist()
    found: list[int] = []
    reason: str | None = None
    for position in range(n):
        failure = failure_of(loss_of, batch.take(torch.tensor([position])), parameters)
        if failure is not None:
            reason = reason or failure
            found.append(names[position])
    return found or names, reason


def failure_of(loss_of: Callable[[Batch], Tensor], batch: Batch, parameters: Sequence[Tensor]) -> str | None:
    """What is wrong with the loss or gradient on `batch`, or None."""
    try:
        loss, norm = gradients(loss_of, batch, parameters)
    except SolveError as error:
        return str(error)
    return out_of_range(loss, float(norm), norm.dtype)


def out_of_range(loss: float, norm: float, dtype: torch.dtype) -> str | None:
    if not isfinite(loss):
        return f"the loss is {loss}"
    if not norm < largest_allowed(dtype):
        return f"the norm of the gradient is {norm}"
    return None


class Buffers:
    """The floating buffers that a checkpoint holds, such as running means, to be put back after a failed step."""

    def __init__(self, model: nn.Module) -> None:
        held = model.state_dict(keep_vars=True)
        self.live = [b for name, b in model.named_buffers() if name in held and b.is_floating_point()]
        self.kept = [buffer.clone() for buffer in self.live]

    def keep(self) -> None:
        for kept, buffer in zip(self.kept, self.live, strict=True):
            kept.copy_(buffer)

    def restore(self) -> None:
        for kept, buffer in zip(self.kept, self.live, strict=True):
            buffer.copy_(kept)
