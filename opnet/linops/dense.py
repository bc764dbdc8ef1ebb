"""`Dense`: an operator on one axis, stored as its matrix."""

from __future__ import annotations

from torch import Tensor

from opnet.core.registry import register
from opnet.core.typing import Inexact
from opnet.linops.base import LinearOperator


@register("operator", "Dense")
class Dense(LinearOperator):
    """The matrix A itself, `(A x)_i = sum_j A_ij x_j`.

    Args:
        matrix: (*batch, m, n), of a floating or complex dtype. It is kept, not copied.

    Raises:
        ValueError: for fewer than two dimensions or a dtype that is neither floating nor complex.

    >>> import torch
    >>> A = Dense(torch.tensor([[1.0, 2.0], [0.0, 3.0]]))
    >>> A @ torch.tensor([1.0, 1.0])
    tensor([3., 3.])
    >>> A.diagonal()
    tensor([1., 3.])
    """

    def __init__(self, matrix: Tensor) -> None:
        if matrix.ndim < 2 or not (matrix.dtype.is_floating_point or matrix.dtype.is_complex):
            raise ValueError(
                f"Dense.matrix: expected a floating or complex tensor of shape (..., m, n), found "
                f"{tuple(matrix.shape)} of {matrix.dtype}"
            )
        self.matrix = matrix
        self.out_shape, self.in_shape = (matrix.shape[-2],), (matrix.shape[-1],)
        self.batch_shape = tuple(matrix.shape[:-2])
        self.dtype, self.device = matrix.dtype, matrix.device

    def apply(self, x: Inexact[Tensor, "*batch n"]) -> Inexact[Tensor, "*batch_out m"]:
        self.check_argument(x)
        if self.batch_shape:
            return (self.matrix @ x.unsqueeze(-1)).squeeze(-1)
        return x @ self.matrix.mT  # one matrix product for all vectors

    def columns(self, x: Inexact[Tensor, "*batch n k"]) -> Inexact[Tensor, "*batch_out m k"]:
        return self.matrix @ x

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return (self.matrix,)

    def rebuild(self, tensors: tuple[Tensor, ...]) -> Dense:
        return Dense(*tensors)

    def transpose(self) -> Dense:
        return Dense(self.matrix.mT)

    def scaled(self, left: Tensor, right: Tensor) -> Dense:
        return Dense(left[:, None] * self.matrix * right)

    def diagonal(self) -> Tensor:
        return self.matrix.diagonal(dim1=-2, dim2=-1)

    def to_dense(self) -> Tensor:
        return self.matrix
