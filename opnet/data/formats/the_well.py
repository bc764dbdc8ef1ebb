"""The Well's folders of trajectories, read; `write_the_well` writes them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from opnet.core.errors import DataError
from opnet.core.registry import register
from opnet.data.batch import Dataset
from opnet.data.dataset import DataSplits
from opnet.data.durable import open_regular
from opnet.data.formats.array_file import HDF5File
from opnet.data.formats.axes import (
    boundary_notes,
    check_times,
    check_trajectories,
    checked_frames,
    grid_of,
    resolved_frames,
)
from opnet.data.formats.base import Format, foreign_splits
from opnet.data.formats.cut import Cut
from opnet.data.formats.file_dataset import Channels, Concatenated, FileDataset
from opnet.data.formats.foreign_file import ForeignFile, candidates, vouch
from opnet.data.formats.hdf5_metadata import array, attribute, check_text, checked_group, members, shape_of
from opnet.data.formats.layout import Layout
from opnet.data.formats.the_well_stats import Stats, parse_stats
from opnet.data.safe_hdf5 import checked_dataset, open_hdf5
from opnet.spaces.grid import Grid

SOURCE = "https://github.com/PolymathicAI/the_well"
STATS = "stats.yaml"
SUFFIXES = (".hdf5", ".h5")
TEST_SPLITS = ("test", "valid")
BOUNDARY_OF = {"WALL": "dirichlet", "OPEN": "neumann", "PERIODIC": "periodic"}
_LARGEST_STATS = 1 << 20


@register("format", "the_well")
@dataclass(frozen=True)
class TheWellFiles(Format):
    """A data set of The Well: `data/{train,valid,test}/*.hdf5` and `stats.yaml`.

    A sample is a trajectory, read as the map from some of its frames to others. Channels are, frame by frame, the
    components of the fields that vary in time, in the order of t0, t1 and t2 fields; among the inputs, the constant
    fields follow. Scalars that do not vary in time are parameters. Nodes lie where the coordinates say: a periodic
    axis begins at its first node, any other begins and ends at its outer nodes. Walls are read as Dirichlet, open
    boundaries as Neumann boundaries: The Well does not say which values hold there.

    Args:
        test_split: "test" or "valid".
        n_train, n_test: how many trajectories of each, or shares of them; None: all.
        input_frames: frames to start from; None: the first, or none where there is only one frame.
        target_frames: frames that are the target; negative ones count from the end.
        trajectories: read all frames, with their times, as `windows` and `rollouts` want them.

    Raises:
        ValueError: for another split or a number out of range.
    """

    test_split: str = "test"
    n_train: int | float | None = None
    n_test: int | float | None = None
    input_frames: Sequence[int] | None = None
    target_frames: Sequence[int] = (-1,)
    trajectories: bool = False

    def __post_init__(self) -> None:
        Cut(self.n_train, self.n_test)
        if self.test_split not in TEST_SPLITS:
            raise ValueError(f"test_split: expected one of {', '.join(TEST_SPLITS)}, found {self.test_split!r}")
        object.__setattr__(self, "target_frames", checked_frames("target_frames", self.target_frames))
        if self.input_frames is not None:
            object.__setattr__(self, "input_frames", checked_frames("input_frames", self.input_frames))
        check_trajectories(self)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return bool((path / "data/train").is_dir() and candidates(path / "data/train", SUFFIXES))

    def read(self, path: Path) -> DataSplits:
        paths = {split: self._files(path, split) for split in ("train", self.test_split)}
        has_stats = os.path.lexists(path / STATS)
        files = vouch(path, [*paths["train"], *paths[self.test_split], *([path / STATS] if has_stats else [])])
        parts = {split: [_WellFile(files[file], self) for file in listed] for split, listed in paths.items()}
        first = parts["train"][0]
        for part in (*parts["train"], *parts[self.test_split]):
            part.expect_like(first)
        notes = list(first.notes)
        stats = _read_stats(path / STATS) if has_stats else {}
        notes += _stats_notes(stats, first.names, has_stats)
        train, test = (Concatenated([part.data for part in parts[split]]) for split in paths)
        cut = Cut(self.n_train, self.n_test).two(train, test)
        provenance = {
            "name": first.name,
            "equation": "not stated in the files",
            "solver": "not stated in the files",
            "source": SOURCE,
            "licence": "not stated in the files",
            "channels": first.names,
            "times": first.times,
            "stats": stats,
        }
        notes += boundary_notes(train)
        return foreign_splits("the_well", self, files, *cut, provenance, tuple(notes))

    @staticmethod
    def _files(path: Path, split: str) -> list[Path]:
        folder = path / "data" / split
        found = candidates(folder, SUFFIXES) if folder.is_dir() else []
        if not found:
            raise DataError(f"{folder}: expected files ending in {' or '.join(SUFFIXES)}, found none")
        return found


def _read_stats(path: Path) -> Stats:
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > _LARGEST_STATS:
            raise DataError(f"{path}: expected at most {_LARGEST_STATS} bytes, found more")
        content = file.readall()
    try:
        text = content.decode("ascii")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected ASCII text, found {error.reason} at {error.start}") from error
    return parse_stats(text, str(path))


def _stats_notes(stats: Stats, names: list[str], there: bool) -> list[str]:
    if not there:
        return [f"There is no {STATS}."]
    lacking = sorted({name.partition("[")[0] for name in names} - stats.get("mean", {}).keys())
    return [f"{STATS} has no mean of {', '.join(lacking)}."] if lacking else []


@dataclass(frozen=True)
class _Field:
    key: str
    name: str
    order: int
    layout: Layout

    @property
    def channels(self) -> list[str]:
        D = self.layout.shape[-1] if self.order else 0
        marks = {0: [""], 1: [f"[{i}]" for i in range(D)], 2: [f"[{i},{j}]" for i in range(D) for j in range(D)]}
        return [self.name + mark for mark in marks[self.order]]


class _WellFile:
    """One HDF5 file: its grid, fields and trajectories."""

    def __init__(self, file: ForeignFile, options: TheWellFiles) -> None:
        self.path = file.path
        self.notes: tuple[str, ...] = ()
        check_text(file.path)
        with open_hdf5(file.path) as opened:
            root = checked_group(opened, "/")
            self.name = str(attribute(root, str(file.path), "dataset_name"))
            grid_type = str(attribute(root, str(file.path), "grid_type"))
            if grid_type.lower() != "cartesian":
                raise DataError(
                    f"{file.path}: grid_type: expected cartesian, as opnet's grids are, found {grid_type!r}"
                )
            self.samples = _count(attribute(root, str(file.path), "n_trajectories"), f"{file.path}: n_trajectories")
            self.axes, self.grid = self._grid(opened, root)
            self.times, frames = self._times(opened)
            fields = [field for order in range(3) for field in self._fields(opened, order, frames)]
            self.parameters = self._parameters(opened, root)
        moving = [field for field in fields if "t" in field.layout.axes]
        constant = [field for field in fields if "t" not in field.layout.axes]
        if not moving:
            raise DataError(f"{file.path}: expected fields that vary in time, found {[field.name for field in fields]}")
        self.names = [name for field in (*moving, *constant) for name in field.channels]
        source = HDF5File(file)
        chosen, after = options.input_frames, options.target_frames
        if chosen is None:
            chosen = (0,) if frames > 1 else ()
        if options.trajectories:
            if self.times is None:
                raise DataError(f"{file.path}: dimensions/time: expected times that all trajectories share")
            after = range(frames)
        inputs, targets = (
            [
                Channels(source, (field.key,), field.layout, (frame,))
                for frame in resolved_frames(name, wanted, frames)
                for field in moving
            ]
            for name, wanted in (("input_frames", chosen), ("target_frames", after))
        )
        inputs += [Channels(source, (field.key,), field.layout) for field in constant]
        if not inputs:
            raise DataError(f"{file.path}: expected several frames, or constant fields to map from, found neither")
        times = self.times if options.trajectories else None
        self.data: Dataset = FileDataset(inputs, targets, self.grid, self.samples, self.parameters or None, times)
        self._alike = ("name", "grid", "names", *(("times",) if options.trajectories else ()))

    def expect_like(self, first: _WellFile) -> None:
        """Raise a `DataError` unless grid, fields and parameters are those of the first file."""
        for what in self._alike:
            if getattr(self, what) != getattr(first, what):
                raise DataError(
                    f"{self.path}: expected the {what} of {first.path.name}, {getattr(first, what)}, found "
                    f"{getattr(self, what)}"
                )
        if self.parameters.keys() != first.parameters.keys():
            raise DataError(f"{self.path}: expected the parameters {[*first.parameters]}, found {[*self.parameters]}")

    def _grid(self, opened: Any, root: Any) -> tuple[list[str], Grid]:
        dimensions = checked_group(opened, "dimensions")
        names = [str(name) for name in attribute(dimensions, f"{self.path}: dimensions", "spatial_dims")]
        dim = _count(attribute(root, str(self.path), "n_spatial_dims"), f"{self.path}: n_spatial_dims")
        if len(names) != dim or not 1 <= dim <= 3:
            raise DataError(f"{self.path}: dimensions: expected {dim} spatial_dims, 1 to 3, found {names}")
        coordinates = [array(opened, f"dimensions/{name}", ndim=1) for name in names]
        sides = self._sides(opened, names, [len(values) for values in coordinates])
        nodes = ["left" if "periodic" in pair else "vertex" for pair in sides]
        where = [f"{self.path}: dimensions/{name}" for name in names]
        try:
            return names, grid_of(coordinates, where, nodes=nodes, boundary=sides)
        except DataError:
            raise
        except ValueError as error:
            raise DataError(f"{self.path}: boundary_conditions: {error}") from error

    def _sides(self, opened: Any, names: list[str], lengths: list[int]) -> list[tuple[str, str]]:
        """The boundary kind at both ends of every axis."""
        sides: list[list[str | None]] = [[None, None] for _ in names]
        for entry in members(opened, "boundary_conditions"):
            key = f"boundary_conditions/{entry}"
            group = checked_group(opened, key)
            kind = str(attribute(group, f"{self.path}: {key}", "bc_type")).upper()
            along = attribute(group, f"{self.path}: {key}", "associated_dims")
            if kind not in BOUNDARY_OF:
                raise DataError(f"{self.path}: {key}: bc_type: expected {', '.join(BOUNDARY_OF)}, found {kind!r:.80}")
            if len(along) != 1 or along[0] not in names:
                self.notes += (f"The boundary {entry!r} is not that of one axis; the grid does not show it.",)
                continue
            axis = names.index(along[0])
            mask = array(opened, f"{key}/mask")
            if mask.shape != (lengths[axis],):
                raise DataError(f"{self.path}: {key}/mask: expected shape ({lengths[axis]},), found {mask.shape}")
            for side in (0, -1):
                if mask[side]:
                    sides[axis][side] = BOUNDARY_OF[kind]
        for name, pair in zip(names, sides, strict=True):
            if None in pair:
                self.notes += (f"No boundary is stated at an end of axis {name!r}; it is read as open.",)
        return [(low or "neumann", high or "neumann") for low, high in sides]

    def _times(self, opened: Any) -> tuple[list[float] | None, int]:
        times = array(opened, "dimensions/time")
        if times.ndim == 2 and len(times) == self.samples:
            self.notes += ("Trajectories have times of their own, which are not read.",)
            return None, times.shape[1]
        if times.ndim != 1 or not len(times):
            raise DataError(f"{self.path}: dimensions/time: expected (time,), found shape {times.shape}")
        return check_times(times, len(times), f"{self.path}: dimensions/time")[0].tolist(), len(times)

    def _fields(self, opened: Any, order: int, frames: int) -> list[_Field]:
        import h5py

        group, found = f"t{order}_fields", []
        names = attribute(checked_group(opened, group), f"{self.path}: {group}", "field_names")
        for name in map(str, names):
            key = f"{group}/{name}"
            shape, where = shape_of(opened, key), f"{self.path}: {key}"
            node = h5py.Dataset(checked_dataset(opened, key))
            varying = {what: bool(attribute(node, where, f"{what}_varying")) for what in ("sample", "time")}
            dims = attribute(node, where, "dim_varying") if "dim_varying" in node.attrs else [True] * self.grid.dim
            lead = "n" * varying["sample"] + "t" * varying["time"]
            space = "xyz"[: self.grid.dim]
            if len(shape) != len(lead) + self.grid.dim + order:  # axes that do not vary may be left out
                space = "".join(letter for letter, varies in zip(space, dims, strict=False) if varies)
            lengths = dict(zip("xyz", self.grid.shape, strict=False))
            lengths |= {"n": self.samples, "t": frames, "c": self.grid.dim}
            axes = lead + space + "c" * order
            fits = len(axes) == len(shape) and all(
                n == lengths[letter] or (n == 1 and letter in "xyz" and not dims["xyz".index(letter)])
                for n, letter in zip(shape, axes, strict=True)
            )
            if not fits:
                expected = tuple(lengths[letter] for letter in axes)
                raise DataError(f"{where}: expected shape {expected} by its attributes, found {shape}")
            found.append(_Field(key, name, order, Layout(axes, shape)))
        return found

    def _parameters(self, opened: Any, root: Any) -> dict[str, torch.Tensor]:
        import h5py

        parameters = {}
        for name in map(str, attribute(root, str(self.path), "simulation_parameters")):
            value = attribute(root, str(self.path), name)
            if isinstance(value, (int, float)):
                parameters[name] = torch.full((self.samples,), float(value))
        names = attribute(checked_group(opened, "scalars"), f"{self.path}: scalars", "field_names")
        for name in map(str, names):
            key = f"scalars/{name}"
            node, values = h5py.Dataset(checked_dataset(opened, key)), array(opened, key)
            if attribute(node, f"{self.path}: {key}", "time_varying"):
                self.notes += (f"The scalar {name!r} varies in time and is not read.",)
                continue
            of_sample = attribute(node, f"{self.path}: {key}", "sample_varying")
            if values.size != (self.samples if of_sample else 1) or not np.isfinite(values).all():
                raise DataError(f"{self.path}: {key}: expected finite numbers, found shape {values.shape}")
            parameters[name] = torch.from_numpy(np.resize(values.astype(np.float32).reshape(-1), self.samples))
        return parameters


def _count(value: Any, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise DataError(f"{where}: expected a positive integer, found {value!r:.80}")
    return value
