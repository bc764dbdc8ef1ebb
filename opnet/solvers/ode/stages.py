"""`Stages`: the stage derivatives of one step, and weighted sums of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

Time = float | Tensor
"""A time or a step: a number, a tensor without dimensions (where times carry gradients), or (batch, 1)."""


class Buffer:
    """Memory for the stages of a step, with all views of it: making one would take as long as a small sum."""

    def __init__(self, count: int, y: Tensor) -> None:
        self.memory = y.new_empty((count, *y.shape))
        self.stages = self.memory.unbind(0)
        flat = self.memory.view(count, -1)
        self.first = [flat[:i].T for i in range(count + 1)]  # (entries, i): the first i stages as columns

    def fits(self, count: int, y: Tensor) -> bool:
        return len(self.stages) == count and self.memory.shape[1:] == y.shape


class Stages:
    """k_1, k_2, ... of one step, as they come.

    Without gradients they are rows of one buffer, so that a sum is one matrix-vector product; with gradients, and under
    the compiler, which fuses sums, they are kept as they came.
    """

    def __init__(self, buffer: Buffer | None) -> None:
        self.buffer = buffer
        self.kept: list[Tensor] = []
        self.count = 0

    def put(self, k: Tensor) -> None:
        """The next stage."""
        if self.buffer is not None and k.requires_grad and torch.is_grad_enabled():
            self.kept = [row.clone() for row in self.buffer.stages[: self.count]]
            self.buffer = None
        if self.buffer is not None:
            self.buffer.stages[self.count].copy_(k)
        else:
            self.kept.append(k)
        self.count += 1

    def sum(self, y: Tensor, h: Time, weights: Sequence[float]) -> Tensor:
        """y + h sum_i weights_i k_i, over the first stages that there are weights for."""
        if isinstance(h, Tensor):
            return torch.addcmul(y, self.total(weights), h.to(y.dtype))
        if self.buffer is None:
            return self._chain(y, h, weights)
        vector = _vector(tuple(weights), y.dtype, y.device)
        return torch.addmv(y.reshape(-1), self.buffer.first[len(weights)], vector, alpha=h).view(y.shape)

    def total(self, weights: Sequence[float]) -> Tensor:
        """sum_i weights_i k_i."""
        if self.buffer is None:
            return self._chain(None, 1.0, weights)
        memory = self.buffer.memory
        vector = _vector(tuple(weights), memory.dtype, memory.device)
        return torch.mv(self.buffer.first[len(weights)], vector).view(memory.shape[1:])

    def totals(self, weights: Sequence[Sequence[float]], rows: Tensor | None = None) -> Sequence[Tensor]:
        """Several sums at once over the first stages, of some elements (long) or all."""
        count = len(weights[0])
        if self.buffer is None:
            sums = (self.total(row) if any(row) else torch.zeros_like(self.kept[0]) for row in weights)
            return [taken(x, rows) for x in sums]
        memory = self.buffer.memory[:count]
        memory = memory if rows is None else memory[:, rows]
        matrix = _matrix(tuple(map(tuple, weights)), memory.dtype, memory.device)
        return torch.mm(matrix, memory.reshape(count, -1)).view(len(weights), *memory.shape[1:]).unbind(0)

    def _chain(self, y: Tensor | None, h: float, weights: Sequence[float]) -> Tensor:
        total = y
        apart = torch.compiler.is_compiling()  # inductor makes an addmm of `add(a, mm(b, c), alpha=d)` and loses d
        for weight, k in zip(weights, self.kept, strict=False):
            if not weight:
                continue
            if total is None:
                total = k * (h * weight)
            else:
                total = total + k * (h * weight) if apart else torch.add(total, k, alpha=h * weight)
        assert total is not None
        return total

    def rows(self, rows: Tensor | None) -> list[Tensor]:
        """The stages, of some elements (long) or all."""
        stages = self.kept if self.buffer is None else self.buffer.stages[: self.count]
        return [k if rows is None else k[rows] for k in stages]


def later(t: Time, h: Time, c: float) -> Time:
    """t + c h."""
    return torch.add(t, h, alpha=c) if isinstance(t, Tensor) and isinstance(h, Tensor) else t + c * h


def taken(x: Any, rows: Tensor | None) -> Any:
    """x of some elements (long), or of all; what all have in common stays."""
    return x[rows] if rows is not None and isinstance(x, Tensor) and x.ndim else x


@lru_cache(maxsize=4096)
def _vector(weights: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(weights, dtype=dtype, device=device)


@lru_cache(maxsize=1024)
def _matrix(weights: tuple[tuple[float, ...], ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(weights, dtype=dtype, device=device)
