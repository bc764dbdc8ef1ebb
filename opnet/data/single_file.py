"""A store in one HDF5 file: arrays of whole splits, the manifest, and a seal over everything.

    manifest                 the bytes of a store's manifest.json
    seal                     hexadecimal SHA-256 of the file with these 64 bytes set to zero
    train-64/inputs, ...     the arrays of a split at a resolution, as in a shard

Any HDF5 reader opens it; opnet believes it only if the seal holds.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from opnet.core.errors import DataError
from opnet.data.durable import open_regular, replace_file
from opnet.data.manifest import Manifest
from opnet.data.recipe import DataRecipe, shard_file
from opnet.data.safe_hdf5 import checked_dataset, open_hdf5
from opnet.data.shard import FIELDS, ShardEntry, VerifiedShard, describe_arrays, signature, write_arrays

SUFFIX = ".h5"
LARGEST = 1 << 30
_SEAL = 64


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


def pack(manifest: Manifest, shards: list[VerifiedShard], path: Path) -> None:
    """Write the samples of a finished store's shards, in the manifest's order, as one file; whole or not at all."""
    import h5py

    entries = []
    with h5py.File("single", "w", driver="core", backing_store=False, libver=("v110", "v110")) as file:
        for split, resolution, _ in manifest.splits:
            parts = [s for s in shards if (s.entry.split, s.entry.resolution) == (split, resolution)]
            arrays = {name: np.concatenate([part.whole(name) for part in parts]) for name in parts[0].arrays}
            write_arrays(file.create_group(f"{split}-{resolution}"), arrays)
            entries.append(_entry(split, resolution, arrays))
        content = replace(manifest, shards=entries).encode()
        file.create_dataset("manifest", data=np.frombuffer(content, np.uint8))
        seal = file.create_dataset("seal", data=np.zeros(_SEAL, np.uint8))
        file.flush()
        offset, image = seal.id.get_offset(), bytearray(file.id.get_file_image())
    image[offset : offset + _SEAL] = hashlib.sha256(image).hexdigest().encode()
    replace_file(path, bytes(image))


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
    """Whether `path` is a file that calls itself a store."""
    if not path.is_file():
        return False
    try:
        with open_hdf5(path) as file:
            return all(file.id.links.exists(name) for name in (b"seal", b"manifest"))
    except DataError:
        return False


def open_single(path: Path) -> Manifest:
    """The manifest of a file whose seal holds.

    Raises:
        DataError: naming the file, for a broken seal or anything that is not as `pack` wrote it.
    """
    with open_regular(path) as raw:
        seen = signature(os.fstat(raw.fileno()))
        with open_hdf5(path) as file:
            offset, found = _bytes(file, "seal")
            content = _bytes(file, "manifest")[1]
        raw.seek(0)
        image = bytearray(raw.readall())
        image[offset : offset + _SEAL] = bytes(_SEAL)
        expected = hashlib.sha256(image).hexdigest().encode()
        if found != expected or signature(os.stat(path, follow_symlinks=False)) != seen:
            raise DataError(
                f"{path}: expected a file with the seal {expected.decode()}, found {found!r}: it is damaged"
            )
    return Manifest.decode(content, f"{path}: manifest")


def _bytes(file: Any, key: str) -> tuple[int, bytes]:
    """Where an array of bytes lies, and what it holds."""
    dataset = checked_dataset(file, key)
    if dataset.dtype != np.uint8 or len(dataset.shape) != 1 or dataset.get_offset() is None:
        raise DataError(f"{file.filename}: {key}: expected bytes that lie together, found {dataset.dtype}")
    values = np.empty(dataset.shape, np.uint8)
    dataset.read(_all(), _all(), values)
    return dataset.get_offset(), values.tobytes()


def _all() -> Any:
    from h5py import h5s

    return h5s.ALL
