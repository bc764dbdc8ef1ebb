"""`Diagonal` and `Identity`: operators that act on every entry by itself."""

from __future__ import annotations

import torch
from torch import Tensor

from opnet.core.expect import expect, integers
from opnet.core.registry import register
from opnet.linops.base import LinearOperator


@register("operator", "Diagonal")
class Diagonal(LinearOperator):
    """`(A x)_i = d_i x_i`, for entries i of any number of axes.

    Args:
        d: (*batch, *shape), of a floating or complex dtype.
        axes: how many trailing dimensions of `d` are axes of the argument; the others are batch.

    Raises:
        ValueError: for another dtype, or more axes than `d` has.

    >>> Diagonal(torch.tensor([1.0, 2.0])) @ torch.tensor([3.0, 4.0])
    tensor([3., 8.])
    """

    symmetric = True

    def __init__(self, d: Tensor, axes: int = 1) -> None:
        expect("Diagonal.d", d, Tensor, "a Tensor")
        if not (d.dtype.is_floating_point or d.dtype.is_complex) or not 1 <= axes <= d.ndim:
            raise ValueError(
                f"Diagonal.d: expected a floating or complex tensor of at least {max(axes, 1)} dimensions, found "
                f"{tuple(d.shape)} of {d.dtype}"
            )
        self.d, self.axes = d, axes
        self.in_shape = self.out_shape = tuple(d.shape[d.ndim - axes :])
        self.batch_shape = tuple(d.shape[: d.ndim - axes])
        self.dtype, self.device = d.dtype, d.device

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return (self.d,)

    def rebuild(self, tensors: tuple[Tensor, ...]) -> Diagonal:
        return Diagonal(tensors[0], self.axes)

    def apply(self, x: Tensor) -> Tensor:
        self.check_argument(x)
        return self.d * x

    def transpose(self) -> Diagonal:
        return self

    def columns(self, x: Tensor) -> Tensor:
        return self.d.unsqueeze(-1) * x

    def scaled(self, left: Tensor, right: Tensor) -> Diagonal:
        return Diagonal(left * self.d * right, self.axes)

    def inverse(self) -> Diagonal:
        """The operator of 1 / d."""
        return Diagonal(1 / self.d, self.axes)

    def diagonal(self) -> Tensor:
        return self.d


@register("operator", "Identity")
class Identity(LinearOperator):
    """`A x = x`.

    Args:
        shape: of the argument.
        dtype, device: of the arguments it takes.

    Raises:
        ValueError: for a shape of other than integers, or a dtype that is neither floating nor complex.

    >>> (2 * Identity(3)).diagonal()
    tensor([2., 2., 2.], dtype=torch.float64)
    """

    symmetric = True

    def __init__(
        self, shape: int | tuple[int, ...], dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu"
    ) -> None:
        if not (dtype.is_floating_point or dtype.is_complex):
            raise ValueError(f"Identity.dtype: expected a floating or complex dtype, found {dtype}")
        shape = (shape,) if isinstance(shape, int) else shape
        self.in_shape = self.out_shape = integers("Identity.shape", shape, "integers, one an axis, such as (64, 64)")
        self.dtype, self.device = dtype, torch.empty(0, device=device).device  # "cuda" becomes "cuda:0"

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return ()

    def rebuild(self, tensors: tuple[Tensor, ...]) -> Identity:
        assert not tensors, "an identity has no tensors"
        return self

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Identity:
        return Identity(self.in_shape, dtype or self.dtype, self.device if device is None else device)

    def apply(self, x: Tensor) -> Tensor:
        self.check_argument(x)
        return x.clone()  # not x itself: a caller may change what it got

    def columns(self, x: Tensor) -> Tensor:
        return x.clone()

    def scaled(self, left: Tensor, right: Tensor) -> Diagonal:
        return Diagonal(left * right)

    def transpose(self) -> Identity:
        return self

    def diagonal(self) -> Tensor:
        return torch.ones(self.in_shape, dtype=self.dtype, device=self.device)
