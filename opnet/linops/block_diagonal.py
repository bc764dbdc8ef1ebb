"""`BlockDiagonal`: operators side by side, none of which knows of the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.linops.base import LinearOperator


@register("operator", "BlockDiagonal")
class BlockDiagonal(LinearOperator):
    """`A = diag(A_1, ..., A_k)` on one axis: each operator acts on a stretch of its own.

    Args:
        operators: A_1 ... A_k, on one axis each, without a batch, of one dtype and device.

    Raises:
        ValueError: for no operators, or such as do not fit together.

    >>> from opnet.linops.dense import Dense
    >>> BlockDiagonal([Dense(torch.ones(1, 1)), Dense(2 * torch.ones(2, 2))]) @ torch.tensor([1.0, 2.0, 3.0])
    tensor([ 1., 10., 10.])
    """

    def __init__(self, operators: Sequence[LinearOperator]) -> None:
        operators = tuple(operators)
        if not operators:
            raise ValueError("BlockDiagonal: expected at least one operator, found none")
        first = operators[0]
        for i, A in enumerate(operators):
            if len(A.in_shape) != 1 or len(A.out_shape) != 1 or A.batch_shape:
                raise ValueError(
                    f"BlockDiagonal: expected operators on one axis without a batch, found {A.in_shape} -> "
                    f"{A.out_shape} with batch {A.batch_shape} at {i}"
                )
            if (A.dtype, A.device) != (first.dtype, first.device):
                raise ValueError(
                    f"BlockDiagonal: expected operators of one dtype and device, found {first.dtype} on "
                    f"{first.device}, and {A.dtype} on {A.device} at {i}"
                )
        self.operators = operators
        self.in_shape = (sum(A.in_shape[0] for A in operators),)
        self.out_shape = (sum(A.out_shape[0] for A in operators),)
        self.dtype, self.device = first.dtype, first.device
        self.symmetric = all(A.symmetric for A in operators)

    def apply(self, x: Tensor) -> Tensor:
        self.check_argument(x)
        return torch.cat([A.apply(part) for A, part in zip(self.operators, self._split(x, -1), strict=True)], -1)

    def columns(self, x: Tensor) -> Tensor:
        return torch.cat([A.columns(part) for A, part in zip(self.operators, self._split(x, -2), strict=True)], -2)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return tuple(tensor for A in self.operators for tensor in A.tensors)

    def rebuild(self, tensors: tuple[Tensor, ...]) -> BlockDiagonal:
        rebuilt, start = [], 0
        for A in self.operators:
            count = len(A.tensors)
            rebuilt.append(A.rebuild(tensors[start : start + count]))
            start += count
        return BlockDiagonal(rebuilt)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> BlockDiagonal:
        return self._each(lambda A: A.to(device, dtype))

    def conj(self) -> BlockDiagonal:
        return self._each(lambda A: A.conj())

    def transpose(self) -> BlockDiagonal:
        return self if self.symmetric else self._each(lambda A: A.transpose())

    def scaled(self, left: Tensor, right: Tensor) -> BlockDiagonal:
        lefts = left.split([A.out_shape[0] for A in self.operators])
        parts = zip(self.operators, lefts, self._split(right, -1), strict=True)
        return BlockDiagonal([A.scaled(one, other) for A, one, other in parts])

    def diagonal(self) -> Tensor:
        if any(A.in_shape != A.out_shape for A in self.operators):
            raise ValueError("BlockDiagonal.diagonal: expected square operators, found others")
        return torch.cat([A.diagonal() for A in self.operators])

    def _each(self, change: Callable[[LinearOperator], LinearOperator]) -> BlockDiagonal:
        return BlockDiagonal([change(A) for A in self.operators])

    def _split(self, x: Tensor, dim: int) -> tuple[Tensor, ...]:
        return x.split([A.in_shape[0] for A in self.operators], dim)
