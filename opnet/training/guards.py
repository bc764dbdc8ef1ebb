"""Keeping what is not finite out of a model, and finding which sample it came from."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite, sqrt

import torch
from torch import Tensor, nn

from opnet.core.errors import SolveError
from opnet.data.batch import Batch

Loss = Callable[[Batch], Tensor]


def largest_allowed(dtype: torch.dtype) -> float:
    """Bound for gradient norms and learning rates: beyond it Adam's squares overflow, or its steps, each at most a
    few times the learning rate, could."""
    return sqrt(torch.finfo(dtype).max)


class Guard:
    """Takes gradients, and says when they may not be used.

    A forward pass may change floating buffers, such as running means. Those that a checkpoint holds are watched too,
    and can be put back.

    Attributes:
        parameters: what is trained.
        loss, norm: of the last `gradients`: the loss and the norm of its gradient.
    """

    def __init__(self, model: nn.Module) -> None:
        held = model.state_dict(keep_vars=True)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.loss, self.norm = float("nan"), torch.tensor(float("nan"))
        self._buffers = [b for name, b in model.named_buffers() if name in held and b.is_floating_point()]
        self._kept = [buffer.clone() for buffer in self._buffers]

    def gradients(self, loss_of: Loss, batch: Batch) -> str | None:
        """Leave the gradients of the loss on `batch` in the parameters; returns what is wrong with them, or None."""
        for parameter in self.parameters:
            parameter.grad = None
        try:
            loss = loss_of(batch)
        except SolveError as error:
            return str(error)
        loss.backward()
        self.loss = float(loss.detach())
        self.norm = nn.utils.get_total_norm([p.grad for p in self.parameters if p.grad is not None])
        if not isfinite(self.loss):
            return f"the loss is {self.loss}"
        if not float(self.norm) < largest_allowed(self.norm.dtype):
            return f"the norm of the gradient is {float(self.norm)}"
        if not all(torch.isfinite(buffer).all() for buffer in self._buffers):
            return "a buffer of the model is not finite"
        return None

    def keep(self) -> None:
        """Take the buffers as good."""
        for buffer, kept in zip(self._buffers, self._kept, strict=True):
            kept.copy_(buffer)

    def restore(self) -> None:
        """Drop the gradients, and put the buffers back to when they were last good."""
        for parameter in self.parameters:
            parameter.grad = None
        for buffer, kept in zip(self._buffers, self._kept, strict=True):
            buffer.copy_(kept)

    def failing_samples(self, loss_of: Loss, batch: Batch) -> tuple[list[int], str | None]:
        """The samples that fail by themselves, with what is wrong with the first; then `restore`.

        All samples of the batch, and None, when they fail only together.
        """
        names = indices_of(batch)
        found: list[int] = []
        reason: str | None = None
        for position, name in enumerate(names):
            self.restore()
            failure = self.gradients(loss_of, batch.take(torch.tensor([position])))
            if failure is not None:
                reason = reason or failure
                found.append(name)
        self.restore()
        return found or names, reason


def indices_of(batch: Batch) -> list[int]:
    """Positions of the samples in their data set."""
    return list(range(len(batch))) if batch.index is None else batch.index.tolist()
