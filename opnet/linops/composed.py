"""Operators made of operators: products, sums, scalings; all lazy."""

from __future__ import annotations

import torch
from torch import Tensor

from opnet.linops.base import LinearOperator


class Product(LinearOperator):
    """A B, applied right to left."""

    def __init__(self, left: LinearOperator, right: LinearOperator) -> None:
        if left.in_shape != right.out_shape:
            raise ValueError(f"A @ B: expected B to give shape {left.in_shape}, which A takes, found {right.out_shape}")
        self.left, self.right = left, right
        self.in_shape, self.out_shape = right.in_shape, left.out_shape
        self.batch_shape = torch.broadcast_shapes(left.batch_shape, right.batch_shape)
        self.dtype, self.device = left.dtype, left.device

    def apply(self, x: Tensor) -> Tensor:
        return self.left.apply(self.right.apply(x))

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> LinearOperator:
        return Product(self.left.to(device, dtype), self.right.to(device, dtype))

    def transpose(self) -> LinearOperator:
        return Product(self.right.transpose(), self.left.transpose())


class Sum(LinearOperator):
    """A + B."""

    def __init__(self, left: LinearOperator, right: LinearOperator) -> None:
        if (left.in_shape, left.out_shape) != (right.in_shape, right.out_shape):
            raise ValueError(
                f"A + B: expected equal shapes, found {left.in_shape} -> {left.out_shape} and "
                f"{right.in_shape} -> {right.out_shape}"
            )
        self.left, self.right = left, right
        self.in_shape, self.out_shape = left.in_shape, left.out_shape
        self.batch_shape = torch.broadcast_shapes(left.batch_shape, right.batch_shape)
        self.dtype, self.device = left.dtype, left.device

    def apply(self, x: Tensor) -> Tensor:
        return self.left.apply(x) + self.right.apply(x)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> LinearOperator:
        return Sum(self.left.to(device, dtype), self.right.to(device, dtype))

    def transpose(self) -> LinearOperator:
        return Sum(self.left.transpose(), self.right.transpose())

    def diagonal(self) -> Tensor:
        return self.left.diagonal() + self.right.diagonal()


class Scaled(LinearOperator):
    """c A for a number c."""

    def __init__(self, operator: LinearOperator, factor: float) -> None:
        self.operator, self.factor = operator, factor
        self.in_shape, self.out_shape = operator.in_shape, operator.out_shape
        self.batch_shape = operator.batch_shape
        self.dtype, self.device = operator.dtype, operator.device

    def apply(self, x: Tensor) -> Tensor:
        return self.factor * self.operator.apply(x)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> LinearOperator:
        return Scaled(self.operator.to(device, dtype), self.factor)

    def transpose(self) -> LinearOperator:
        return Scaled(self.operator.transpose(), self.factor)

    def diagonal(self) -> Tensor:
        return self.factor * self.operator.diagonal()
