"""Rows of a batch spread over processes that all hold the whole of it, and collected again, with their gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def spread_rows(function: Callable[[Tensor], Tensor], rows: Tensor, group: Any) -> Tensor:
    """`function(rows)`, every process of the group computing its share of the rows.

    All processes give the same rows and get the whole result, and, when they go on alike, the whole gradient of the
    rows; what `function` holds gets the part of the gradient that comes from the own rows (`sum_over` adds them up).
    """
    world = dist.get_world_size(group)
    missing = -len(rows) % world
    # With fewer rows than processes some compute a copy that counts for nothing, so that all of them communicate.
    padded = torch.cat([rows, rows[:1].expand(missing, *rows.shape[1:])]) if missing else rows
    return _Collect.apply(function(_Take.apply(padded, group)), group)[: len(rows)]


def sum_over(group: Any) -> Callable[[Tensor], Tensor]:
    """A hook for parameters: a gradient -> its sum over the processes of the group."""

    def hook(gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total, group=group)
        return total

    return hook


def _collected(own: Tensor, group: Any) -> Tensor:
    shares = [torch.empty_like(own) for _ in range(dist.get_world_size(group))]
    dist.all_gather(shares, own.contiguous(), group=group)
    return torch.cat(shares)


def _own(rows: Tensor, group: Any) -> Tensor:
    return rows.chunk(dist.get_world_size(group))[dist.get_rank(group)].contiguous()


class _Take(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, group: Any) -> Tensor:
        ctx.group = group
        return _own(rows, group)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _collected(gradients[0], ctx.group), None


class _Collect(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor, group: Any) -> Tensor:
        ctx.group = group
        return _collected(own, group)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _own(gradients[0], ctx.group), None
