"""`SpectralConvolution`: a learned multiplier on the lowest modes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations
from math import prod

import torch
from torch import Tensor, nn

from opnet.spaces.transforms import BASES, SpectralTransform, mode_shape


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
        self.modes, self.basis = modes, basis
        parts = (2,) if basis == "fourier" else ()
        self._shape = (prod(weight_modes(modes, basis, symmetric)), width, width, *parts)
        # Independent weights of this size carry a field's energy in these modes over to the outputs.
        scale = (width * max(1, sum(parts))) ** -0.5
        self.weight = nn.Parameter(scale * torch.randn(self._shape)) if weight is None else weight
        orbit = _orbits(mode_shape(modes, basis)).to(torch.get_default_device()) if symmetric else None
        self.register_buffer("orbit", orbit, persistent=False)

    def dense_weight(self) -> Tensor:
        """# shape: (mode, in, out[, 2])"""
        weight = self.weight if isinstance(self.weight, Tensor) else self.weight().reshape(self._shape)
        return weight if self.orbit is None else weight[self.orbit]

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
        by_orbit = ours.new_empty(self._shape)
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


def check_spectral(name: str, modes: Sequence[int], basis: str, padding: float) -> None:
    """Raise a `ValueError` naming the model unless modes, basis and padding are such as `SpectralTransform` takes."""
    if not 1 <= len(modes) <= 3 or min(modes) < 1:
        raise ValueError(f"{name}: modes: expected one to three positive numbers, one for each axis, found {modes}")
    if basis not in BASES:
        raise ValueError(f"{name}: basis: expected one of {', '.join(BASES)}, found {basis!r}")
    if not padding >= 0 or (padding and basis != "fourier"):
        raise ValueError(f"{name}: padding: expected 0, or for the Fourier basis a positive fraction, found {padding}")


def weight_modes(modes: tuple[int, ...], basis: str, symmetric: bool = False) -> tuple[int, ...]:
    """How the modes that have a weight of their own are numbered: axis by axis, or by the orbits of swapped axes.

    >>> weight_modes((4, 4), "fourier"), weight_modes((4, 4), "cosine", symmetric=True)
    ((4, 7), (10,))
    """
    shape = mode_shape(modes, basis)
    return (int(_orbits(shape).max()) + 1,) if symmetric else shape


def _orbits(shape: tuple[int, ...]) -> Tensor:
    """For each mode, the number of its orbit under permutations of the axes."""
    # On the CPU wherever models are made: on "meta", where model files try an architecture, nothing can be counted.
    index = torch.arange(torch.Size(shape).numel(), device="cpu").reshape(shape)
    least = torch.stack([index.permute(order) for order in permutations(range(len(shape)))]).amin(0)
    return torch.unique(least.flatten(), return_inverse=True)[1]
