"""A shard: one HDF5 file of a store, encoded whole in memory and believed only after its SHA-256 was checked."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from opnet.core.errors import DataError
from opnet.data.durable import open_regular, sha256_of
from opnet.data.safe_hdf5 import StoredArray, locate_arrays

FIELDS = ("inputs", "targets")
SERIES = ("residual", "discretisation_error", "index")
ARRAYS = FIELDS + SERIES
DIAGNOSTICS = "diagnostics/"  # the group of the further series that a problem names


@dataclass(frozen=True)
class ShardEntry:
    """What a manifest says of one shard.

    Attributes:
        file: path inside the store.
        split, resolution: the samples it belongs to, "train" or "test".
        start, stop: their positions in that split.
        shapes, dtypes: of every array in the file, by name: `ARRAYS`, and the diagnostics after `DIAGNOSTICS`.
        bytes, sha256: of the file.
    """

    file: str
    split: str
    resolution: int
    start: int
    stop: int
    shapes: dict[str, list[int]]
    dtypes: dict[str, str]
    bytes: int
    sha256: str

    def __len__(self) -> int:
        return self.stop - self.start


def encode_shard(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The bytes of an HDF5 file that holds `arrays`; the same bytes for the same arrays.

    The file is made in memory, so that a full disk is met by one plain write and not inside HDF5. The 1.10 format can
    be read by every HDF5 since; one-sample chunks make random batches cheap, and windows of frames too, as a chunk's
    bytes are those of the array and any run of frames can be read alone; fletcher32 guards readers other than opnet.
    """
    import h5py

    with h5py.File("shard", "w", driver="core", backing_store=False, libver=("v110", "v110")) as file:
        write_arrays(file, arrays)
        file.flush()
        return file.id.get_file_image()


def write_arrays(group: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Put the arrays of a shard into an open `h5py.Group`."""
    for name, values in arrays.items():
        chunks = (1, *values.shape[1:]) if name in FIELDS else values.shape
        group.create_dataset(name, data=values, chunks=chunks, fletcher32=True)


class VerifiedShard:
    """A shard whose checksum and finiteness were checked once; reads go past HDF5, straight to the chunks.

    Later changes of the same file are noticed by its size, inode or modification time alone (`is_current`). No file
    stays open, so a shard may be pickled and forked freely.

    Args:
        path: the file.
        entry: what the manifest says of it.
        group: where its arrays lie in a file that holds several shards and has been checked whole.

    Raises:
        DataError: naming the file, and what was expected and found: SHA-256, array, sample.
    """

    def __init__(self, path: Path, entry: ShardEntry, group: str = "") -> None:
        self.path, self.entry = path, entry
        with open_regular(path) as file:
            self._signature = signature(os.fstat(file.fileno()))
            alone = not group
            if alone and (os.fstat(file.fileno()).st_size != entry.bytes or sha256_of(file) != entry.sha256):
                raise damaged(file, path, entry)
            located = locate_arrays(path, [group + name for name in entry.shapes])
            self.arrays = {name.removeprefix(group): stored for name, stored in located.items()}
            self._check_arrays()
            self._check_finite(file)
        if not self.is_current():
            raise DataError(f"{path}: expected one file from start to end, found it changed while it was read")

    def is_current(self) -> bool:
        """Whether the file is still the one that was verified, as far as its status tells."""
        try:
            return signature(os.stat(self.path, follow_symlinks=False)) == self._signature
        except OSError:
            return False

    def read_into(self, rows: Sequence[int], positions: Sequence[int], out: Mapping[str, np.ndarray]) -> None:
        """Copy samples `rows` of the shard to `positions` of the arrays in `out`, by name."""
        with open_regular(self.path) as file:
            for name, target in out.items():
                stored = self.arrays[name]
                if stored.rows == 1:
                    for row, position in zip(rows, positions, strict=True):
                        self._read_chunk(file, stored, row, target[position : position + 1])
                else:
                    target[positions] = self._whole(file, stored)[rows]

    def read_frames(self, rows: Sequence[int], frames: np.ndarray, positions: Sequence[int], out: np.ndarray) -> None:
        """Copy frames (row, frame) of the targets of samples `rows` to `positions` of `out`, reading nothing else."""
        stored, entries = self.arrays["targets"], prod(out.shape[2:])
        with open_regular(self.path) as file:
            for row, wanted, position in zip(rows, frames.tolist(), positions, strict=True):
                start = 0
                while start < len(wanted):  # runs of successive frames lie together
                    stop = start + 1
                    while stop < len(wanted) and wanted[stop] == wanted[stop - 1] + 1:
                        stop += 1
                    offset = int(stored.offsets[row]) + wanted[start] * entries * out.itemsize
                    self._read_at(file, offset, out[position, start:stop])
                    start = stop

    def whole(self, name: str) -> np.ndarray:
        """One of its arrays, such as residual, discretisation_error, index or a diagnostic."""
        with open_regular(self.path) as file:
            return self._whole(file, self.arrays[name])

    def _whole(self, file: io.FileIO, stored: StoredArray) -> np.ndarray:
        values = np.empty(stored.shape, stored.dtype)
        for i in range(len(stored.offsets)):
            self._read_chunk(file, stored, i, values[i * stored.rows : (i + 1) * stored.rows])
        return values

    def _read_chunk(self, file: io.FileIO, stored: StoredArray, chunk: int, out: np.ndarray) -> None:
        self._read_at(file, int(stored.offsets[chunk]), out)

    def _read_at(self, file: io.FileIO, offset: int, out: np.ndarray) -> None:
        view, done = out.data.cast("B"), 0
        while done < len(view):
            count = os.preadv(file.fileno(), [view[done:]], offset + done)
            if not count:
                raise DataError(f"{self.path}: expected {len(view)} bytes at {offset}, found {done}")
            done += count

    def _check_arrays(self) -> None:
        for name, stored in self.arrays.items():
            expected = tuple(self.entry.shapes[name]), self.entry.dtypes[name]
            found = stored.shape, stored.dtype.name
            if expected != found or stored.rows != (1 if name in FIELDS else len(self.entry)):
                raise DataError(f"{self.path}: {name}: expected {expected}, found {found} in chunks of {stored.rows}")

    def _check_finite(self, file: io.FileIO) -> None:
        for name in FIELDS:
            stored = self.arrays[name]
            sample = np.empty((1, *stored.shape[1:]), stored.dtype)
            for row in range(len(self.entry)):
                self._read_chunk(file, stored, row, sample)
                if not np.isfinite(sample).all():
                    raise DataError(f"{self.path}: {name}: expected finite values, found NaN or Inf in sample {row}")


def damaged(file: io.FileIO, path: Path, entry: ShardEntry) -> DataError:
    """The error for an open file that is not the one `entry` names."""
    size = os.fstat(file.fileno()).st_size
    return DataError(
        f"{path}: expected sha256 {entry.sha256} ({entry.bytes} bytes), found {sha256_of(file)} ({size} bytes): "
        "the file is damaged or was replaced"
    )


def signature(status: os.stat_result) -> tuple[int, ...]:
    """What tells whether a file is still the one it was, as far as its status does."""
    return status.st_ino, status.st_size, status.st_mtime_ns


def describe_arrays(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The `shapes` and `dtypes` of a `ShardEntry`."""
    return {
        "shapes": {name: list(values.shape) for name, values in arrays.items()},
        "dtypes": {name: values.dtype.name for name, values in arrays.items()},
    }
