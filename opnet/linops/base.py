"""`LinearOperator`: a linear map that is applied, not stored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import prod
from typing import TypeVar

import torch
from torch import Tensor

from opnet.core.expect import expect

Operator = TypeVar("Operator", bound="LinearOperator")


class LinearOperator(ABC):
    """A linear map between tensors whose trailing dimensions are `in_shape` and `out_shape`.

    Leading dimensions are batch and broadcast against the operator's own `batch_shape`. Operators compose lazily:
    `A @ B`, `A + B`, `A - B`, `2 * A`; `A @ x` applies. Subclasses give `in_shape`, `out_shape`, `batch_shape`,
    `dtype`, `device`, `apply`, `transpose`, `tensors` and `rebuild`.

    Attributes:
        symmetric: whether A^T = A is known by construction (False where it is not known).
        self_contained: whether `tensors` are known to be all that A depends on.
    """

    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    batch_shape: tuple[int, ...] = ()
    dtype: torch.dtype
    device: torch.device
    symmetric: bool = False
    self_contained: bool = False

    @property
    @abstractmethod
    def tensors(self) -> tuple[Tensor, ...]:
        """The floating or complex tensors that A depends on: what gradients of a solve go to."""

    @abstractmethod
    def rebuild(self: Operator, tensors: tuple[Tensor, ...]) -> Operator:
        """The same operator made of other tensors, in the order of `tensors`; values are not checked again."""

    @abstractmethod
    def apply(self, x: Tensor) -> Tensor:
        """A x.  # shape: (*batch, *in_shape) -> (*batch, *out_shape)"""

    @abstractmethod
    def transpose(self) -> LinearOperator:
        """The operator A^T with <A x, y> = <x, A^T y> in the plain dot product."""

    def to(self: Operator, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Operator:
        """The same operator on another device or in another floating or complex dtype; None leaves either as it is.

        An operator that holds index tensors moves them too, by its own `to`.

        Raises:
            ValueError: for a real dtype asked of a complex operator.
        """
        if dtype is not None and self.dtype.is_complex and not dtype.is_complex:
            raise ValueError(
                f"{type(self).__name__}.to: expected a complex dtype for a complex operator, found {dtype}"
            )
        return self.rebuild(tuple(t.to(device, dtype) for t in self.tensors))

    def conj(self) -> LinearOperator:
        """The complex conjugate; A itself if it is real."""
        return self.rebuild(tuple(t.conj().resolve_conj() for t in self.tensors)) if self.dtype.is_complex else self

    def adjoint(self) -> LinearOperator:
        """The operator A^H = conj(A^T), with <A x, y> = <x, A^H y> in the complex inner product."""
        return self.transpose().conj()

    @property
    def hermitian(self) -> bool:
        """Whether A^H = A is known by construction."""
        return self.symmetric and not self.dtype.is_complex

    def nullspace(self) -> Tensor | None:
        """A basis of the kernel that A and A^H are known to share; None if there is none, or none is known.

        # shape: (k, *in_shape)
        """
        return None

    def norm_bound(self) -> Tensor | None:
        """A lower bound of ||A||_2 that is cheap and not far below it; None if none is known.  # shape: batch_shape"""
        return None

    def diagonal(self) -> Tensor:
        """The diagonal of a square operator.  # shape: (*batch_shape, *in_shape)"""
        raise NotImplementedError(f"{type(self).__name__} does not know its diagonal")

    def columns(self, x: Tensor) -> Tensor:
        """A applied to every column of `x`, for operators on one axis.  # shape: (*batch, n, k) -> (*batch, m, k)"""
        assert len(self.in_shape) == len(self.out_shape) == 1, "columns() needs an operator on one axis"
        return self.apply(x.movedim(-1, 0)).movedim(0, -1)  # in front, where no operator's batch is

    def scaled(self, left: Tensor, right: Tensor) -> LinearOperator:
        """diag(left) A diag(right) for an operator on one axis, in A's own form where that has room for it.

        # shape: (m,), (n,)
        """
        from opnet.linops.composed import Product
        from opnet.linops.diagonal import Diagonal

        return Product(Diagonal(left), Product(self, Diagonal(right)))

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of the matrix that each batch element would be."""
        return prod(self.out_shape), prod(self.in_shape)

    @property
    def T(self) -> LinearOperator:
        """The transpose."""
        return self.transpose()

    @property
    def H(self) -> LinearOperator:
        """The adjoint."""
        return self.adjoint()

    def to_dense(self) -> Tensor:
        """The matrix, column by column; for tests and small operators.  # shape: (*batch_shape, rows, columns)"""
        rows, columns = self.shape
        basis = torch.eye(columns, dtype=self.dtype, device=self.device)
        basis = basis.reshape(columns, *(1,) * len(self.batch_shape), *self.in_shape)
        image = self.apply(basis.expand(columns, *self.batch_shape, *self.in_shape))
        return image.reshape(columns, *self.batch_shape, rows).movedim(0, -1)

    def check_argument(self, x: Tensor) -> None:
        """Raise a `ValueError` unless the trailing dimensions of `x` are `in_shape` and its dtype the operator's."""
        k = len(self.in_shape)
        if tuple(x.shape[x.ndim - k :]) != self.in_shape or x.ndim < k:
            raise ValueError(
                f"{type(self).__name__}: expected an argument of shape (..., {', '.join(map(str, self.in_shape))}), "
                f"found {tuple(x.shape)}"
            )
        if x.dtype != self.dtype:
            raise ValueError(f"{type(self).__name__}: expected an argument of {self.dtype}, found {x.dtype}")

    def __matmul__(self, other):  # type: ignore[no-untyped-def]
        from opnet.linops.composed import Product

        return Product(self, other) if isinstance(other, LinearOperator) else self.apply(other)

    def __add__(self, other: LinearOperator) -> LinearOperator:
        from opnet.linops.composed import Sum

        expect("A + B", other, LinearOperator, "a LinearOperator such as Identity(shape)")
        return Sum(self, other)

    def __sub__(self, other: LinearOperator) -> LinearOperator:
        return self + -other

    def __neg__(self) -> LinearOperator:
        return self * -1.0

    def __mul__(self, factor: complex | Tensor) -> LinearOperator:
        from opnet.linops.composed import Scaled

        return Scaled(self, factor)

    __rmul__ = __mul__


def joint_batch(name: str, *shapes: Sequence[int]) -> tuple[int, ...]:
    """What batches broadcast to; a `ValueError` if they do not.

    >>> joint_batch("A + B", (3, 1), (2,))
    (3, 2)
    """
    try:
        return tuple(torch.broadcast_shapes(*shapes))
    except RuntimeError as error:
        found = ", ".join(str(tuple(shape)) for shape in shapes)
        raise ValueError(f"{name}: expected batches that broadcast, found {found}") from error
