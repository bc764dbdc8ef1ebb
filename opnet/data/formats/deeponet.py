"""The `.npz` files of the DeepONet papers and of DeepXDE."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from opnet.core.errors import DataError
from opnet.core.registry import register
from opnet.data.batch import ArrayDataset, Dataset
from opnet.data.dataset import DataSplits
from opnet.data.formats.axes import boundary_notes, grid_of
from opnet.data.formats.base import Format, foreign_splits
from opnet.data.formats.cut import Cut
from opnet.data.formats.foreign_file import candidates, choose_file, vouch
from opnet.data.formats.npy_file import read_npz
from opnet.data.formats.point_dataset import PointDataset
from opnet.spaces.grid import Grid

SOURCE = "https://github.com/lululxvi/deepxde and https://github.com/lululxvi/deeponet"
_HOW_TO_CONVERT = "load it with numpy where you trust it and save the arrays X_train0, X_train1, y_train"


@register("format", "deeponet")
@dataclass(frozen=True)
class DeepONetFiles(Format):
    """`.npz` files of functions at sensors and of operator values at places.

    Aligned files hold `X`, an array of the two objects (function, sensor) and (place, coordinate), and `y` (function,
    place); unaligned ones `X_train0` (sample, sensor), `X_train1` (sample, coordinate) and `y_train` (sample, 1), or
    the same with `test`. Arrays of objects are pickles: they are read as data, and nothing in them is run. Aligned
    files with as many places on a line as sensors are read as maps between functions on one grid, all others sample by
    sample (`PointDataset`).

    Args:
        file: name of the training file, where the folder holds others than one, or one with "train" and one with
            "test" in its name.
        test_file: name of a file to test on.
        n_train, n_test: numbers or shares of samples, see `Cut`.

    Raises:
        ValueError: for a number out of range.
    """

    file: str | None = None
    test_file: str | None = None
    n_train: int | float | None = None
    n_test: int | float | None = None

    def __post_init__(self) -> None:
        Cut(self.n_train, self.n_test)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return bool(candidates(path, (".npz",)))

    def read(self, path: Path) -> DataSplits:
        paths = self._paths(path)
        files = vouch(paths[0].parent, paths)
        parts = [_read(path) for path in paths]
        cut, notes = Cut(self.n_train, self.n_test), parts[0][1]
        if len(parts) == 1:
            train, test, note = cut.one(parts[0][0])
            notes += (note,)
        else:
            train, test = cut.two(parts[0][0], parts[1][0])
        provenance = {
            "name": f"DeepONet {paths[0].stem}",
            "equation": "not stated in the file",
            "solver": "see the source",
            "source": SOURCE,
            "licence": "not stated",
        }
        return foreign_splits("deeponet", self, files, train, test, provenance, notes)

    def _paths(self, path: Path) -> list[Path]:
        found = candidates(path, (".npz",)) if path.is_dir() else []
        pair = [[entry for entry in found if word in entry.name] for word in ("train", "test")]
        if self.file is None and self.test_file is None and len(found) == 2 and all(len(side) == 1 for side in pair):
            return [side[0] for side in pair]
        paths = [choose_file(path, self.file, (".npz",), "file")]
        return paths if self.test_file is None else [*paths, choose_file(path, self.test_file, (".npz",), "test_file")]


def _read(path: Path) -> tuple[Dataset, tuple[str, ...]]:
    arrays = read_npz(path)
    for split in ("train", "test"):
        keys = (f"X_{split}0", f"X_{split}1", f"y_{split}")
        if set(keys) <= arrays.keys():
            functions, places, values = (_numbers(arrays[key], f"{path}: {key}") for key in keys)
            if values.shape != (len(functions), 1) or len(places) != len(functions):
                raise DataError(
                    f"{path}: {keys[2]}: expected one value a row of {keys[0]} and {keys[1]}, found shapes "
                    f"{tuple(values.shape)}, {tuple(functions.shape)}, {tuple(places.shape)}"
                )
            return PointDataset(functions, places, values, Grid((functions.shape[1],))), (_SENSORS,)
    if not {"X", "y"} <= arrays.keys():
        raise DataError(
            f"{path}: expected X and y, or X_train0, X_train1 and y_train (or test), found {sorted(arrays)!r:.200}"
        )
    X = arrays["X"]
    if not isinstance(X, list) or len(X) != 2:
        raise DataError(f"{path}: X: expected two arrays, functions and places, found other; {_HOW_TO_CONVERT}")
    functions, places = (_numbers(part, f"{path}: X[{i}]") for i, part in enumerate(X))
    values = _numbers(arrays["y"], f"{path}: y")
    if values.shape != (len(functions), len(places)):
        raise DataError(f"{path}: y: expected shape ({len(functions)}, {len(places)}), found {tuple(values.shape)}")
    return _aligned(functions, places, values, path)


_SENSORS = "Where the sensors are is not stored: they are read as evenly spaced on [0, 1], both ends included."


def _aligned(functions: Tensor, places: Tensor, values: Tensor, path: Path) -> tuple[Dataset, tuple[str, ...]]:
    line = places.shape[1] == 1 and len(places) == functions.shape[1] and bool((places[1:] > places[:-1]).all())
    if not line:
        note = f"Functions have {functions.shape[1]} sensors and {len(places)} places of their own: read one by one."
        return PointDataset(functions, places, values, Grid((functions.shape[1],))), (_SENSORS, note)
    grid = grid_of([places[:, 0].double().numpy()], [f"{path}: X[1]"], nodes="vertex", boundary="dirichlet")
    data = ArrayDataset(functions.unsqueeze(1), values.unsqueeze(1), grid)
    note = "Where the sensors are is not stored: they are read as at the places of the values."
    return data, (note, *boundary_notes(data))


def _numbers(values: np.ndarray | list[np.ndarray], where: str) -> Tensor:
    """A table of finite numbers, float32."""
    if isinstance(values, list):  # one array of rows, saved as an array of objects
        shapes = {row.shape for row in values}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1:
            raise DataError(f"{where}: expected rows of one length, found others; {_HOW_TO_CONVERT}")
        values = np.stack(values)
    if values.ndim != 2 or 0 in values.shape:
        raise DataError(f"{where}: expected a table of numbers, found shape {values.shape}")
    with np.errstate(over="ignore"):
        numbers = values.astype(np.float32)
    if not np.isfinite(numbers).all():
        row = int(np.flatnonzero(~np.isfinite(numbers).all(1))[0])
        raise DataError(f"{where}: expected finite values (in float32), found NaN or Inf in row {row}")
    return torch.from_numpy(numbers)
