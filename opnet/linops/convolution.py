"""`Convolution`: sliding sums with a kernel, on axes that end or wrap."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from opnet.core.expect import expect, integers
from opnet.core.registry import register
from opnet.linops.base import LinearOperator
from opnet.linops.spectral import filtered


@register("operator", "Convolution")
class Convolution(LinearOperator):
    r"""`(A x)_p = \sum_j k_j x_{p-j}` with a centred kernel, by fast Fourier transforms.

    Values beyond the end of an axis are zero, or on a periodic axis those of the other end; a kernel may be longer than
    the axis. The transpose is correlation, the convolution with the reflected kernel.

    Args:
        kernel: k, of odd length 2 r + 1 on every axis, j = -r ... r; (*batch, *lengths).
        shape: of the argument; the kernel's last dimensions are its axes.
        periodic: whether axes wrap, one answer or one an axis.

    Raises:
        ValueError: for a kernel of an even length, of fewer dimensions than the argument, or of an integer dtype.

    >>> A = Convolution(torch.tensor([1.0, 2.0, 3.0]), (4,))
    >>> (A @ torch.tensor([0.0, 1.0, 0.0, 0.0])).round().abs()
    tensor([1., 2., 3., 0.])
    """

    def __init__(self, kernel: Tensor, shape: tuple[int, ...], periodic: bool | Sequence[bool] = False) -> None:
        expect("Convolution.kernel", kernel, Tensor, "a Tensor")
        shape = integers("Convolution.shape", shape, "integers, one an axis, such as (64, 64)")
        d = len(shape)
        lengths = tuple(kernel.shape[kernel.ndim - d :])
        inexact = kernel.dtype.is_floating_point or kernel.dtype.is_complex
        if not inexact or kernel.ndim < d or any(length % 2 == 0 for length in lengths):
            raise ValueError(
                f"Convolution.kernel: expected a floating or complex tensor of odd length on each of {d} axes, found "
                f"{tuple(kernel.shape)} of {kernel.dtype}"
            )
        periodic = (periodic,) * d if isinstance(periodic, bool) else tuple(bool(wraps) for wraps in periodic)
        if len(periodic) != d:
            raise ValueError(f"Convolution.periodic: expected one answer or {d}, found {len(periodic)}")
        self.kernel, self.periodic = kernel, periodic
        self.in_shape = self.out_shape = shape
        self.batch_shape = tuple(kernel.shape[: kernel.ndim - d])
        self.dtype, self.device = kernel.dtype, kernel.device
        # r zeros keep what wraps around the transform away from the values.
        self._lengths = tuple(
            n if wraps else n + length // 2 for n, length, wraps in zip(shape, lengths, periodic, strict=True)
        )
        dims = tuple(range(-d, 0))
        self._response = _around(kernel, self._lengths)
        transform = torch.fft.fftn if kernel.is_complex() else torch.fft.rfftn
        self._m = transform(self._response, dim=dims)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return (self.kernel,)

    def rebuild(self, tensors: tuple[Tensor, ...]) -> Convolution:
        return Convolution(tensors[0], self.in_shape, self.periodic)

    def apply(self, x: Tensor) -> Tensor:
        self.check_argument(x)
        return filtered(x, self._m, self._lengths)

    def transpose(self) -> Convolution:
        return self.rebuild((self.kernel.flip(tuple(range(-len(self.in_shape), 0))),))

    def diagonal(self) -> Tensor:
        """The kernel's centre, and on periodic axes what a longer kernel brings around to it."""
        d = len(self.in_shape)
        first = self._response.flatten(-d)[..., 0]
        return first.reshape(*self.batch_shape, *(1,) * d).expand(*self.batch_shape, *self.in_shape)


def _around(kernel: Tensor, lengths: tuple[int, ...]) -> Tensor:
    """The kernel on axes of the given lengths with its centre at 0, the parts that meet added up."""
    for axis, n in enumerate(lengths):
        dim = axis - len(lengths)
        length = kernel.shape[dim]
        place = (torch.arange(length, device=kernel.device) - length // 2) % n
        shape = list(kernel.shape)
        shape[dim] = n
        kernel = kernel.new_zeros(shape).index_add(dim, place, kernel)
    return kernel
