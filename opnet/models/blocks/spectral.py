"""`SpectralConvolution`: a learned multiplier on the lowest modes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from math import prod

import torch
from torch import Tensor, nn

from opnet.spaces.transforms import SpectralTransform, mode_shape


class SpectralConvolution(nn.Module):
    """`v -> v0 + T^-1 (R . T v)`: channels mixed mode by mode, with T a `SpectralTransform`.

    Fields lie as (*grid, batch, channel): every axis is then transformed by one matrix product without permutation.

    Args:
        width: channels in and out.
        modes: m, for every axis.
        basis: "fourier", "cosine" or "sine".
        symmetric: one weight for all modes that swapping axes exchanges.
        weight: makes the weight when called, such as a `FactorisedWeight`; without it, the weight is a parameter.

    The weight has shape (mode, in, out), and for the Fourier basis (mode, in, out, 2): real and imaginary part.
    """

    weight: Tensor | Callable[[], Tensor]
    orbit: Tensor | None

    def __init__(
        self,
        width: int,
        modes: tuple[int, ...],
        basis: str,
        *,
        symmetric: bool = False,
        weight: Callable[[], Tensor] | None = None,
    ) -> None:
        super().__init__()
        parts = (2,) if basis == "fourier" else ()
        self._shape = (prod(weight_modes(modes, basis, symmetric)), width, width, *parts)
        # Independent weights of this size carry a field's energy in these modes over to the outputs.
        scale = (width * max(1, sum(parts))) ** -0.5
        self.weight = nn.Parameter(scale * torch.randn(self._shape)) if weight is None else weight
        self.register_buffer("orbit", _orbits(mode_shape(modes, basis)) if symmetric else None, persistent=False)

    def dense_weight(self) -> Tensor:
        """# shape: (mode, in, out[, 2])"""
        weight = self.weight if isinstance(self.weight, Tensor) else self.weight().reshape(self._shape)
        return weight if self.orbit is None else weight[self.orbit]

    def forward(self, v: Tensor, transform: SpectralTransform, add_to: Tensor) -> Tensor:
        """# shape: (*grid, batch, channel) -> (*grid, batch, channel)"""
        weight = self.dense_weight()
        coefficients = transform.forward(v)  # (mode, part, batch, channel)
        n_modes, parts, batch, width = coefficients.shape
        if parts == 1:
            mixed = torch.bmm(coefficients[:, 0], weight)
            return transform.inverse(mixed[:, None], add_to)
        # Both parts of the coefficients times both parts of the weight in one product of real matrices.
        weight = weight.movedim(-1, 2).reshape(n_modes, width, 2 * width)
        products = torch.bmm(coefficients.reshape(n_modes, 2 * batch, width), weight)
        real, imaginary = products.reshape(n_modes, 2, batch, 2, width).unbind(1)
        mixed = torch.stack([real[:, :, 0] - imaginary[:, :, 1], real[:, :, 1] + imaginary[:, :, 0]], 1)
        return transform.inverse(mixed, add_to)


def weight_modes(modes: tuple[int, ...], basis: str, symmetric: bool = False) -> tuple[int, ...]:
    """How the modes that have a weight of their own are numbered: axis by axis, or by the orbits of swapped axes.

    >>> weight_modes((4, 4), "fourier"), weight_modes((4, 4), "cosine", symmetric=True)
    ((4, 7), (10,))
    """
    shape = mode_shape(modes, basis)
    return (int(_orbits(shape).max()) + 1,) if symmetric else shape


def _orbits(shape: tuple[int, ...]) -> Tensor:
    """For each mode, the number of its orbit under permutations of the axes."""
    index = torch.arange(torch.Size(shape).numel()).reshape(shape)
    least = torch.stack([index.permute(order) for order in permutations(range(len(shape)))]).amin(0)
    return torch.unique(least.flatten(), return_inverse=True)[1]
