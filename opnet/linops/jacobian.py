"""`Jacobian`: the derivative of a function at a point, applied without being formed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from opnet.core.expect import expect
from opnet.core.registry import register
from opnet.linops.base import LinearOperator
from opnet.linops.function import FunctionOperator


@register("operator", "Jacobian")
class Jacobian(LinearOperator):
    r"""`J v = f'(x) v`, and `J^T w` by reverse differentiation.

    f is evaluated once; J^T w is one backward pass, and J v one through that pass, which is linear in w:

    .. math:: J v = \nabla_w \langle J^T w, v \rangle

    Args:
        f: (x, *tensors) -> a tensor of x's dtype, differentiable, holomorphic if complex.
        x: where; its graph is kept, so that second derivatives reach what x was made of.
        tensors: parameters of f that gradients go to besides x.
        batch_axes: leading dimensions of x that are batch, over which f must act on each element by itself.
        symmetric: say so where J^T = J, as of a gradient.

    Attributes:
        value: f(x).

    Raises:
        ValueError: for a value of another dtype or batch.

    >>> x = torch.tensor([1.0, 2.0])
    >>> Jacobian(lambda x: torch.stack([x[0] * x[1], x[1] ** 2]), x).to_dense()
    tensor([[2., 1.],
            [0., 4.]])
    """

    def __init__(
        self,
        f: Callable[..., Tensor],
        x: Tensor,
        *,
        tensors: Sequence[Tensor] = (),
        batch_axes: int = 0,
        symmetric: bool = False,
    ) -> None:
        expect("Jacobian.x", x, Tensor, "a Tensor")
        self.f, self.batch_axes, self.symmetric = f, batch_axes, symmetric
        self._tensors = (x, *tensors)
        with torch.enable_grad():
            self._x = x if x.requires_grad else x.detach().requires_grad_()
            value = f(self._x, *tensors)
            if value.dtype != x.dtype or value.shape[:batch_axes] != x.shape[:batch_axes]:
                raise ValueError(
                    f"Jacobian.f: expected a value of {x.dtype} and batch {tuple(x.shape[:batch_axes])}, found "
                    f"{tuple(value.shape)} of {value.dtype}"
                )
            self._value, self._w = value, torch.zeros_like(value, requires_grad=True)
            self._pulled = torch.zeros_like(self._x)
            if value.requires_grad:  # else f does not depend on x
                (self._pulled,) = torch.autograd.grad(
                    value, self._x, self._w, create_graph=True, materialize_grads=True
                )
        self.value = value.detach()
        self.batch_shape = tuple(x.shape[:batch_axes])
        self.in_shape, self.out_shape = tuple(x.shape[batch_axes:]), tuple(value.shape[batch_axes:])
        self.dtype, self.device = x.dtype, x.device

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return self._tensors

    def rebuild(self, tensors: tuple[Tensor, ...]) -> Jacobian:
        return Jacobian(self.f, tensors[0], tensors=tensors[1:], batch_axes=self.batch_axes, symmetric=self.symmetric)

    def conj(self) -> LinearOperator:
        return self.transpose().conj().transpose() if self.dtype.is_complex else self

    def apply(self, x: Tensor) -> Tensor:
        self.check_argument(x)
        return self._differentiate(self._pulled, self._w, x)

    def transpose(self) -> LinearOperator:
        if self.symmetric:
            return self
        return FunctionOperator(
            lambda w, *tensors: self._at(tensors)._pull_back(w),
            self.out_shape,
            self.in_shape,
            tensors=self._tensors,
            transpose=lambda v, *tensors: self._at(tensors).apply(v),
            batch_shape=self.batch_shape,
            dtype=self.dtype,
            device=self.device,
        )

    def _at(self, tensors: tuple[Tensor, ...]) -> Jacobian:
        same = all(t is own for t, own in zip(tensors, self._tensors, strict=True))
        return self if same else self.rebuild(tensors)

    def _pull_back(self, w: Tensor) -> Tensor:
        # torch's gradient is J^H applied to the cotangent.
        return self._differentiate(self._value, self._x, w.conj()).conj()

    def _differentiate(self, output: Tensor, variable: Tensor, cotangent: Tensor) -> Tensor:
        """The gradient at one cotangent for every index of the leading dimensions that are not the batch."""
        more = cotangent.shape[: max(0, cotangent.ndim - output.ndim)]
        cotangent = cotangent.expand(*more, *output.shape)
        if not output.requires_grad:
            return variable.new_zeros(*more, *variable.shape)
        differentiable = torch.is_grad_enabled() and any(t.requires_grad for t in (*self._tensors, cotangent))
        (gradient,) = torch.autograd.grad(
            output,
            variable,
            cotangent.reshape(-1, *output.shape) if more else cotangent,
            retain_graph=True,
            create_graph=differentiable,
            is_grads_batched=bool(more),
            materialize_grads=True,
        )
        return gradient.reshape(*more, *variable.shape)
