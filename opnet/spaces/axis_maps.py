"""How one axis of a spectral transform is applied: by a matrix, or by the fast Fourier transform."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from opnet.core.products import add_product, product

FAST_FROM = 96
"""Modes of an axis from which the fast transform is faster there and back. On one core, a matrix product costs as much
for every mode, and the fast transform of columns what it costs for all: equal at 60 to 100 modes for 64 to 4096 nodes.
"""


@runtime_checkable
class AxisMap(Protocol):
    """A linear map along the middle axis."""

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns): how long the axis is after and before."""

    def __call__(self, values: Tensor, add_to: Tensor | None = None) -> Tensor:
        """The values' image; or, for `lead` 1, `add_to` with that added in place.

        # shape: (lead, columns, rest) -> (lead, rows, rest)
        """

    @property
    def transposed(self) -> AxisMap:
        """The transpose."""


class MatrixMap:
    """`AxisMap` by a matrix (rows, columns)."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix = matrix
        self.shape = (matrix.shape[0], matrix.shape[1])

    def __call__(self, values: Tensor, add_to: Tensor | None = None) -> Tensor:
        if add_to is not None:
            return add_product(add_to[0], self.matrix, values[0])[None]
        # One large product where it is alone is faster than a batch of one.
        return product(self.matrix, values[0])[None] if len(values) == 1 else torch.matmul(self.matrix, values)

    @property
    def transposed(self) -> MatrixMap:
        return MatrixMap(self.matrix.t())


@dataclass(frozen=True)
class WaveMap:
    """`AxisMap` onto waves `0 <= k < m` by the fast Fourier transform of n real values at `(j + offset) / n`.

    With `X_k = scale_k sum_j v_j exp(-2 pi i k (j + offset) / n)` the rows are (k, part) of X, or for `split` the real
    parts and then minus the imaginary ones without k = 0.

    Args:
        n, m, offset, scale: as above, `m <= n / 2` rounded up; scale: (m,).
        split: the order of the rows.
        is_transposed: whether this is the transpose, from rows to values.
    """

    n: int
    m: int
    offset: float
    scale: Tensor
    split: bool
    is_transposed: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        rows = 2 * self.m - int(self.split)
        return (self.n, rows) if self.is_transposed else (rows, self.n)

    def __call__(self, values: Tensor, add_to: Tensor | None = None) -> Tensor:
        found = self._values(values) if self.is_transposed else self._rows(values)
        return found if add_to is None else add_to.add_(found)

    @property
    def transposed(self) -> WaveMap:
        return WaveMap(self.n, self.m, self.offset, self.scale, self.split, not self.is_transposed)

    def _turned(self) -> Tensor:
        """`scale_k exp(-2 pi i k offset / n)`, a column."""
        angle = torch.arange(self.m, dtype=torch.float64, device=self.scale.device) * (-2 * pi * self.offset / self.n)
        return torch.polar(self.scale.double(), angle)[:, None]

    def _rows(self, values: Tensor) -> Tensor:
        waves = torch.fft.rfft(values, dim=1)[:, : self.m]
        waves = waves * self._turned().to(waves.dtype)
        if self.split:
            return torch.cat([waves.real, -waves.imag[:, 1:]], 1)
        return torch.stack([waves.real, waves.imag], 2).flatten(1, 2)

    def _values(self, rows: Tensor) -> Tensor:
        if self.split:
            real, imaginary = rows[:, : self.m], rows[:, self.m :]
            imaginary = torch.cat([torch.zeros_like(real[:, :1]), -imaginary], 1)
        else:
            real, imaginary = rows.unflatten(1, (self.m, 2)).unbind(2)
        turned = self._turned().conj()
        # The inverse counts each k > 0 with its conjugate.
        turned[1:] /= 2
        waves = torch.complex(real, imaginary)
        return torch.fft.irfft(waves * turned.to(waves.dtype), self.n, dim=1, norm="forward")
