"""The structure of the Fourier neural operator as published in 2021: FFT, complex weights, 1x1 convolutions.

Source: Li et al., Fourier Neural Operator for Parametric Partial Differential Equations, 2021, section 4.
"""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

_CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_MIXINGS = {1: "bix,iox->box", 2: "bixy,ioxy->boxy", 3: "bixyz,ioxyz->boxyz"}


class SpectralLayer(nn.Module):
    """Modes 0 <= k < m of the last axis, -m <= k < m of the others, a block of weights for every choice of signs."""

    def __init__(self, modes: int, width: int, dim: int) -> None:
        super().__init__()
        self.modes, self.dim = modes, dim
        blocks = 2 ** (dim - 1)
        weight = torch.rand(blocks, width, width, *(modes,) * dim, dtype=torch.complex64) / width**2
        self.weights = nn.ParameterList([nn.Parameter(w.clone()) for w in weight])

    def forward(self, v: Tensor) -> Tensor:
        axes = tuple(range(2, 2 + self.dim))
        spectrum = torch.fft.rfftn(v, dim=axes)
        mixed = torch.zeros_like(spectrum)
        low, high = slice(None, self.modes), slice(-self.modes, None)
        corners = [(*signs, low) for signs in product((low, high), repeat=self.dim - 1)]
        for corner, weight in zip(corners, self.weights, strict=True):
            block = (..., *corner)
            mixed[block] = torch.einsum(_MIXINGS[self.dim], spectrum[block], weight)
        return torch.fft.irfftn(mixed, s=v.shape[2:], dim=axes)


class OriginalFNO(nn.Module):
    """Lifting of the field and its coordinates, layers `gelu(K v + W v)`, projection with one hidden layer."""

    def __init__(self, modes: int, width: int, dim: int, layers: int, projection_width: int) -> None:
        super().__init__()
        self.dim = dim
        self.lifting = nn.Linear(1 + dim, width)
        self.spectral = nn.ModuleList(SpectralLayer(modes, width, dim) for _ in range(layers))
        self.pointwise = nn.ModuleList(_CONVOLUTIONS[dim](width, width, 1) for _ in range(layers))
        self.hidden, self.out = nn.Linear(width, projection_width), nn.Linear(projection_width, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        shape = inputs.shape[2:]
        axes = torch.meshgrid(*(torch.linspace(0, 1, n) for n in shape), indexing="ij")
        features = torch.cat([inputs, torch.stack(axes).expand(len(inputs), self.dim, *shape)], 1)
        v = self.lifting(features.movedim(1, -1)).movedim(-1, 1)
        for layer, (spectral, pointwise) in enumerate(zip(self.spectral, self.pointwise, strict=True)):
            v = spectral(v) + pointwise(v)
            if layer + 1 < len(self.spectral):
                v = gelu(v)
        return self.out(gelu(self.hidden(v.movedim(1, -1)))).movedim(-1, 1)
