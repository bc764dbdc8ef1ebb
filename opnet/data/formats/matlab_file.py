"""MATLAB files of version 5 (MATLAB's -v6 and -v7), numeric arrays alone.

A file is a header of 128 bytes and elements; each is a tag (type, bytes) and its data, padded to 8 bytes. An array
(type 14) holds elements for flags, dimensions, name and values; a compressed element (type 15) holds one array under
zlib, whose Adler-32 is checked here [1]. Nothing is read that the file does not hold, and cells, structures, objects,
functions and opaque classes are passed over unread.

References:
    [1] MathWorks, MAT-File Format, version R2019b, chapter 1.
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from opnet.core.errors import DataError
from opnet.data.durable import open_regular
from opnet.data.safe_hdf5 import MAX_EXPANSION

_HEADER = 128
_ARRAY, _COMPRESSED = 14, 15
# Element type -> how its numbers are stored; class of an array -> what they are.
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_COMPLEX = 0x08
_LONGEST_NAME = 64


def matlab_version(path: Path) -> str:
    """ "hdf5" for -v7.3, "5" for -v6 and -v7; `DataError` for other files, version 4 among them."""
    with open_regular(path) as file:
        head = file.read(_HEADER) or b""
    if head.startswith(b"\x89HDF\r\n\x1a\n") or (head[:6] == b"MATLAB" and head[124:128] in (b"\0\2IM", b"\2\0MI")):
        return "hdf5"
    if head[:6] == b"MATLAB" and head[124:128] in (b"\0\1IM", b"\1\0MI"):
        return "5"
    raise DataError(f"{path}: expected a MATLAB file of version 5 to 7.3, found one that begins with {head[:8]!r}")


def read_matlab5(path: Path) -> dict[str, np.ndarray]:
    """The real numeric arrays of the file, by name, in MATLAB's order of axes.

    Raises:
        DataError: for a damaged file, one that declares more than it holds, an array that is complex.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        content = memoryview(file.readall())
    if matlab_version(path) != "5" or len(content) != size:
        raise DataError(f"{path}: expected a MATLAB file of version 5 and {size} bytes, found {len(content)} bytes")
    order = "<" if content[126:128] == b"IM" else ">"
    arrays: dict[str, np.ndarray] = {}
    at = _HEADER
    while at < size:
        element = _element(content, at, order, path)
        kind, data = element.kind, element.data
        if kind == _COMPRESSED:
            inner = _element(_inflate(data, order, f"{path}: at {at}"), 0, order, path)
            kind, data = inner.kind, inner.data
        if kind != _ARRAY:
            raise DataError(f"{path}: at {at}: expected an array, found an element of type {kind}")
        name, values = _array(data, order, f"{path}: at {at}", path)
        if name in arrays:
            raise DataError(f"{path}: at {at}: expected each name once, found {name!r} again")
        if values is not None:
            arrays[name] = values
        # Compressed elements alone are not padded.
        at = element.stop if element.kind == _COMPRESSED else -(-element.stop // 8) * 8
    return arrays


@dataclass(frozen=True)
class _Element:
    kind: int
    data: memoryview
    stop: int


def _element(content: memoryview, at: int, order: str, path: Path) -> _Element:
    if at + 8 > len(content):
        raise DataError(f"{path}: at {at}: expected an element of at least 8 bytes, found {len(content) - at}")
    kind, count = struct.unpack_from(f"{order}II", content, at)
    start = at + 8
    if kind >> 16:  # small elements keep up to four bytes in their tag
        kind, count, start = kind & 0xFFFF, kind >> 16, at + 4
        if count > 4:
            raise DataError(f"{path}: at {at}: expected a small element of at most 4 bytes, found {count}")
    if start + count > len(content):
        raise DataError(f"{path}: at {at}: expected an element of {count} bytes, found {len(content) - start}")
    return _Element(kind, content[start : start + count], at + 8 if start == at + 4 else start + count)


def _inflate(data: memoryview, order: str, where: str) -> memoryview:
    bound = max(1 << 20, MAX_EXPANSION * len(data))
    machine = zlib.decompressobj()
    try:
        # What is declared is compared with what the compressed bytes can hold before they are unpacked.
        head = machine.decompress(data, 8)
        declared = struct.unpack_from(f"{order}I", head, 4)[0] + 8 if len(head) == 8 else 0
        if not 8 < declared <= bound:
            raise DataError(f"{where}: expected at most {bound} bytes in {len(data)} compressed, found {declared}")
        rest = machine.decompress(machine.unconsumed_tail, declared - 8)
        more = machine.decompress(machine.unconsumed_tail, 1)
    except zlib.error as error:
        raise DataError(f"{where}: expected an intact zlib stream, found: {error}") from error
    if more or len(rest) != declared - 8 or not machine.eof or machine.unused_data:
        raise DataError(f"{where}: expected {declared} bytes and a checksum, found another length")
    return memoryview(head + rest)


def _array(data: memoryview, order: str, where: str, path: Path) -> tuple[str, np.ndarray | None]:
    at, parts = 0, list[_Element]()
    while at < len(data) and len(parts) < 3:
        part = _element(data, at, order, path)
        parts.append(part)
        at = -(-part.stop // 8) * 8
    if [part.kind for part in parts] != [6, 5, 1] or len(parts[0].data) != 8 or len(parts[1].data) % 4:
        raise DataError(f"{where}: expected flags, dimensions and a name, found {[part.kind for part in parts]}")
    flags = struct.unpack(f"{order}I", parts[0].data[:4])[0]
    name = bytes(parts[2].data).decode("latin-1")
    if (flags & 0xFF) not in _CLASSES:
        return name, None
    shape = struct.unpack(f"{order}{len(parts[1].data) // 4}i", parts[1].data)
    if not name.isidentifier() or len(name) > _LONGEST_NAME or not 2 <= len(shape) <= 8 or min(shape) < 0:
        raise DataError(f"{where}: expected a named array of 2 to 8 axes, found {name!r:.80} of shape {shape}")
    if flags >> 8 & _COMPLEX:
        raise DataError(f"{where}: {name}: expected real numbers, found complex ones")
    values = _element(data, at, order, path)
    if values.kind not in _STORED or -(-values.stop // 8) * 8 < len(data):
        raise DataError(f"{where}: {name}: expected one element of numbers, found type {values.kind} and others")
    stored = np.dtype(order + _STORED[values.kind])
    if prod(shape) * stored.itemsize != len(values.data):
        raise DataError(
            f"{where}: {name}: expected {prod(shape)} numbers of {stored.itemsize} bytes for shape {shape}, "
            f"found {len(values.data)} bytes"
        )
    numbers = np.frombuffer(values.data, stored).reshape(shape, order="F")
    return name, numbers.astype(_CLASSES[flags & 0xFF], copy=False)
