"""`ArrayFile`: named arrays of a file, read part by part."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np

from opnet.data.formats.foreign_file import ForeignFile
from opnet.data.formats.layout import Selection
from opnet.data.safe_hdf5 import checked_dataset, open_hdf5

Reader = Callable[[str, Selection, np.ndarray], None]
"""`reader(key, selection, out)` fills `out`, contiguous and of the selection's shape, whatever the stored type."""


class ArrayFile(ABC):
    """A file whose arrays are read by key and selection. Holds no open file between reads, so it may be forked."""

    file: ForeignFile

    @abstractmethod
    def opened(self) -> AbstractContextManager[Reader]:
        """A `Reader`, while the block lasts; `DataError` if the file changed since it was checked."""


class HDF5File(ArrayFile):
    """Data sets of an HDF5 file, each passed by `checked_dataset` every time the file is opened."""

    def __init__(self, file: ForeignFile) -> None:
        self.file = file

    @contextmanager
    def opened(self) -> Iterator[Reader]:
        from h5py import h5s

        self.file.check()
        with open_hdf5(self.file.path) as file:
            checked: dict[str, Any] = {}

            def read(key: str, selection: Selection, out: np.ndarray) -> None:
                # What h5py does as well, without the time it takes to understand every kind of selection.
                if key not in checked:
                    stored = checked_dataset(file, key)
                    checked[key] = stored, stored.get_space()
                stored, space = checked[key]
                space.select_hyperslab(tuple(part.start for part in selection), out.shape)
                stored.read(h5s.create_simple(out.shape), space, out)

            yield read


class MemoryFile(ArrayFile):
    """Arrays of a file that was read whole."""

    def __init__(self, file: ForeignFile, arrays: Mapping[str, np.ndarray]) -> None:
        self.file, self.arrays = file, dict(arrays)

    @contextmanager
    def opened(self) -> Iterator[Reader]:
        def read(key: str, selection: Selection, out: np.ndarray) -> None:
            with np.errstate(over="ignore"):  # what overflows float32 is found by whoever asked for it
                out[...] = self.arrays[key][selection]

        yield read
