"""`LowRank`: a matrix stored as two thin factors and, where wanted, a diagonal."""

from __future__ import annotations

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.linops.base import LinearOperator


@register("operator", "LowRank")
class LowRank(LinearOperator):
    """A = U V^T + diag(d), applied in O((m + n) r) operations.

    Args:
        U: left factor, shape (m, r), of a floating or complex dtype.
        V: right factor, shape (n, r), of U's dtype and device.
        diagonal: d, shape (n,), for a square operator; none by default.

    Raises:
        ValueError: if the factors do not fit together, or for integers.

    >>> A = LowRank(torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [4.0]]), torch.tensor([0.0, 1.0]))
    >>> A.to_dense()
    tensor([[3., 4.],
            [6., 9.]])
    """

    def __init__(self, U: Tensor, V: Tensor, diagonal: Tensor | None = None) -> None:
        if U.ndim != 2 or V.ndim != 2 or U.shape[1] != V.shape[1]:
            raise ValueError(
                f"LowRank: expected factors of shapes (m, r) and (n, r), found {tuple(U.shape)} and {tuple(V.shape)}"
            )
        if not (U.dtype.is_floating_point or U.dtype.is_complex):
            raise ValueError(f"LowRank: expected factors of a floating or complex dtype, found {U.dtype}")
        if U.dtype != V.dtype or (diagonal is not None and diagonal.dtype != U.dtype):
            raise ValueError(f"LowRank: expected factors and diagonal of one dtype, found {U.dtype} and {V.dtype}")
        if diagonal is not None and not U.shape[0] == V.shape[0] == diagonal.numel():
            raise ValueError(
                f"LowRank.diagonal: expected one entry a row of a square operator, found {tuple(diagonal.shape)} for "
                f"{U.shape[0]} x {V.shape[0]}"
            )
        self.U, self.V, self.d = U, V, diagonal
        self.in_shape, self.out_shape = (V.shape[0],), (U.shape[0],)
        self.dtype, self.device = U.dtype, U.device

    @property
    def rank(self) -> int:
        """Columns of the factors: the rank of A - diag(d), or a bound on it."""
        return self.U.shape[1]

    def apply(self, x: Tensor) -> Tensor:
        self.check_argument(x)
        y = (x @ self.V) @ self.U.T
        return y if self.d is None else y + self.d * x

    def columns(self, x: Tensor) -> Tensor:
        # The factors take columns as they come, which saves the base class's transposed copies.
        y = self.U @ (self.V.T @ x)
        return y if self.d is None else y + self.d[:, None] * x

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return (self.U, self.V) if self.d is None else (self.U, self.V, self.d)

    def rebuild(self, tensors: tuple[Tensor, ...]) -> LowRank:
        return LowRank(*tensors)

    def transpose(self) -> LowRank:
        return LowRank(self.V, self.U, self.d)

    def scaled(self, left: Tensor, right: Tensor) -> LowRank:
        d = None if self.d is None else left * self.d * right
        return LowRank(left[:, None] * self.U, right[:, None] * self.V, d)

    def diagonal(self) -> Tensor:
        if self.in_shape != self.out_shape:
            raise ValueError(f"LowRank.diagonal: expected a square operator, found {self.shape[0]} x {self.shape[1]}")
        product = (self.U * self.V).sum(-1)
        return product if self.d is None else product + self.d

    def to_dense(self) -> Tensor:
        matrix = self.U @ self.V.T
        return matrix if self.d is None else matrix + torch.diag(self.d)
