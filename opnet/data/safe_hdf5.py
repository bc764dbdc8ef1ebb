"""HDF5 files opened with suspicion: everything that could lead outside the file or past its size is refused.

HDF5 follows external links, external storage and virtual data sets to other files, allocates whatever shape a header
declares, loads filter plug-ins and unpickles nothing but returns Python objects for some types. All of it is decided
from metadata here, at every component of a path, before a value is read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from opnet.core.errors import DataError
from opnet.data.durable import open_regular

# Deflate reaches 1032 : 1 on constant data; a field that compresses this well is a bomb or holds nothing.
MAX_EXPANSION = 100
_SMALL_CHUNK = 1 << 20


@dataclass(frozen=True)
class StoredArray:
    """Where the bytes of an unfiltered or checksummed array lie, so that they can be read without HDF5.

    Attributes:
        shape, dtype: of the whole array.
        rows: entries of the first axis in a chunk; a chunk holds them whole, contiguous and in C order.
        offsets: byte offset of each chunk in the file.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    rows: int
    offsets: np.ndarray


@contextmanager
def open_hdf5(path: Path) -> Iterator[Any]:
    """The `h5py.File` at `path`, for reading; whatever HDF5 finds wrong with it in the block is a `DataError`."""
    import h5py

    open_regular(path).close()
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except DataError:
        raise
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, OverflowError, MemoryError) as error:
        raise DataError(f"{path}: expected a readable HDF5 file, found: {error}") from error


def checked_dataset(file: Any, key: str) -> Any:
    """The data set at `key` of an open `h5py.File`, as a low-level `h5py.h5d.DatasetID` whose values are safe to read.

    Raises:
        DataError: for a link other than a hard one at any component, a virtual or externally stored data set, a filter
            other than shuffle, deflate and fletcher32, a type other than integers, floats and truth values, a declared
            size that the file does not hold.
    """
    import h5py

    def refuse(expected: str, found: object) -> DataError:
        return DataError(f"{file.filename}: {key}: expected {expected}, found {found}")

    node = file.id
    for name in key.encode().split(b"/"):
        if not isinstance(node, (h5py.h5f.FileID, h5py.h5g.GroupID)) or name in (b"", b".", b".."):
            raise refuse("a path of groups", f"{name.decode()!r}")
        group = h5py.h5g.open(node, b"/") if isinstance(node, h5py.h5f.FileID) else node
        if not group.links.exists(name):
            raise refuse("a data set", f"nothing at {name.decode()!r}")
        if group.links.get_info(name).type != h5py.h5l.TYPE_HARD:
            raise refuse("data inside the file", f"a soft or external link at {name.decode()!r}")
        node = h5py.h5o.open(group, name)
    if not isinstance(node, h5py.h5d.DatasetID):
        raise refuse("a data set", type(node).__name__)

    # The layout comes first: asking a virtual data set for its shape already opens the files it names.
    properties = node.get_create_plist()
    if properties.get_layout() == h5py.h5d.VIRTUAL:
        raise refuse("data inside the file", "a virtual data set")
    if properties.get_external_count():
        raise refuse("data inside the file", "external storage")
    compressed = _check_filters(properties, refuse)
    kind = node.get_type()
    truth = kind.get_class() == h5py.h5t.ENUM and kind.dtype == np.bool_
    if not (truth or kind.get_class() in (h5py.h5t.INTEGER, h5py.h5t.FLOAT)) or kind.get_size() > 8:
        raise refuse("integers, floats or truth values of at most 64 bits", kind.dtype)

    declared, stored = prod(node.shape) * kind.get_size(), node.get_storage_size()
    size = os.path.getsize(file.filename)
    if not declared <= stored * (MAX_EXPANSION if compressed else 1) or stored > size:
        raise refuse(f"{declared} bytes of values", f"{stored} stored in a file of {size}")
    if properties.get_layout() == h5py.h5d.CHUNKED:
        chunk = prod(properties.get_chunk()) * kind.get_size()
        if chunk > max(declared, _SMALL_CHUNK):
            raise refuse(f"chunks within {declared} bytes of values", f"chunks of {chunk}")
    return node


def _check_filters(properties: Any, refuse: Any) -> bool:
    from h5py import h5z

    codes = [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]
    for code in codes:
        if code not in (h5z.FILTER_SHUFFLE, h5z.FILTER_DEFLATE, h5z.FILTER_FLETCHER32):
            raise refuse("no filter but shuffle, deflate and fletcher32", f"filter {code}")
    if len(codes) > 3:
        raise refuse("at most three filters", len(codes))
    return h5z.FILTER_DEFLATE in codes


def locate_arrays(path: Path, keys: Sequence[str]) -> dict[str, StoredArray]:
    """Where the values of each checked data set lie; for files whose data sets are chunked along the first axis alone.

    Raises:
        DataError: for an unsafe data set (`checked_dataset`), another layout, or a filter that changes the values.
    """
    with open_hdf5(path) as file:
        return {key: _locate(file, key) for key in keys}


def _locate(file: Any, key: str) -> StoredArray:
    import h5py

    dataset = checked_dataset(file, key)
    properties, shape, dtype = dataset.get_create_plist(), dataset.shape, dataset.dtype
    filters = [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]
    if properties.get_layout() != h5py.h5d.CHUNKED or filters not in ([], [h5py.h5z.FILTER_FLETCHER32]):
        raise DataError(f"{file.filename}: {key}: expected chunks stored plainly or with fletcher32, found others")
    chunk = properties.get_chunk()
    if not dtype.isnative or not shape or chunk[1:] != shape[1:] or shape[0] % chunk[0]:
        raise DataError(
            f"{file.filename}: {key}: expected native numbers in whole chunks along the first axis, "
            f"found {dtype.str} of shape {shape} in chunks {chunk}"
        )
    bytes_a_chunk = prod(chunk) * dtype.itemsize + 4 * len(filters)
    size = os.path.getsize(file.filename)
    offsets = np.empty(shape[0] // chunk[0], dtype=np.int64)
    for i in range(len(offsets)):
        info = dataset.get_chunk_info_by_coord((i * chunk[0],) + (0,) * (len(shape) - 1))
        if info.byte_offset is None or info.size != bytes_a_chunk or info.byte_offset + info.size > size:
            raise DataError(f"{file.filename}: {key}: expected chunk {i} of {bytes_a_chunk} bytes, found {info}")
        offsets[i] = info.byte_offset
    return StoredArray(shape, dtype, chunk[0], offsets)
