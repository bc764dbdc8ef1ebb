"""Which samples a step trains on, and how they are turned: functions of (seed, epoch, step) alone."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch

from opnet.data.batch import Batch, Dataset
from opnet.spaces.grid import Grid
from opnet.spaces.streams import stream
from opnet.spaces.symmetry import N_ELEMENTS, check_square, dihedral
from opnet.training.config import FitConfig

# Up to here a data set is held in memory, on the device; beyond, its batches are read as they are needed.
MEMORY_LIMIT = 1 << 30

# What fit's streams are for, apart from those that data are generated from.
_FIT = 0x666974
ORDER, AUGMENTATION, MODEL = 0, 1, 2


def fit_stream(seed: int, purpose: int, *key: int) -> np.random.Generator:
    return stream(seed, _FIT, purpose, *key)


class TrainingBatches:
    """The batches of every epoch.

    Raises:
        ValueError: for an empty data set, values that are not floating, or an augmentation its grid does not admit.
    """

    def __init__(self, dataset: Dataset, config: FitConfig) -> None:
        if len(dataset) == 0:
            raise ValueError("dataset: expected at least one sample, found none")
        self.dataset, self.config, self.size = dataset, config, len(dataset)
        first = dataset.batch([0])
        for name, values in (("inputs", first.inputs), ("targets", first.targets)):
            if not values.is_floating_point():
                raise ValueError(f"dataset: expected {name} of floating dtype, found {values.dtype}")
        if config.augmentation == "dihedral":
            if not isinstance(first.domain, Grid):
                raise ValueError("FitConfig.augmentation: 'dihedral' expects data on a Grid, found a Graph")
            check_square(first.domain)
        n_bytes = (first.inputs.numel() + first.targets.numel()) * config.dtype.itemsize * self.size
        held = dataset.shares_domain and n_bytes <= MEMORY_LIMIT
        self._whole = self._moved(dataset.all()) if held else None
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0, dtype=np.int64))

    @property
    def per_epoch(self) -> int:
        """Steps an epoch takes."""
        return -(-self.size // self.config.batch_size)

    def batch(self, epoch: int, step: int) -> Batch:
        """The batch of step `step` of epoch `epoch`, both from 0, on the device, in the precision, augmented."""
        batch = self._read(self._indices(epoch, step))
        if self.config.augmentation == "dihedral":
            assert isinstance(batch.domain, Grid)
            element = int(fit_stream(self.config.seed, AUGMENTATION, epoch, step).integers(N_ELEMENTS))
            inputs = dihedral(batch.inputs, batch.domain, element, "edge")
            targets = dihedral(batch.targets, batch.domain, element, "zero")
            batch = Batch(inputs, targets, batch.domain, batch.times, batch.index, batch.parameters)
        return batch

    def describe(self) -> dict[str, Any]:
        """What tells this data from other data: the domain, and a digest of the values, of 16 samples spread evenly
        where they are not held in memory."""
        if self._whole is None:
            whole = self._moved(self.dataset.batch(np.linspace(0, self.size - 1, min(self.size, 16)).astype(int)))
        else:
            whole = self._whole
        domain = whole.domain.describe() if isinstance(whole.domain, Grid) else {"nodes": whole.domain.n}
        digest = hashlib.sha256()
        for values in (whole.inputs, whole.targets, whole.times):
            if values is not None:
                digest.update(values.detach().cpu().reshape(-1).numpy().data)
        return {"samples": self.size, "domain": domain, "sha256": digest.hexdigest()}

    def _indices(self, epoch: int, step: int) -> np.ndarray:
        if self._order[0] != epoch:
            self._order = epoch, fit_stream(self.config.seed, ORDER, epoch).permutation(self.size)
        start = step * self.config.batch_size
        return self._order[1][start : start + self.config.batch_size]

    def _read(self, indices: np.ndarray) -> Batch:
        if self._whole is not None:
            return self._whole.take(torch.from_numpy(indices))
        return self._moved(self.dataset.batch(indices))

    def _moved(self, batch: Batch) -> Batch:
        return batch.to(self.config.device, self.config.dtype)
