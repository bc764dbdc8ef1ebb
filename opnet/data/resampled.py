"""`Resampled`: a data set on fewer nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from opnet.data.batch import Batch, Dataset
from opnet.spaces.grid import Grid
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
        first = whole.batch([0])
        for values, way in ((first.inputs, self.how[0]), (_flat(first), self.how[1])):
            _, self.domain = resample(values, whole.grid, resolution, way)
        self.times = whole.times
        self.discretisation_error, self.residual = whole.discretisation_error, whole.residual
        self.diagnostics = whole.diagnostics

    def __len__(self) -> int:
        return len(self.whole)

    def batch(self, indices: Sequence[int] | Tensor | np.ndarray) -> Batch:
        batch, source = self.whole.batch(indices), self.whole.grid
        assert isinstance(self.domain, Grid)
        inputs, _ = resample(batch.inputs, source, self.domain.shape, self.how[0])
        targets, _ = resample(_flat(batch), source, self.domain.shape, self.how[1])
        targets = targets.reshape(*batch.targets.shape[: batch.targets.ndim - source.dim], *self.domain.shape)
        return replace(batch, inputs=inputs, targets=targets, domain=self.domain)


def _flat(batch: Batch) -> Tensor:
    """Targets with the frames as channels."""
    return batch.targets if batch.times is None else batch.targets.flatten(1, 2)
