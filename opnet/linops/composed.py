"""Operators made of operators: products, sums, scalings; all lazy."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

from opnet.core.expect import expect
from opnet.linops.base import LinearOperator, joint_batch

Pair = TypeVar("Pair", bound="_Pair")


class _Pair(LinearOperator):
    """What products and sums share: two operators of one dtype and device."""

    def __init__(self, left: LinearOperator, right: LinearOperator) -> None:
        if (left.dtype, left.device) != (right.dtype, right.device):
            raise ValueError(
                f"{type(self).__name__}: expected operators of one dtype and device (see LinearOperator.to), found "
                f"{left.dtype} on {left.device} and {right.dtype} on {right.device}"
            )
        self.left, self.right = left, right
        self.in_shape, self.out_shape = right.in_shape, left.out_shape
        self.batch_shape = joint_batch(type(self).__name__, left.batch_shape, right.batch_shape)
        self.dtype, self.device = left.dtype, left.device

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return self.left.tensors + self.right.tensors

    def rebuild(self: Pair, tensors: tuple[Tensor, ...]) -> Pair:
        first = len(self.left.tensors)
        return type(self)(self.left.rebuild(tensors[:first]), self.right.rebuild(tensors[first:]))

    def to(self: Pair, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Pair:
        return type(self)(self.left.to(device, dtype), self.right.to(device, dtype))

    def conj(self: Pair) -> Pair:
        return type(self)(self.left.conj(), self.right.conj())


class Product(_Pair):
    """A B, applied right to left.

    Raises:
        ValueError: unless B gives what A takes, in one dtype and on one device.
    """

    def __init__(self, left: LinearOperator, right: LinearOperator) -> None:
        if left.in_shape != right.out_shape:
            raise ValueError(f"A @ B: expected B to give shape {left.in_shape}, which A takes, found {right.out_shape}")
        super().__init__(left, right)

    def apply(self, x: Tensor) -> Tensor:
        return self.left.apply(self.right.apply(x))

    def columns(self, x: Tensor) -> Tensor:
        return self.left.columns(self.right.columns(x))

    def transpose(self) -> Product:
        return Product(self.right.transpose(), self.left.transpose())


class Sum(_Pair):
    """A + B.

    Raises:
        ValueError: unless both have the same shapes, dtype and device.
    """

    def __init__(self, left: LinearOperator, right: LinearOperator) -> None:
        if (left.in_shape, left.out_shape) != (right.in_shape, right.out_shape):
            raise ValueError(
                f"A + B: expected equal shapes, found {left.in_shape} -> {left.out_shape} and "
                f"{right.in_shape} -> {right.out_shape}"
            )
        super().__init__(left, right)
        self.symmetric = left.symmetric and right.symmetric

    def apply(self, x: Tensor) -> Tensor:
        return self.left.apply(x) + self.right.apply(x)

    def columns(self, x: Tensor) -> Tensor:
        return self.left.columns(x) + self.right.columns(x)

    def scaled(self, left: Tensor, right: Tensor) -> Sum:
        return Sum(self.left.scaled(left, right), self.right.scaled(left, right))

    def transpose(self) -> LinearOperator:
        return self if self.symmetric else Sum(self.left.transpose(), self.right.transpose())

    def diagonal(self) -> Tensor:
        return self.left.diagonal() + self.right.diagonal()


class Scaled(LinearOperator):
    """c A for a number c, or one a batch element.

    Args:
        operator: A. A complex c makes a real A complex.
        factor: a number, or a floating or complex tensor that broadcasts with A's batch, of A's precision.

    Raises:
        ValueError: for a tensor of another dtype or a batch that does not fit.
    """

    def __init__(self, operator: LinearOperator, factor: complex | Tensor) -> None:
        expect("Scaled.factor", factor, (int, float, complex, Tensor), "a number or a Tensor")
        is_complex = factor.is_complex() if isinstance(factor, Tensor) else isinstance(factor, complex)
        if is_complex and not operator.dtype.is_complex:
            operator = operator.to(dtype=operator.dtype.to_complex())
        if isinstance(factor, Tensor) and factor.dtype not in (operator.dtype, operator.dtype.to_real()):
            raise ValueError(f"Scaled.factor: expected a tensor of {operator.dtype}, found {factor.dtype}")
        self.operator, self.factor = operator, factor
        self.in_shape, self.out_shape = operator.in_shape, operator.out_shape
        self.batch_shape = operator.batch_shape
        if isinstance(factor, Tensor):
            self.batch_shape = joint_batch("Scaled", operator.batch_shape, factor.shape)
        self.dtype, self.device = operator.dtype, operator.device
        self.symmetric = operator.symmetric

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        own = (self.factor,) if isinstance(self.factor, Tensor) else ()
        return own + self.operator.tensors

    def rebuild(self, tensors: tuple[Tensor, ...]) -> Scaled:
        own = isinstance(self.factor, Tensor)
        return Scaled(self.operator.rebuild(tensors[own:]), tensors[0] if own else self.factor)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Scaled:
        operator, factor = self.operator.to(device, dtype), self.factor
        if isinstance(factor, Tensor):
            factor = factor.to(device, operator.dtype if factor.is_complex() else operator.dtype.to_real())
        return Scaled(operator, factor)

    def conj(self) -> Scaled:
        factor = self.factor.conj().resolve_conj() if isinstance(self.factor, Tensor) else self.factor.conjugate()
        return Scaled(self.operator.conj(), factor)

    def apply(self, x: Tensor) -> Tensor:
        return self.times(self.operator.apply(x), len(self.out_shape))

    def transpose(self) -> Scaled:
        return self if self.symmetric else Scaled(self.operator.transpose(), self.factor)

    def nullspace(self) -> Tensor | None:
        return self.operator.nullspace()

    def diagonal(self) -> Tensor:
        return self.times(self.operator.diagonal(), len(self.in_shape))

    def times(self, y: Tensor, dims: int) -> Tensor:
        """The factor times y, whose last `dims` dimensions are not batch."""
        factor = self.factor
        return (factor.reshape(*factor.shape, *(1,) * dims) if isinstance(factor, Tensor) else factor) * y
