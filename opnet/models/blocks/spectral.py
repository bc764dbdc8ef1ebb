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
        shape = mode_shape(modes, basis)
        orbit = _orbits(shape) if symmetric else None
        count = int(orbit.max()) + 1 if orbit is not None else torch.Size(shape).numel()
        parts = (2,) if basis == "fourier" else ()
        # Independent weights of this size carry a field's energy in these modes over to the outputs.
        scale = (width * max(1, sum(parts))) ** -0.5
        self.weight = nn.Parameter(scale * torch.randn(count, width, width, *parts))
        self.register_buffer("orbit", None if orbit is None else orbit.to(self.weight.device), persistent=False)

    def forward(self, v: Tensor, transform: SpectralTransform, add_to: Tensor) -> Tensor:
        """# shape: (*grid, batch, channel) -> (*grid, batch, channel)"""
        weight = self.weight if self.orbit is None else self.weight[self.orbit]
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


def _orbits(shape: tuple[int, ...]) -> Tensor:
    """For each mode, the number of its orbit under permutations of the axes."""
    # On the CPU wherever models are made: on "meta", where model files try an architecture, nothing can be counted.
    index = torch.arange(torch.Size(shape).numel(), device="cpu").reshape(shape)
    least = torch.stack([index.permute(order) for order in permutations(range(len(shape)))]).amin(0)
    return torch.unique(least.flatten(), return_inverse=True)[1]
