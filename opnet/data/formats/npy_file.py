"""`.npy` files and members of `.npz` archives, without unpickling anything."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np

from opnet.core.errors import DataError
from opnet.data.durable import open_regular
from opnet.data.formats.array_file import ArrayFile, Reader
from opnet.data.formats.foreign_file import ForeignFile
from opnet.data.formats.layout import Selection
from opnet.data.formats.plain_pickle import as_array, as_objects, read_pickle
from opnet.data.safe_hdf5 import MAX_EXPANSION

_LONGEST_HEADER = 1 << 16
_SMALL_MEMBER = 1 << 20


@dataclass(frozen=True)
class NpyHeader:
    """Shape, type, order and place of the numbers in a `.npy` file."""

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool
    offset: int

    @property
    def bytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize


def read_header(head: bytes, where: str) -> NpyHeader:
    """The header at the start of `head`; `DataError` if there is none."""
    stream = io.BytesIO(head)
    try:
        version = np.lib.format.read_magic(stream)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, fortran, dtype = read(stream)
    except (ValueError, KeyError, TypeError, SyntaxError, TokenError, RecursionError, MemoryError) as error:
        raise DataError(f"{where}: expected a .npy header, found: {error!r:.160}") from error
    if not all(isinstance(n, int) and 0 <= n < 1 << 40 for n in shape) or len(shape) > 8:
        raise DataError(f"{where}: expected a shape of at most 8 axes, found {shape!r:.80}")
    return NpyHeader(shape, dtype, fortran, stream.tell())


def parse_npy(content: bytes, where: str) -> np.ndarray | list[np.ndarray]:
    """The array in the bytes of a `.npy` file; a list of arrays where it is one of objects, whose pickle is not run.

    Raises:
        DataError: for other types, another length.
    """
    header = read_header(content, where)
    if header.dtype.hasobject:
        if header.dtype != np.dtype(object):
            raise DataError(f"{where}: expected numbers or objects, found {header.dtype}")
        value = read_pickle(content[header.offset :], where)
        return [as_array(entry, f"{where}[{i}]") for i, entry in enumerate(as_objects(value, where))]
    _check_numbers(header, len(content), where)
    order: Any = "F" if header.fortran else "C"
    return np.frombuffer(content, header.dtype, offset=header.offset).reshape(header.shape, order=order)


def _check_numbers(header: NpyHeader, size: int, where: str) -> None:
    if header.dtype.kind not in "fiub" or header.dtype.itemsize > 8:
        raise DataError(f"{where}: expected real numbers of at most 64 bits, found {header.dtype}")
    if header.offset + header.bytes != size:
        raise DataError(
            f"{where}: expected {header.offset + header.bytes} bytes for shape {header.shape} in {header.dtype}, "
            f"found {size}"
        )


def read_npz(path: Path) -> dict[str, np.ndarray | list[np.ndarray]]:
    """The arrays of an archive by name, each checked by its CRC-32.

    Raises:
        DataError: for a damaged archive, a member twice, one that unpacks to a hundred times its size, or no array.
    """
    with open_regular(path) as file:
        content = file.readall()
    arrays: dict[str, np.ndarray | list[np.ndarray]] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for entry in archive.infolist():
                name = entry.filename.removesuffix(".npy")
                bound = max(_SMALL_MEMBER, MAX_EXPANSION * entry.compress_size)
                packed = entry.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
                if name in arrays or not packed or entry.compress_size > len(content) or entry.file_size > bound:
                    raise DataError(f"{path}: expected arrays, each once, stored or deflated, found {entry!r:.200}")
                with archive.open(entry) as member:
                    unpacked = member.read(entry.file_size + 1)
                if len(unpacked) != entry.file_size:
                    raise DataError(f"{path}: {name}: expected {entry.file_size} bytes, found {len(unpacked)}")
                arrays[name] = parse_npy(unpacked, f"{path}: {name}")
    except DataError:
        raise
    except Exception as error:  # zipfile raises some ten unrelated classes on damaged archives
        raise DataError(f"{path}: expected an archive written by numpy.savez, found: {error!r:.160}") from error
    return arrays


class NpyFile(ArrayFile):
    """The one array of a `.npy` file, under the key "", mapped into memory while it is read.

    Raises:
        DataError: for objects, which are pickles, or a file of another length than its header says.
    """

    def __init__(self, file: ForeignFile) -> None:
        self.file = file
        with open_regular(file.path) as opened:
            self.header = read_header(opened.read(_LONGEST_HEADER) or b"", str(file.path))
        if self.header.dtype.hasobject:
            raise DataError(
                f"{file.path}: expected numbers, found a pickle of objects, which could run code; where you trust it, "
                "load it with numpy and save its arrays one by one"
            )
        _check_numbers(self.header, file.size, str(file.path))

    @contextmanager
    def opened(self) -> Iterator[Reader]:
        self.file.check()
        header = self.header
        order: Any = "F" if header.fortran else "C"
        values = np.memmap(self.file.path, header.dtype, "r", header.offset, header.shape, order)

        def read(key: str, selection: Selection, out: np.ndarray) -> None:
            with np.errstate(over="ignore"):  # what overflows float32 is found by whoever asked for it
                out[...] = values[selection]

        yield read
