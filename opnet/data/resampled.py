"""`Resampled`: a data set on fewer nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from opnet.data.batch import Batch, Dataset
from opnet.spaces.resampling import resample


class Resampled(Dataset):
    """The samples of a data set on a coarser grid of the same box, brought there by `opnet.spaces.resampling.resample`.

    A sample's error bar is that of the function it was; what resampling adds is not in it.

    Args:
        whole: on a grid.
        resolution: nodes an axis.
        how: "spectral", "full_weighting" or "stride", of both inputs and targets, or of (inputs, targets): functions
            that jump, such as coefficients of two phases, ring if their waves are cut.

    Raises:
        ValueError: for data on a graph, more nodes, or a way that these nodes and sides do not take.
    """

    def __init__(self, whole: Dataset, resolution: int, how: str | tuple[str, str]) -> None:
        self.whole, self.how = whole, (how, how) if isinstance(how, str) else how
        for way in self.how:
            _, self.domain = resample(torch.zeros(1, 1, *whole.grid.shape), whole.grid, resolution, way)
        self.times = whole.times
        self.discretisation_error, self.residual = whole.discretisation_error, whole.residual
        self.diagnostics = whole.diagnostics

    def __len__(self) -> int:
        return len(self.whole)

    def batch(self, indices: Sequence[int] | Tensor | np.ndarray) -> Batch:
        batch = self.whole.batch(indices)
        inputs, targets = self._coarse(batch.inputs, self.how[0]), self._coarse(batch.targets, self.how[1])
        return replace(batch, inputs=inputs, targets=targets, domain=self.domain)

    def frames(self, samples: np.ndarray, frames: np.ndarray) -> Tensor:
        return self._coarse(self.whole.frames(samples, frames), self.how[1])

    def _coarse(self, values: Tensor, how: str) -> Tensor:
        """Values of any leading axes on the grid of fewer nodes."""
        source = self.whole.grid
        coarse, _ = resample(values.reshape(len(values), -1, *source.shape), source, self.grid.shape, how)
        return coarse.reshape(*values.shape[: values.ndim - source.dim], *self.grid.shape)
