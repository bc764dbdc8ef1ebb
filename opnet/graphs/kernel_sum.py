"""`KernelSum`: weighted sums of a graphon over points, without its matrix."""

from __future__ import annotations

from abc import abstractmethod
from typing import TypeVar

import torch
from torch import Tensor

from opnet.linops.base import LinearOperator

Sum = TypeVar("Sum", bound="KernelSum")


class KernelSum(LinearOperator):
    """`y_i = l_i sum_j W(x_i, x_j) w_j g_j` for a symmetric W.

    Subclasses give `sums`, which is all that depends on how W is summed.

    Args:
        x: points in [0, 1], shape (n,).
        weights: w, shape (n,); its dtype is the operator's.
        left: l, shape (n,); 1 by default.
        keep_diagonal: whether j = i counts.

    Raises:
        ValueError: for points and weights that do not fit together, or that are not floating.
    """

    def __init__(self, x: Tensor, weights: Tensor, left: Tensor | None = None, *, keep_diagonal: bool = True) -> None:
        name = type(self).__name__
        if x.ndim != 1 or x.shape != weights.shape:
            raise ValueError(
                f"{name}: expected points and weights (n,), found {tuple(x.shape)}, {tuple(weights.shape)}"
            )
        if not (x.dtype.is_floating_point and weights.dtype.is_floating_point):
            raise ValueError(f"{name}: expected floating points and weights, found {x.dtype} and {weights.dtype}")
        self.x, self.w, self.keep_diagonal = x, weights, keep_diagonal
        self.left = torch.ones_like(weights) if left is None else left
        self.in_shape = self.out_shape = (len(x),)
        self.dtype, self.device = weights.dtype, weights.device

    @abstractmethod
    def sums(self, g: Tensor) -> Tensor:
        """`sum_j W(x_i, x_j) g_j`, j = i among them.  # shape: (*batch, n, k) -> (*batch, n, k)"""

    @abstractmethod
    def values_on_diagonal(self) -> Tensor:
        """W(x_i, x_i), shape (n,)."""

    def apply(self, x: Tensor) -> Tensor:
        self.check_argument(x)
        return self.columns(x.unsqueeze(-1)).squeeze(-1)

    def columns(self, x: Tensor) -> Tensor:
        y = self.left[:, None] * self.sums(self.w[:, None] * x)
        return y if self.keep_diagonal else y - (self.left * self.values_on_diagonal() * self.w)[:, None] * x

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return self.w, self.left  # points are geometry, not values to be learned

    @abstractmethod
    def rebuilt(self: Sum, x: Tensor, weights: Tensor, left: Tensor) -> Sum:
        """The same sums at other points, or with other weights."""

    def rebuild(self: Sum, tensors: tuple[Tensor, ...]) -> Sum:
        return self.rebuilt(self.x, *tensors)

    def to(self: Sum, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Sum:
        return self.rebuilt(*(part.to(device, dtype) for part in (self.x, self.w, self.left)))

    def scaled(self: Sum, left: Tensor, right: Tensor) -> Sum:
        return self.rebuild((self.w * right, self.left * left))

    def transpose(self: Sum) -> Sum:
        return self.rebuild((self.left, self.w))

    def diagonal(self) -> Tensor:
        values = self.values_on_diagonal() if self.keep_diagonal else torch.zeros_like(self.w)
        return self.left * values * self.w
