"""`fourier_layer`: a layer of the Fourier neural operator with a derivative written by hand.

Automatic differentiation would write the field anew for every sum and keep several more. Here the pointwise map and the
inverse transform, and on the way back their transposes, add to what the one before has written; and as the activation
comes first, a layer keeps its argument alone, of which it is computed again.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import gelu, linear

from opnet.core.products import affine, is_eager, product
from opnet.models.blocks.differentiated import differentiated
from opnet.models.blocks.spectral import mix, mix_gradient, mix_transposed
from opnet.spaces.transforms import SpectralTransform


def fourier_layer(
    v: Tensor, spectral: Tensor, weight: Tensor, bias: Tensor, transform: SpectralTransform, *, activate: bool
) -> Tensor:
    """`W w + b + T^-1 (R . T w)` of `w = gelu(v)`, or of `w = v`.

    Args:
        v: (*grid, batch, in).
        spectral: R, (mode, in, out[, part]): see `SpectralConvolution`.
        weight: W, (out, in).
        bias: b, (out,).
        transform: T.
        activate: whether gelu is applied.
    """
    if not is_eager(v, spectral, weight, bias):
        return _plain(v, spectral, weight, bias, transform, activate)
    v, spectral = v.contiguous(), spectral.contiguous()
    if torch.is_grad_enabled() and any(t.requires_grad for t in (v, spectral, weight, bias)):
        found: Any = _Layer.apply(v, spectral, weight, bias, transform, activate)
        return found
    with torch.no_grad():
        return _values(v, spectral, weight, bias, transform, activate)[0]


def _plain(
    v: Tensor, spectral: Tensor, weight: Tensor, bias: Tensor, transform: SpectralTransform, activate: bool
) -> Tensor:
    v = gelu(v) if activate else v
    return transform.inverse(mix(transform.forward(v), spectral), linear(v, weight, bias))


def _values(
    v: Tensor, spectral: Tensor, weight: Tensor, bias: Tensor, transform: SpectralTransform, activate: bool
) -> tuple[Tensor, Tensor]:
    """What `fourier_layer` returns, and the coefficients of w."""
    v = gelu(v) if activate else v
    pointwise = affine(v.view(-1, v.shape[-1]), weight, bias).view(*v.shape[:-1], -1)
    coefficients = transform.forward(v)
    return transform.inverse(mix(coefficients, spectral), pointwise, in_place=True), coefficients


class _Layer(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        v: Tensor,
        spectral: Tensor,
        weight: Tensor,
        bias: Tensor,
        transform: SpectralTransform,
        activate: bool,
    ) -> Tensor:
        values, coefficients = _values(v, spectral, weight, bias, transform, activate)
        ctx.transform, ctx.activate = transform, activate
        ctx.save_for_backward(v, spectral, weight, bias, coefficients)
        return values

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        v, spectral, weight, bias, coefficients = ctx.saved_tensors
        wanted, (gradient,) = ctx.needs_input_grad[:4], gradients
        if torch.is_grad_enabled():  # derivatives of the derivative are wanted
            found = _plain(v, spectral, weight, bias, ctx.transform, ctx.activate)
            return (*differentiated(found, (v, spectral, weight, bias), gradient, wanted), None, None)
        gradient = gradient.contiguous()
        rows, adjoint = gradient.view(-1, gradient.shape[-1]), ctx.transform.adjoint
        of_v = of_spectral = of_weight = of_bias = None
        if wanted[2]:
            of_weight = rows.t() @ (gelu(v) if ctx.activate else v).view(-1, v.shape[-1])
        if wanted[3]:
            of_bias = rows.sum(0)
        if wanted[0] or wanted[1]:
            of_mixed = adjoint.forward(gradient)
            if wanted[1]:
                of_spectral = mix_gradient(coefficients, of_mixed)
            if wanted[0]:
                of_v = product(rows, weight).view(v.shape)
                adjoint.inverse(mix_transposed(of_mixed, spectral), of_v, in_place=True)
                if ctx.activate:
                    torch.ops.aten.gelu_backward.grad_input(of_v, v, grad_input=of_v)
        return of_v, of_spectral, of_weight, of_bias, None, None
