"""`fourier_layer`: a layer of the Fourier neural operator with a derivative written by hand.

Automatic differentiation would write the field anew for every sum and keep several more; here the pointwise map, the
inverse transform and the activation, and on the way back their transposes, each add to or replace what the one before
has written.
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
    """`gelu(W v + b + T^-1 (R . T v))`, or without gelu.

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
        z, _ = _before_activation(v, spectral, weight, bias, transform)
        return torch.ops.aten.gelu_(z) if activate else z


def _plain(
    v: Tensor, spectral: Tensor, weight: Tensor, bias: Tensor, transform: SpectralTransform, activate: bool
) -> Tensor:
    z = transform.inverse(mix(transform.forward(v), spectral), linear(v, weight, bias))
    return gelu(z) if activate else z


def _before_activation(
    v: Tensor, spectral: Tensor, weight: Tensor, bias: Tensor, transform: SpectralTransform
) -> tuple[Tensor, Tensor]:
    """The sum that gelu is applied to, and the coefficients of v."""
    z = affine(v.view(-1, v.shape[-1]), weight, bias)
    coefficients = transform.forward(v)
    return transform.inverse(mix(coefficients, spectral), z.view(*v.shape[:-1], -1), in_place=True), coefficients


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
        z, coefficients = _before_activation(v, spectral, weight, bias, transform)
        ctx.transform, ctx.activate = transform, activate
        ctx.save_for_backward(v, spectral, weight, bias, coefficients, *([z] if activate else []))
        return gelu(z) if activate else z

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        v, spectral, weight, bias, coefficients, *z = ctx.saved_tensors
        wanted, (gradient,) = ctx.needs_input_grad[:4], gradients
        if torch.is_grad_enabled():  # derivatives of the derivative are wanted
            found = _plain(v, spectral, weight, bias, ctx.transform, ctx.activate)
            return (*differentiated(found, (v, spectral, weight, bias), gradient, wanted), None, None)
        gradient = torch.ops.aten.gelu_backward(gradient, z[0]) if ctx.activate else gradient
        gradient = gradient.contiguous()
        rows, adjoint = gradient.view(-1, gradient.shape[-1]), ctx.transform.adjoint
        of_v = of_spectral = of_weight = of_bias = None
        if wanted[0] or wanted[1]:
            of_mixed = adjoint.forward(gradient)
            if wanted[1]:
                of_spectral = mix_gradient(coefficients, of_mixed)
            if wanted[0]:
                of_v = product(rows, weight).view(v.shape)
                of_v = adjoint.inverse(mix_transposed(of_mixed, spectral), of_v, in_place=True)
        if wanted[2]:
            of_weight = rows.t() @ v.view(-1, v.shape[-1])
        if wanted[3]:
            of_bias = rows.sum(0)
        return of_v, of_spectral, of_weight, of_bias, None, None
