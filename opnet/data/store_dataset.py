"""`StoreDataset`: one split of a store, read in batches straight from its verified shards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from opnet.core.errors import DataError
from opnet.data.batch import Batch, Dataset, positions
from opnet.data.shard import DIAGNOSTICS, FIELDS, VerifiedShard
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

    def batch(self, indices: Sequence[int] | Tensor | np.ndarray, *, out: Batch | None = None) -> Batch:
        """The samples at `indices`, in that order.

        Args:
            out: a batch of as many samples, read before, whose memory is read into: fresh memory costs as much as
                reading does.
        """
        index = positions(indices, len(self))
        fields = {name: self._empty(name, len(index)) if out is None else getattr(out, name) for name in FIELDS}
        for name, values in fields.items():
            if out is not None and (len(values) != len(index) or not self._fits(name, values)):
                raise ValueError(f"out: {name}: expected a batch of {len(index)} of this data set, found another")
        arrays = {name: values.numpy() for name, values in fields.items()}
        for shard, rows, places in self._by_shard(index):
            shard.read_into(rows, places, arrays)
        return Batch(fields["inputs"], fields["targets"], self.domain, self.times, torch.from_numpy(index))

    def frames(self, samples: np.ndarray, frames: np.ndarray) -> Tensor:
        index = positions(samples, len(self))
        entry = self._entries[0]
        shape = (*frames.shape, *entry.shapes["targets"][2:])
        out = torch.empty(shape, dtype=getattr(torch, entry.dtypes["targets"]))
        for shard, rows, places in self._by_shard(index):
            shard.read_frames(rows, frames[places], places, out.numpy())
        return out

    def _by_shard(self, index: np.ndarray) -> Iterator[tuple[VerifiedShard, list[int], list[int]]]:
        """The shards that hold the samples, their rows there, and their positions in the batch."""
        shards = np.searchsorted(self._starts, index, side="right") - 1
        for i in np.unique(shards):
            places = np.flatnonzero(shards == i)
            rows = index[places] - self._starts[i]
            yield self.store.shard(self._entries[i]), rows.tolist(), places.tolist()

    def _fits(self, name: str, values: Tensor) -> bool:
        entry = self._entries[0]
        expected = tuple(entry.shapes[name][1:]), getattr(torch, entry.dtypes[name]), torch.device("cpu")
        return (tuple(values.shape[1:]), values.dtype, values.device) == expected and values.is_contiguous()

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
