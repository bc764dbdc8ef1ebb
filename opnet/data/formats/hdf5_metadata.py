"""Groups, attributes and small arrays of HDF5 files, read as safely as their data sets."""

from __future__ import annotations

import mmap
import os
import struct
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from opnet.core.errors import DataError
from opnet.data.durable import open_regular
from opnet.data.safe_hdf5 import checked_dataset

_HEAP = b"GCOL\1\0\0\0"
_LARGEST_ATTRIBUTE = 1 << 16
_LARGEST_ARRAY = 1 << 24
_MOST_MEMBERS = 1 << 20


def check_text(path: Path) -> None:
    """Raise a `DataError` unless the global heaps of a file, where its text lies, are sound.

    HDF5 goes round for ever in a heap with an entry of length 0, as one flipped bit can make it.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if not size:
            raise DataError(f"{path}: expected an HDF5 file, found an empty one")
        with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as content:
            at = content.find(_HEAP)
            while at >= 0:
                _check_heap(content, at, size, path)
                at = content.find(_HEAP, at + len(_HEAP))


def _check_heap(content: Any, at: int, size: int, path: Path) -> None:
    stop = at + struct.unpack_from("<Q", content, at + 8)[0] if at + 16 <= size else size + 1
    entry = at + 16
    while stop <= size and entry + 16 <= stop:
        index, length = struct.unpack_from("<H6xQ", content, entry)
        # Entry 0 is the space left over, and counts its own head.
        step = 16 + -(-length // 8) * 8 if index else length
        if step < 16 or entry + step > stop:
            break
        entry += step
    if stop > size or entry + 16 <= stop:
        raise DataError(f"{path}: expected a sound heap of text at {at}, found an entry at {entry} that ends nowhere")


def checked_group(file: Any, key: str) -> Any:
    """The group at `key` of an open `h5py.File` ("/": its root), reached by hard links alone.

    Raises:
        DataError: for a missing group, a link of another kind, or something else in its place.
    """
    import h5py

    group = h5py.h5g.open(file.id, b"/")
    for name in filter(None, key.encode().split(b"/")):
        where = f"{file.filename}: {key}"
        if name in (b".", b"..") or not group.links.exists(name):
            raise DataError(f"{where}: expected a group, found nothing at {name.decode()!r}")
        if group.links.get_info(name).type != h5py.h5l.TYPE_HARD:
            raise DataError(f"{where}: expected a group inside the file, found a link at {name.decode()!r}")
        group = h5py.h5o.open(group, name)
        if not isinstance(group, h5py.h5g.GroupID):
            raise DataError(f"{where}: expected a group, found {type(group).__name__} at {name.decode()!r}")
    return h5py.Group(group)


def members(file: Any, key: str = "/") -> list[str]:
    """Names in the group at `key`, sorted; what they lead to is not looked at."""
    group = checked_group(file, key)
    if len(group) > _MOST_MEMBERS:
        raise DataError(f"{file.filename}: {key}: expected at most {_MOST_MEMBERS} members, found more")
    return sorted(group)


def attribute(node: Any, where: str, name: str) -> Any:
    """A number, text, or list of either, of an `h5py.Group` or `h5py.Dataset`.

    Raises:
        DataError: if it is missing, large, or of another type, such as a reference.
    """
    import h5py

    if name not in node.attrs:
        raise DataError(f"{where}: expected the attribute {name!r}, found {sorted(node.attrs)!r:.200}")
    stored = node.attrs.get_id(name)
    kind, size = stored.get_type(), prod(stored.shape)
    if not _is_plain(kind) or size * kind.get_size() > _LARGEST_ATTRIBUTE:
        raise DataError(f"{where}: {name}: expected numbers or text, found {kind.dtype} of shape {stored.shape}")
    value = node.attrs[name]
    if isinstance(value, h5py.Empty):
        return []
    if isinstance(value, np.ndarray):
        return [_text(entry) for entry in value.tolist()]
    return _text(value.item() if isinstance(value, np.generic) else value)


def _is_plain(kind: Any) -> bool:
    import h5py

    plain = (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.STRING)
    return kind.get_class() in plain or (kind.get_class() == h5py.h5t.ENUM and kind.dtype == np.bool_)


def _text(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def array(file: Any, key: str, *, ndim: int | None = None) -> np.ndarray:
    """A small array read whole: coordinates, times, masks.

    Raises:
        DataError: for a data set that is unsafe to read (`checked_dataset`), too large, or of other dimensions.
    """
    import h5py

    stored = checked_dataset(file, key)
    if ndim is not None and len(stored.shape) != ndim:
        raise DataError(f"{file.filename}: {key}: expected {ndim} axes, found shape {stored.shape}")
    if prod(stored.shape) > _LARGEST_ARRAY:
        raise DataError(f"{file.filename}: {key}: expected at most {_LARGEST_ARRAY} values, found {stored.shape}")
    return np.asarray(h5py.Dataset(stored)[()])


def shape_of(file: Any, key: str) -> tuple[int, ...]:
    """The shape of a data set that is safe to read; `DataError` for an empty one."""
    shape = tuple(checked_dataset(file, key).shape)
    if not shape or 0 in shape:
        raise DataError(f"{file.filename}: {key}: expected values, found shape {shape}")
    return shape
