"""`Stages`: the stage derivatives of one step, and weighted sums of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Union

import torch
from torch import Tensor

Time = Union[float, Tensor]
"""A time or a step: a number, a tensor without dimensions (where times carry gradients), or (batch, 1)."""


class Stages:
    """k_1, k_2, ... of one step, as they come.

    Without gradients they are rows of one buffer, so that a sum is one matrix-vector product; with gradients, and under
    the compiler, which fuses sums, they are kept as they came.
    """

    def __init__(self, count: int, y: Tensor, buffer: Tensor | None = None) -> None:
        lean = not (torch.compiler.is_compiling() or (torch.is_grad_enabled() and y.requires_grad))
        self.buffer = (y.new_empty((count, *y.shape)) if buffer is None else buffer) if lean else None
        self.kept: list[Tensor] = []
        self.count = 0

    def put(self, k: Tensor) -> None:
        """The next stage."""
        if self.buffer is not None and k.requires_grad and torch.is_grad_enabled():
            self.kept = [row.clone() for row in self.buffer[: self.count]]
            self.buffer = None
        if self.buffer is not None:
            self.buffer[self.count] = k
        else:
            self.kept.append(k)
        self.count += 1

    def sum(self, y: Tensor, h: Time, weights: Sequence[float]) -> Tensor:
        """y + h sum_i weights_i k_i, over the first stages that there are weights for."""
        if self.buffer is None:
            return _advance(y, h, self.total(weights)) if isinstance(h, Tensor) else self._chain(y, h, weights)
        if isinstance(h, Tensor):
            return _advance(y, h, self.total(weights))
        vector = _vector(tuple(weights), self.buffer.dtype, self.buffer.device)
        matrix = self.buffer[: len(weights)].view(len(weights), -1)
        return torch.addmv(y.reshape(-1), matrix.T, vector, alpha=h).view(y.shape)

    def total(self, weights: Sequence[float]) -> Tensor:
        """sum_i weights_i k_i."""
        if self.buffer is None:
            return self._chain(None, 1.0, weights)
        vector = _vector(tuple(weights), self.buffer.dtype, self.buffer.device)
        return torch.mv(self.buffer[: len(weights)].view(len(weights), -1).T, vector).view(self.buffer.shape[1:])

    def _chain(self, y: Tensor | None, h: float, weights: Sequence[float]) -> Tensor:
        total = y
        for weight, k in zip(weights, self.kept, strict=False):
            if weight:
                total = k * (h * weight) if total is None else torch.add(total, k, alpha=h * weight)
        assert total is not None
        return total

    def rows(self, rows: Tensor | None) -> list[Tensor]:
        """The stages, of some elements (long) or all."""
        stages = self.kept if self.buffer is None else self.buffer[: self.count].unbind(0)
        return [k if rows is None else k[rows] for k in stages]


def _advance(y: Tensor, h: Tensor, total: Tensor) -> Tensor:
    return torch.addcmul(y, total, h.to(y.dtype))


@lru_cache(maxsize=4096)
def _vector(weights: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(weights, dtype=dtype, device=device)
