"""`SpectralConvolution`: a learned multiplier on the lowest modes."""

from __future__ import annotations

from itertools import permutations

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

    The weight has shape (mode, in, out), and for the Fourier basis (mode, in, out, 2): real and imaginary part.
    """

    orbit: Tensor | None

    def __init__(self, width: int, modes: tuple[int, ...], basis: str, *, symmetric: bool = False) -> None:
        super().__init__()
        self.modes, self.basis = modes, basis
        shape = mode_shape(modes, basis)
        orbit = _orbits(shape) if symmetric else None
        count = int(orbit.max()) + 1 if orbit is not None else torch.Size(shape).numel()
        parts = (2,) if basis == "fourier" else ()
        # Independent weights of this size carry a field's energy in these modes over to the outputs.
        scale = (width * max(1, sum(parts))) ** -0.5
        self.weight = nn.Parameter(scale * torch.randn(count, width, width, *parts))
        self.register_buffer("orbit", orbit, persistent=False)

    def dense_weight(self) -> Tensor:
        """# shape: (mode, in, out[, 2])"""
        return self.weight if self.orbit is None else self.weight[self.orbit]

    @torch.no_grad()
    def weight_from(self, source: SpectralConvolution) -> Tensor:
        """A weight for this convolution: the source's in the modes that both have, 0 in the others."""
        dense = source.dense_weight()
        theirs = dense.reshape(*mode_shape(source.modes, self.basis), *dense.shape[1:])
        ours = theirs.new_zeros(*mode_shape(self.modes, self.basis), *dense.shape[1:])
        common = tuple(min(pair) for pair in zip(self.modes, source.modes, strict=True))
        ours[_among(self.modes, common, self.basis)] = theirs[_among(source.modes, common, self.basis)]
        ours = ours.flatten(0, len(self.modes) - 1)
        if self.orbit is None:
            return ours
        by_orbit = torch.empty_like(self.weight)
        by_orbit[self.orbit] = ours  # the modes of an orbit agree
        return by_orbit

    def forward(self, v: Tensor, transform: SpectralTransform, add_to: Tensor) -> Tensor:
        """# shape: (*grid, batch, channel) -> (*grid, batch, channel)"""
        return transform.inverse(mix(transform.forward(v), self.dense_weight()), add_to)


def mix(coefficients: Tensor, weight: Tensor) -> Tensor:
    """`weight[k]` times the coefficients of every mode k, as complex numbers where there are two parts.

    In the weight's precision: under autocast too, whose dtypes have no complex numbers.

    # shape: (mode, part, batch, in), (mode, in, out[, part]) -> (mode, part, batch, out)
    """
    coefficients = coefficients.to(weight.dtype)
    if weight.ndim == 3:
        return torch.bmm(coefficients[:, 0], weight)[:, None]
    return _parts(torch.bmm(_whole(coefficients), torch.view_as_complex(weight)))


def mix_transposed(coefficients: Tensor, weight: Tensor) -> Tensor:
    """The transpose of `mix` in the coefficients.

    # shape: (mode, part, batch, out), (mode, in, out[, part]) -> (mode, part, batch, in)
    """
    if weight.ndim == 3:
        return torch.bmm(coefficients[:, 0], weight.transpose(1, 2))[:, None]
    return _parts(torch.bmm(_whole(coefficients), torch.view_as_complex(weight).transpose(1, 2).conj()))


def mix_gradient(coefficients: Tensor, gradient: Tensor) -> Tensor:
    """That of the weight, from that of `mix(coefficients, weight)`.

    # shape: (mode, part, batch, in), (mode, part, batch, out) -> (mode, in, out[, part])
    """
    if coefficients.shape[1] == 1:
        return torch.bmm(coefficients[:, 0].transpose(1, 2), gradient[:, 0])
    return torch.view_as_real(torch.bmm(_whole(coefficients).transpose(1, 2).conj(), _whole(gradient)))


def _whole(coefficients: Tensor) -> Tensor:
    """Complex numbers from their parts.  # shape: (mode, 2, batch, channel) -> (mode, batch, channel)"""
    return torch.complex(coefficients[:, 0], coefficients[:, 1])


def _parts(numbers: Tensor) -> Tensor:
    """# shape: (mode, batch, channel) -> (mode, 2, batch, channel)"""
    return torch.stack([numbers.real, numbers.imag], 1)


def _among(modes: tuple[int, ...], common: tuple[int, ...], basis: str) -> tuple[slice, ...]:
    """Where the common modes lie among `modes`, on every axis."""
    return tuple(
        slice(m - c, m + c - 1) if basis == "fourier" and axis else slice(c)
        for axis, (m, c) in enumerate(zip(modes, common, strict=True))
    )


def _orbits(shape: tuple[int, ...]) -> Tensor:
    """For each mode, the number of its orbit under permutations of the axes."""
    index = torch.arange(torch.Size(shape).numel()).reshape(shape)
    least = torch.stack([index.permute(order) for order in permutations(range(len(shape)))]).amin(0)
    return torch.unique(least.flatten(), return_inverse=True)[1]
