"""A store in one HDF5 file: arrays of whole splits, the manifest, and a seal behind everything.

    manifest                 the bytes of a store's manifest.json
    train-64/inputs, ...     the arrays of a split at a resolution, as in a shard

Behind the HDF5 content, where its readers do not look, one line more: `opnet store, sha256 ` and the hexadecimal
SHA-256 of everything before that line. So any HDF5 reader opens the file, and opnet believes it before HDF5 does.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from opnet.core.errors import DataError
from opnet.data.durable import open_regular, sha256_of
from opnet.data.manifest import Manifest
from opnet.data.recipe import DataRecipe, shard_file
from opnet.data.safe_hdf5 import checked_dataset, open_hdf5
from opnet.data.shard import FIELDS, ShardEntry, VerifiedShard, describe_arrays, signature, write_arrays

SUFFIX = ".h5"
LARGEST = 1 << 30
LARGEST_MANIFEST = 256 << 20
SEAL = b"\nopnet store, sha256 "
_SEAL_LENGTH = len(SEAL) + 64 + 1


def check_fits(recipe: DataRecipe, path: Path) -> None:
    """Raise a `ValueError` for a recipe whose samples are too large for one file."""
    problem, width = recipe.problem, int(recipe.dtype[-2:]) // 8
    frames = max(1, len(problem.trajectory_times))
    channels = len(problem.input_names) + frames * len(problem.target_names)
    size = sum(
        samples * channels * width * int(np.prod(problem.grid(resolution).shape))
        for _, resolution, samples in recipe.splits
    )
    if size > LARGEST:
        raise ValueError(
            f"{path}: expected at most {LARGEST >> 20} MiB of samples for one file, found {size >> 20}: give a folder"
        )


def pack(manifest: Manifest, shards: list[VerifiedShard]) -> bytes:
    """The bytes of one file with the samples of a finished store's shards, in the manifest's order."""
    import h5py

    entries = []
    with h5py.File("single", "w", driver="core", backing_store=False, libver=("v110", "v110")) as file:
        for split, resolution, _ in manifest.splits:
            parts = [s for s in shards if (s.entry.split, s.entry.resolution) == (split, resolution)]
            arrays = {name: np.concatenate([part.whole(name) for part in parts]) for name in parts[0].arrays}
            write_arrays(file.create_group(f"{split}-{resolution}"), arrays)
            entries.append(_entry(split, resolution, arrays))
        content = replace(manifest, shards=entries).encode()
        file.create_dataset("manifest", data=np.frombuffer(content, np.uint8), chunks=(len(content),), fletcher32=True)
        file.flush()
        image = file.id.get_file_image()
    return image + _seal(hashlib.sha256(image).hexdigest())


def _seal(sha256: str) -> bytes:
    return SEAL + sha256.encode() + b"\n"


def _entry(split: str, resolution: int, arrays: dict[str, np.ndarray]) -> ShardEntry:
    digest, size = hashlib.sha256(), 0
    for values in arrays.values():
        digest.update(np.ascontiguousarray(values).data)
        size += values.nbytes
    count = len(arrays[FIELDS[0]])
    return ShardEntry(
        shard_file(split, resolution, 0), split, resolution, 0, count, **describe_arrays(arrays),
        bytes=size, sha256=digest.hexdigest(),
    )  # fmt: skip


def is_single_file(path: Path) -> bool:
    """Whether `path` is a file that ends as a store does."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _SEAL_LENGTH))
        return file.read(len(SEAL)) == SEAL


def open_single(path: Path) -> Manifest:
    """The manifest of a file whose seal holds; HDF5 sees no byte of it before.

    Raises:
        DataError: naming the file, for a broken seal or anything that is not as `pack` wrote it.
    """
    with open_regular(path) as file:
        seen = os.fstat(file.fileno())
        length = max(0, seen.st_size - _SEAL_LENGTH)
        file.seek(length)
        found = file.readall()
        if not found.startswith(SEAL):
            raise DataError(
                f"{path}: expected a store in one file, found no seal at its end: it is cut, damaged or another file"
            )
        expected = _seal(sha256_of(file, length))
    if found != expected:
        raise DataError(f"{path}: expected the seal {_said(expected)}, found {_said(found)}: it is damaged")
    with open_hdf5(path) as hdf5:
        dataset = checked_dataset(hdf5, "manifest")
        if dataset.dtype != np.uint8 or len(dataset.shape) != 1 or dataset.shape[0] > LARGEST_MANIFEST:
            raise DataError(f"{path}: manifest: expected at most {LARGEST_MANIFEST} bytes, found {dataset.shape}")
        content = hdf5["manifest"][()].tobytes()
    if signature(os.stat(path, follow_symlinks=False)) != signature(seen):
        raise DataError(f"{path}: expected one file from start to end, found it changed while it was read")
    return Manifest.decode(content, f"{path}: manifest")


def _said(seal: bytes) -> str:
    return seal.removeprefix(SEAL).decode(errors="replace").strip()
