"""PDEBench's HDF5 files, flat and grouped."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from opnet.core.errors import DataError
from opnet.core.registry import register
from opnet.data.dataset import DataSplits
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
from opnet.data.formats.file_dataset import Channels, FileDataset
from opnet.data.formats.foreign_file import candidates, choose_file, vouch
from opnet.data.formats.hdf5_metadata import array, attribute, checked_group, members, shape_of
from opnet.data.formats.layout import Layout
from opnet.data.formats.pdebench_kinds import BOUNDARIES, Kind, kind_of
from opnet.data.safe_hdf5 import open_hdf5
from opnet.spaces.grid import Grid

SOURCE = "https://doi.org/10.18419/darus-2986, described in https://arxiv.org/abs/2210.07182"
_GROUP = re.compile(r"\d{1,8}")


@register("format", "pdebench")
@dataclass(frozen=True)
class PDEBenchFiles(Format):
    """A file of PDEBench; which problem it is, its keys and its name tell.

    Flat files hold `tensor`, or `density`, `pressure`, `Vx`, ..., as (sample, time, x[, y, z]); Darcy's `tensor`
    (sample, 1, x, y) is u and `nu` (sample, x, y) the coefficient; incompressible flow has `velocity` and `particles`
    (sample, time, x, y, component), `force` (sample, x, y, component). Grouped files hold a group a seed, with `data`
    (time, x[, y], component) and `grid/{x,y,t}`. Grids are cell-centred. A flow is read as the map from frame 0 to the
    last, Darcy as that from the coefficient to u.

    Args:
        file: name of the file, where the folder holds several.
        n_train, n_test: numbers or shares of samples, see `Cut`.
        input_frames: frames to start from; the channels of the first come first.
        target_frames: frames that are the target; negative ones count from the end.
        trajectories: read all frames, with their times, as `windows` and `rollouts` want them.
        boundary: kind of boundary, where the name of the file does not tell it; see `Grid`.

    Raises:
        ValueError: for a number out of range or an unknown boundary.
    """

    file: str | None = None
    n_train: int | float | None = None
    n_test: int | float | None = None
    input_frames: Sequence[int] = (0,)
    target_frames: Sequence[int] = (-1,)
    trajectories: bool = False
    boundary: str | None = None

    def __post_init__(self) -> None:
        Cut(self.n_train, self.n_test)
        for name in ("input_frames", "target_frames"):
            object.__setattr__(self, name, checked_frames(name, getattr(self, name)))
        check_trajectories(self)
        if self.boundary is not None and self.boundary not in BOUNDARIES:
            raise ValueError(f"boundary: expected one of {', '.join(BOUNDARIES)}, found {self.boundary!r}")

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return bool(candidates(path, (".hdf5", ".h5")))

    def read(self, path: Path) -> DataSplits:
        path = choose_file(path, self.file, (".hdf5", ".h5"), "file")
        files = vouch(path.parent, [path])
        source = HDF5File(files[path])
        with open_hdf5(path) as file:
            names = members(file)
            grouped = bool(names) and all(map(_GROUP.fullmatch, names))
            read = _grouped if grouped else _flat
            contents = read(file, names, source, self)
        train, test, note = Cut(self.n_train, self.n_test).one(contents.data)
        provenance = {
            "name": f"PDEBench {contents.kind.name}",
            "equation": contents.kind.equation,
            "solver": "PDEBench's, see the source",
            "source": SOURCE,
            "licence": "CC BY 4.0",
            **contents.facts,
        }
        notes = (note, *contents.notes, *boundary_notes(contents.data))
        return foreign_splits("pdebench", self, files, train, test, provenance, notes)


@dataclass(frozen=True)
class _Contents:
    data: FileDataset
    kind: Kind
    facts: dict[str, Any]
    notes: tuple[str, ...]


def _flat(file: Any, names: list[str], source: HDF5File, options: PDEBenchFiles) -> _Contents:
    path = source.file.path
    kind = kind_of(path, set(names), {key: len(shape_of(file, key)) for key in names if key in ("tensor", "density")})
    layouts = {key: Layout(axes, shape_of(file, key)) for key, axes in kind.arrays.items() if key in names}
    first = layouts[kind.targets[0]]
    space = "xyz"[: kind.dim]
    shape = tuple(first.length(letter) for letter in space)
    for key, layout in layouts.items():
        expected = {letter: first.length(letter) for letter in "nt" + space if letter in layout.axes}
        if kind.name == "darcy":
            expected.pop("t", None)
        if any(layout.length(letter) != n for letter, n in expected.items()):
            raise DataError(f"{path}: {key}: expected lengths {expected} as in {kind.targets[0]}, found {layout.shape}")
    coordinates = [array(file, f"{letter}-coordinate", ndim=1) for letter in space if kind.positioned]
    grid = _grid(coordinates, shape, kind, options, path)
    times, notes = _times(file, kind, first, path)
    if kind.name == "darcy":
        if options.trajectories:
            raise DataError(f"{path}: expected frames in time, as trajectories have, found Darcy's u")
        if first.length("t") != 1:
            raise DataError(f"{path}: tensor: expected one frame, found {first.length('t')}")
        inputs, targets = [Channels(source, ("nu",), layouts["nu"])], [Channels(source, ("tensor",), first)]
    else:
        frames = _frames(options, first.length("t"))
        inputs, targets = (
            [
                Channels(source, (key,), layouts[key], (frame,))
                for frame in frames[name]
                for key in kind.targets
                if key in layouts
            ]
            for name in _FRAMES
        )
        inputs += [Channels(source, (key,), layouts[key]) for key in kind.constants if key in layouts]
    root = checked_group(file, "/")
    facts = {key: attribute(root, str(path), key) for key in kind.attributes if key in root.attrs}
    missing = [key for key in kind.attributes if key not in root.attrs]
    if missing:
        notes += (f"The file does not state {', '.join(missing)}; its name may.",)
    facts = {**facts, **times, "channels": [key for key in kind.targets if key in layouts]}
    return _contents(options, inputs, targets, grid, first.length("n"), kind, facts, notes)


_FRAMES = ("input_frames", "target_frames")


def _frames(options: PDEBenchFiles, count: int) -> dict[str, tuple[int, ...]]:
    frames = {name: resolved_frames(name, getattr(options, name), count) for name in _FRAMES}
    return {**frames, "target_frames": tuple(range(count))} if options.trajectories else frames


def _contents(
    options: PDEBenchFiles,
    inputs: list[Channels],
    targets: list[Channels],
    grid: Grid,
    samples: int,
    kind: Kind,
    facts: dict[str, Any],
    notes: tuple[str, ...],
) -> _Contents:
    times = facts["times"] if options.trajectories else None
    return _Contents(FileDataset(inputs, targets, grid, samples, times=times), kind, facts, (*notes, *kind.notes))


def _times(file: Any, kind: Kind, first: Layout, path: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    if not kind.times:
        return {}, ()
    times = array(file, kind.times)
    if times.ndim == 2:  # incompressible flow: the same times for every sample
        if times.shape[0] != first.length("n") or not (times == times[:1]).all():
            raise DataError(f"{path}: {kind.times}: expected the same times for every sample, found others")
        times = times[0]
    times, notes = check_times(times, first.length("t"), f"{path}: {kind.times}")
    return {"times": times.tolist()}, notes


def _grid(
    coordinates: list[np.ndarray], shape: tuple[int, ...], kind: Kind, options: PDEBenchFiles, path: Path
) -> Grid:
    boundary = options.boundary or kind.boundary
    if boundary is None:
        raise DataError(
            f"{path}: expected 'periodic' or 'trans' in the name, which tells the boundary, found neither; "
            "say which by boundary=..."
        )
    if not kind.positioned:
        return Grid(shape, boundary=boundary, nodes="cell")
    found = tuple(map(len, coordinates))
    if found != shape:
        raise DataError(f"{path}: expected as many coordinates as nodes, {shape}, found {found}")
    where = [f"{path}: {letter}-coordinate" for letter in "xyz"[: len(shape)]]
    return grid_of(coordinates, where, nodes="cell", boundary=boundary)


def _grouped(file: Any, names: list[str], source: HDF5File, options: PDEBenchFiles) -> _Contents:
    path = source.file.path
    shape = shape_of(file, f"{names[0]}/data")
    kind = kind_of(path, {"grid"}, {"data": len(shape)})
    layout = Layout(kind.arrays["data"], shape)
    axes = "xy"[: kind.dim]
    coordinates = [array(file, f"{names[0]}/grid/{letter}", ndim=1) for letter in axes]
    for name in names:
        found = shape_of(file, f"{name}/data")
        if found != shape:
            raise DataError(f"{path}: {name}/data: expected shape {shape}, as in {names[0]}, found {found}")
        for letter, expected in zip(axes, coordinates, strict=True):
            if not np.array_equal(array(file, f"{name}/grid/{letter}", ndim=1), expected):
                raise DataError(f"{path}: {name}/grid/{letter}: expected the coordinates of {names[0]}, found others")
    grid = _grid(coordinates, tuple(layout.length(letter) for letter in axes), kind, options, path)
    stored = array(file, f"{names[0]}/grid/t", ndim=1)
    times, notes = check_times(stored, layout.length("t"), f"{path}: grid/t")
    if any(not np.array_equal(array(file, f"{name}/grid/t", ndim=1), stored) for name in names[1:]):
        raise DataError(f"{path}: grid/t: expected the times of {names[0]} in every group, found others")
    keys = tuple(f"{name}/data" for name in names)
    frames = _frames(options, layout.length("t"))
    inputs, targets = ([Channels(source, keys, layout, frames[name])] for name in _FRAMES)
    seeds = [int(name) for name in names]
    if seeds != list(range(len(seeds))):
        notes += (f"The groups are {len(seeds)} seeds from {seeds[0]} to {seeds[-1]}, some between them missing.",)
    facts = {"times": times.tolist()}
    return _contents(options, inputs, targets, grid, len(names), kind, facts, notes)
