"""`TiledSum`: sums of any kernel without its matrix."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.graphs.kernel_sum import KernelSum

TILE = 2**21
"""Entries of the kernel held at once."""


@register("operator", "TiledSum")
class TiledSum(KernelSum):
    """`y_i = l_i sum_j W(x_i, x_j) w_j g_j`, the kernel evaluated anew, some rows at a time, for every product.

    O(n^2) operations and O(n) memory, backwards too: for some 10^5 points.

    Args:
        kernel: W, symmetric, elementwise.
        x, weights, left, keep_diagonal: as for `KernelSum`.

    >>> x = torch.tensor([0.0, 0.5], dtype=torch.float64)
    >>> TiledSum(lambda x, y: torch.exp(-x * y), x, torch.ones(2, dtype=torch.float64)).to_dense()
    tensor([[1.0000, 1.0000],
            [1.0000, 0.7788]], dtype=torch.float64)
    """

    def __init__(
        self,
        kernel: Callable[[Tensor, Tensor], Tensor],
        x: Tensor,
        weights: Tensor,
        left: Tensor | None = None,
        *,
        keep_diagonal: bool = True,
    ) -> None:
        super().__init__(x, weights, left, keep_diagonal=keep_diagonal)
        self.kernel = kernel

    def rebuilt(self, x: Tensor, weights: Tensor, left: Tensor) -> TiledSum:
        return TiledSum(self.kernel, x, weights, left, keep_diagonal=self.keep_diagonal)

    def sums(self, g: Tensor) -> Tensor:
        return _Sums.apply(g, self.kernel, self.x)

    def values_on_diagonal(self) -> Tensor:
        return self.kernel(self.x, self.x).to(self.dtype)


class _Sums(torch.autograd.Function):
    """Products whose gradients are products again: autograd alone would keep every tile."""

    @staticmethod
    def forward(context: Any, g: Tensor, kernel: Callable[[Tensor, Tensor], Tensor], x: Tensor) -> Tensor:
        context.kernel, context.x = kernel, x
        parts = [kernel(x[rows, None], x[None, :]).to(g.dtype) @ g for rows in _tiles(len(x))]
        return torch.cat(parts, -2)

    @staticmethod
    def backward(context: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return _Sums.apply(grads[0], context.kernel, context.x), None, None


def _tiles(n: int) -> Iterator[slice]:
    rows = max(1, TILE // n)
    return (slice(first, first + rows) for first in range(0, n, rows))
