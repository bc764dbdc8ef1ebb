"""`FunctionOperator`: any linear function as an operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.linops.base import LinearOperator


@register("operator", "FunctionOperator")
class FunctionOperator(LinearOperator):
    """`A x = f(x, *tensors)` for a function f that is linear in x; its transpose is found by differentiating f.

    Args:
        f: takes x of shape (*batch, *in_shape) with any leading batch, each element by itself, and then `tensors`.
        in_shape: of the argument, without batch.
        out_shape: of the value; `in_shape` by default.
        tensors: what A depends on and gradients go to; constants may be in f itself.
        transpose: the function (y, *tensors) -> A^T y, where it is known.
        symmetric: say so where A^T = A.
        batch_shape: where `tensors` make f many operators at once, how many.
        dtype, device: of the argument; those of the first of `tensors` by default, or float64 on the CPU.

    Raises:
        ValueError: on applying, for values of another shape than `out_shape`.

    >>> total = FunctionOperator(lambda x: x.cumsum(-1), (3,))
    >>> total.T.to_dense()
    tensor([[1., 1., 1.],
            [0., 1., 1.],
            [0., 0., 1.]], dtype=torch.float64)
    """

    def __init__(
        self,
        f: Callable[..., Tensor],
        in_shape: Sequence[int],
        out_shape: Sequence[int] | None = None,
        *,
        tensors: Sequence[Tensor] = (),
        transpose: Callable[..., Tensor] | None = None,
        symmetric: bool = False,
        batch_shape: Sequence[int] = (),
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        self.f, self.f_transposed, self.symmetric = f, transpose, symmetric
        self._tensors = tuple(tensors)
        self.in_shape = tuple(in_shape)
        self.out_shape = self.in_shape if out_shape is None else tuple(out_shape)
        self.batch_shape = tuple(batch_shape)
        first = self._tensors[0] if tensors else torch.empty(0, dtype=torch.float64)
        self.dtype = dtype or first.dtype
        self.device = first.device if device is None else torch.empty(0, device=device).device
        if symmetric and self.in_shape != self.out_shape:
            raise ValueError(
                f"FunctionOperator: expected equal shapes of a symmetric operator, found {self.in_shape} -> "
                f"{self.out_shape}"
            )

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return self._tensors

    def rebuild(self, tensors: tuple[Tensor, ...]) -> FunctionOperator:
        return self._of(self.f, self.f_transposed, tensors)

    def _of(
        self, f: Callable[..., Tensor], transpose: Callable[..., Tensor] | None, tensors: tuple[Tensor, ...]
    ) -> FunctionOperator:
        return FunctionOperator(
            f,
            self.in_shape,
            self.out_shape,
            tensors=tensors,
            transpose=transpose,
            symmetric=self.symmetric,
            batch_shape=self.batch_shape,
            dtype=self.dtype,
            device=self.device,
        )

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> FunctionOperator:
        """The same function of moved tensors; constants inside f stay where they are."""
        moved = super().to(device, dtype)
        moved.dtype = dtype or self.dtype
        moved.device = self.device if device is None else torch.empty(0, device=device).device
        return moved

    def conj(self) -> FunctionOperator:
        if not self.dtype.is_complex:
            return self
        transpose = None if self.f_transposed is None else _conjugated(self.f_transposed)
        return self._of(_conjugated(self.f), transpose, self._tensors)

    def apply(self, x: Tensor) -> Tensor:
        self.check_argument(x)
        y = self.f(x, *self._tensors)
        batch = torch.broadcast_shapes(self.batch_shape, x.shape[: x.ndim - len(self.in_shape)])
        if y.shape != (*batch, *self.out_shape):
            raise ValueError(
                f"FunctionOperator.f: expected values of shape {(*batch, *self.out_shape)} for an argument of "
                f"{tuple(x.shape)}, found {tuple(y.shape)}"
            )
        return y

    def transpose(self) -> FunctionOperator:
        if self.symmetric:
            return self
        return FunctionOperator(
            self.f_transposed or self._pull_back,
            self.out_shape,
            self.in_shape,
            tensors=self._tensors,
            transpose=self.f,
            batch_shape=self.batch_shape,
            dtype=self.dtype,
            device=self.device,
        )

    def _pull_back(self, y: Tensor, *tensors: Tensor) -> Tensor:
        """A^T y; since A is linear its derivative is the same at every x."""
        batch = torch.broadcast_shapes(self.batch_shape, y.shape[: y.ndim - len(self.out_shape)])
        x = torch.zeros(*batch, *self.in_shape, dtype=self.dtype, device=self.device, requires_grad=True)
        differentiable = torch.is_grad_enabled()
        with torch.enable_grad():
            image = self.f(x, *tensors)
        if not image.requires_grad:  # f does not depend on x, so it is zero
            return x.detach()
        # torch's gradient is A^H applied to the cotangent.
        (gradient,) = torch.autograd.grad(
            image, x, y.conj().expand_as(image), create_graph=differentiable, materialize_grads=True
        )
        return gradient.conj()


def _conjugated(f: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def conjugate(x: Tensor, *tensors: Tensor) -> Tensor:
        return f(x.conj().resolve_conj(), *tensors).conj().resolve_conj()

    return conjugate
