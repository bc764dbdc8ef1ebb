"""`StoreDataset`: one split of a store, read in batches straight from its verified shards."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from opnet.core.errors import DataError
from opnet.data.batch import ArrayDataset, Batch, Dataset
from opnet.data.shard import DIAGNOSTICS, FIELDS
from opnet.data.store import Store


class StoreDataset(Dataset):
    """The samples of one split at one resolution, read when asked for.

    No file stays open between batches, so the data set may be pickled, forked and read by several processes; a worker
    takes over which shards were already verified.

    Args:
        store: a store that holds every sample of the split.
        split: "train" or "test".
        resolution: one of the store's.

    Raises:
        DataError: if the split is not there or not finished; while reading, for a damaged shard.
    """

    def __init__(self, store: Store, split: str, resolution: int) -> None:
        self.store, self.split, self.resolution = store, split, resolution
        self._entries = store.manifest.shards_of(split, resolution)
        planned = [n for name, size, n in store.manifest.splits if (name, size) == (split, resolution)]
        self._starts = np.array([entry.start for entry in self._entries], dtype=np.int64)
        self._length = sum(map(len, self._entries))
        if not planned or not self._entries or self._length != planned[0]:
            raise DataError(
                f"{store.path}: expected {planned[0] if planned else 'some'} samples of {split} at {resolution}, "
                f"found {self._length}; run the generation again to finish it"
            )
        first = self._entries[0]
        for entry in self._entries:
            for name in FIELDS:
                if (entry.shapes[name][1:], entry.dtypes[name]) != (first.shapes[name][1:], first.dtypes[name]):
                    raise DataError(f"{store.path}: {entry.file}: expected {name} shaped as in {first.file}")
        self.domain = store.grid(resolution)
        self.times = torch.tensor(store.manifest.times, dtype=torch.float64) if store.manifest.times else None

    def __len__(self) -> int:
        return self._length

    def batch(self, indices: Sequence[int] | Tensor | np.ndarray) -> Batch:
        index = np.asarray(indices, dtype=np.int64).reshape(-1)
        if len(index) and not (-len(self) <= index.min() and index.max() < len(self)):
            raise IndexError(f"indices: expected positions below {len(self)}, found {index.min()} to {index.max()}")
        index = np.where(index < 0, index + len(self), index)
        fields = {name: self._empty(name, len(index)) for name in FIELDS}
        arrays = {name: values.numpy() for name, values in fields.items()}
        shards = np.searchsorted(self._starts, index, side="right") - 1
        for i in np.unique(shards):
            positions = np.flatnonzero(shards == i)
            rows = index[positions] - self._starts[i]
            self.store.shard(self._entries[i]).read_into(rows.tolist(), positions.tolist(), arrays)
        return Batch(fields["inputs"], fields["targets"], self.domain, self.times, torch.from_numpy(index))

    def in_memory(self) -> ArrayDataset:
        """The same samples read once and for all."""
        batch = self.all()
        return ArrayDataset(
            batch.inputs,
            batch.targets,
            self.domain,
            times=self.times,
            discretisation_error=self.discretisation_error,
            residual=self.residual,
            diagnostics=self.diagnostics,
        )

    @cached_property
    def discretisation_error(self) -> Tensor:  # type: ignore[override]
        """Estimated relative L2 error of each target; NaN where it was not estimated.  # shape: (sample,)"""
        return self._series("discretisation_error")

    @cached_property
    def residual(self) -> Tensor:  # type: ignore[override]
        """Relative algebraic residual each solution reached; NaN where none is solved for.  # shape: (sample,)"""
        return self._series("residual")

    @cached_property
    def diagnostics(self) -> dict[str, Tensor]:  # type: ignore[override]
        """Further numbers of each sample, by name.  # shape: (sample,) each"""
        return {name: self._series(DIAGNOSTICS + name) for name in self.store.manifest.diagnostics}

    @cached_property
    def stream_index(self) -> Tensor:
        """Index of the stream each sample was drawn from.  # shape: (sample,)"""
        return self._series("index")

    def _series(self, name: str) -> Tensor:
        parts = [self.store.shard(entry).whole(name) for entry in self._entries]
        return torch.from_numpy(np.concatenate(parts))

    def _empty(self, name: str, count: int) -> Tensor:
        entry = self._entries[0]
        return torch.empty(count, *entry.shapes[name][1:], dtype=getattr(torch, entry.dtypes[name]))
