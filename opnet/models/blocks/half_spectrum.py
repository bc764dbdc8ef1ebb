"""`HalfSpectrumWeight`: spectral weights on the half spectrum of a real FFT, as others store them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from opnet.models.blocks.factorised import FactorisedWeight, Rank
from opnet.spaces.transforms import mode_shape


class HalfSpectrumWeight(nn.Module):
    """The weight of a `SpectralConvolution` from W(k) on a half spectrum: k_d >= 0 on the *last* axis.

    W has `n_i` frequencies -(n_i // 2), ..., (n_i - 1) // 2 on axis i < d, so that an even n_i has a row of -n_i / 2
    without its opposite, and 0, ..., n_d // 2 on the last. A real output is made of

        R(k) = W(k) for k_d > 0,   conj W(-k) for k_d < 0,   (W(k) + conj W(-k)) / 2 for k_d = 0,

    W being 0 where it has no row. Of these R the ones with k_1 >= 0, on the *first* axis, are given.

    Args:
        width: channels in and out.
        n_modes: n, for every axis.
        factorisation, rank: of W, a tensor (in, out, n_1, ..., n_d // 2 + 1); None: W itself.

    Attributes:
        modes: m, for every axis, of the `SpectralTransform` that has these k.

    >>> weight = HalfSpectrumWeight(2, (4, 6))
    >>> weight.modes, weight().shape, weight.dense.shape
    ((3, 4), torch.Size([21, 2, 2, 2]), torch.Size([2, 2, 4, 4, 2]))
    """

    index: Tensor
    share: Tensor

    def __init__(self, width: int, n_modes: Sequence[int], factorisation: str | None = None, rank: Rank = 0.1) -> None:
        super().__init__()
        *lengths, last = n_modes
        self.kept = (*lengths, last // 2 + 1)
        self.modes = tuple(n // 2 + 1 for n in n_modes)
        shape = (width, width, *self.kept)
        if factorisation is None:
            self.dense = nn.Parameter((2 * width) ** -0.5 * torch.randn(*shape, 2))
        else:
            self.factorised = FactorisedWeight(shape, factorisation, rank, parts=2, variance=1 / width)
        index, share = self._table()
        self.register_buffer("index", index, persistent=False)
        self.register_buffer("share", share, persistent=False)

    def forward(self) -> Tensor:
        """R.  # shape: (mode, in, out, 2)"""
        W = self.dense if hasattr(self, "dense") else self.factorised()
        rows = W.movedim((0, 1), (-3, -2)).flatten(0, len(self.kept) - 1)
        rows = torch.cat([rows, torch.zeros_like(rows[:1])])
        own, opposite = (
            rows[index] * share[:, None, None] for index, share in zip(self.index, self.share, strict=True)
        )
        return own + opposite

    def _table(self) -> tuple[Tensor, Tensor]:
        """Of every k: the rows of W(k) and of W(-k), and the shares of their real and imaginary parts."""
        counts = mode_shape(self.modes, "fourier")
        ranges = [torch.arange(n) - (n // 2 if axis else 0) for axis, n in enumerate(counts)]
        k = torch.stack(torch.meshgrid(*ranges, indexing="ij")).flatten(1)
        own, opposite = (k[-1] > 0) + (k[-1] == 0) / 2, (k[-1] < 0) + (k[-1] == 0) / 2
        signs = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
        return torch.stack([self._row(k), self._row(-k)]), torch.stack([own, opposite])[..., None] * signs[:, None]

    def _row(self, k: Tensor) -> Tensor:
        """Where W(k) stands among the flattened frequencies; their number where it does not."""
        row, inside = torch.zeros_like(k[0]), torch.ones_like(k[0], dtype=torch.bool)
        for axis, n in enumerate(self.kept):
            position = k[axis] + (n // 2 if axis + 1 < len(self.kept) else 0)
            row, inside = row * n + position, inside & (position >= 0) & (position < n)
        return torch.where(inside, row, prod(self.kept))
