"""The MATLAB files of the FNO family: Burgers, Darcy, Navier-Stokes, PINO's Burgers, Geo-FNO's plasticity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from opnet.core.errors import DataError
from opnet.core.registry import register
from opnet.data.batch import Dataset
from opnet.data.dataset import DataSplits
from opnet.data.formats.array_file import ArrayFile, HDF5File, MemoryFile
from opnet.data.formats.axes import boundary_notes, check_times, check_trajectories, checked_frames, resolved_frames
from opnet.data.formats.base import Format, foreign_splits
from opnet.data.formats.cut import Cut
from opnet.data.formats.file_dataset import Channels, FileDataset
from opnet.data.formats.foreign_file import ForeignFile, candidates, choose_file, vouch
from opnet.data.formats.hdf5_metadata import array, members, shape_of
from opnet.data.formats.layout import Layout
from opnet.data.formats.matlab_file import matlab_version, read_matlab5
from opnet.data.safe_hdf5 import open_hdf5
from opnet.spaces.grid import Grid

SOURCE = "https://github.com/neuraloperator/neuraloperator and https://github.com/neuraloperator/Geo-FNO"
# A sample of a -v7.3 file is scattered over all of it (axes are reversed): what fits is read once.
_RESIDENT = 1 << 30


@dataclass(frozen=True)
class _Kind:
    inputs: tuple[str, str]  # key, axes in MATLAB's order
    targets: tuple[str, str]
    boundary: Any
    nodes: str
    times: str
    equation: str
    starts: bool = False  # whether the input is the state at time 0, before the first frame


KINDS = {
    "burgers": _Kind(
        ("a", "nx"),
        ("u", "nx"),
        "periodic",
        "left",
        "",
        "u_t + (u^2/2)_x = nu u_xx, periodic; u(0) to u(1); nu = 0.1 and the domain as the papers say, not the file",
    ),
    "darcy": _Kind(
        ("coeff", "nxy"),
        ("sol", "nxy"),
        "dirichlet",
        "cell",
        "",
        "-div(a grad u) = 1 on (0,1)^2, u = 0 on the boundary; a to u",
    ),
    "navier_stokes": _Kind(
        ("a", "nxy"),
        ("u", "nxyt"),
        "periodic",
        "left",
        "t",
        "w_t + v . grad w = nu lap w + 0.1 (sin 2 pi (x+y) + cos 2 pi (x+y)) on the unit torus; w(0) to w at the "
        "target frames; nu as the name of the file says",
        starts=True,
    ),
    "burgers_pino": _Kind(
        ("input", "nx"),
        ("output", "ntx"),
        "periodic",
        "left",
        "tspan",
        "u_t + (u^2/2)_x = nu u_xx on (0,1), periodic; u(0) to u at the target frames",
    ),
    "plasticity": _Kind(
        ("input", "nx"),
        ("output", "nxytc"),
        "neumann",
        "vertex",
        "",
        "plastic forging: shape of the die to mesh positions and displacements at the target frames",
    ),
}


@register("format", "matlab")
@dataclass(frozen=True)
class MatlabFiles(Format):
    """A `.mat` file of the FNO family, version 5 to 7.3 (HDF5 with reversed axes); which one, its keys tell.

    | problem | keys, axes in MATLAB's order |
    |---|---|
    | burgers | a, u (sample, x) |
    | darcy | coeff, sol (sample, x, y) |
    | navier_stokes | a (sample, x, y), u (sample, x, y, time), t |
    | burgers_pino | input (sample, x), output (sample, time, x), tspan, x, visc |
    | plasticity | input (sample, x), output (sample, x, y, time, component) |

    Axes of grids keep MATLAB's order; other arrays in a file are not read. Numbers of 64 bits are read in float32.
    Up to 1 GiB of used values are read and checked at once; more, of -v7.3 files, in batches.

    Args:
        file: name of the file, where the folder holds several; of a `_smooth1`, `_smooth2` pair the first trains and
            the second tests.
        test_file: name of a file to test on.
        n_train, n_test: numbers or shares of samples, see `Cut`.
        input_frames: frames of the target array to start from; None: the separate input.
        target_frames: frames that are the target, one channel each; negative ones count from the end.
        trajectories: read all frames, with their times, as `windows` and `rollouts` want them; Navier-Stokes' a, which
            is w(0), becomes the first. Frames of plasticity have no times but their numbers.

    Raises:
        ValueError: for a number out of range.
    """

    file: str | None = None
    test_file: str | None = None
    n_train: int | float | None = None
    n_test: int | float | None = None
    input_frames: Sequence[int] | None = None
    target_frames: Sequence[int] = (-1,)
    trajectories: bool = False

    def __post_init__(self) -> None:
        Cut(self.n_train, self.n_test)
        object.__setattr__(self, "target_frames", checked_frames("target_frames", self.target_frames))
        if self.input_frames is not None:
            object.__setattr__(self, "input_frames", checked_frames("input_frames", self.input_frames))
        check_trajectories(self)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return bool(candidates(path, (".mat",)))

    def read(self, path: Path) -> DataSplits:
        paths = self._paths(path)
        files = vouch(paths[0].parent, paths)
        parts = [_MatlabFile(files[path], self) for path in paths]
        cut, notes = Cut(self.n_train, self.n_test), parts[0].notes()
        if len(parts) == 1:
            train, test, note = cut.one(parts[0].data)
            notes += (note,)
        else:
            train, test = cut.two(parts[0].data, parts[1].data)
        kind = KINDS[parts[0].problem]
        provenance = {
            "name": f"FNO {parts[0].problem}",
            "equation": kind.equation,
            "solver": "see the source",
            "source": SOURCE,
            "licence": "not stated",
            **parts[0].facts,
        }
        return foreign_splits("matlab", self, files, train, test, provenance, notes)

    def _paths(self, path: Path) -> list[Path]:
        if self.file is None and self.test_file is None:
            pair = [entry for entry in candidates(path, ("_smooth1.mat", "_smooth2.mat")) if path.is_dir()]
            if len(pair) == 2 == len(candidates(path, (".mat",))):
                return pair
        paths = [choose_file(path, self.file, (".mat",), "file")]
        if self.test_file is not None:
            paths.append(choose_file(path, self.test_file, (".mat",), "test_file"))
        return paths


class _MatlabFile:
    """One file: its problem, its samples, and what it says besides."""

    def __init__(self, file: ForeignFile, options: MatlabFiles) -> None:
        self.file, self.options = file, options
        self.reversed = matlab_version(file.path) == "hdf5"
        self.small: dict[str, np.ndarray] = {}
        self.source: ArrayFile
        if self.reversed:
            self.source, shapes = HDF5File(file), self._open_hdf5()
        else:
            arrays = read_matlab5(file.path)
            self.source, shapes = MemoryFile(file, arrays), {name: values.shape for name, values in arrays.items()}
            self.small = {name: arrays[name] for name in ("t", "tspan", "x", "visc") if name in arrays}
        self.problem = self._problem(shapes)
        self.kind = KINDS[self.problem]
        self.facts: dict[str, Any] = {}
        self._time_notes: tuple[str, ...] = ()
        self.data = self._dataset(shapes)

    def _open_hdf5(self) -> dict[str, tuple[int, ...]]:
        wanted = {key for kind in KINDS.values() for key, _ in (kind.inputs, kind.targets)}
        with open_hdf5(self.file.path) as file:
            names = members(file)
            shapes = {name: shape_of(file, name)[::-1] for name in names if name in wanted}
            self.small = {name: array(file, name).T for name in ("t", "tspan", "x", "visc") if name in names}
        return shapes

    def _problem(self, shapes: dict[str, tuple[int, ...]]) -> str:
        for name, kind in KINDS.items():
            if all(key in shapes and len(shapes[key]) == len(axes) for key, axes in (kind.inputs, kind.targets)):
                return name
        known = "; ".join(f"{k.inputs[0]} {k.inputs[1]}, {k.targets[0]} {k.targets[1]}" for k in KINDS.values())
        raise DataError(f"{self.file.path}: expected keys and axes of one of: {known}; found {shapes}")

    def _layout(self, shapes: dict[str, tuple[int, ...]], key: str, axes: str) -> Layout:
        step = -1 if self.reversed else 1
        return Layout(axes[::step], shapes[key][::step])

    def _dataset(self, shapes: dict[str, tuple[int, ...]]) -> Dataset:
        kind, options = self.kind, self.options
        before, after = (self._layout(shapes, *entry) for entry in (kind.inputs, kind.targets))
        space = "xyz"[: sum(letter in "xyz" for letter in kind.targets[1])]
        shape = tuple(after.length(letter) for letter in space)
        for letter in "n" + space:
            if letter in before.axes and before.length(letter) != after.length(letter):
                raise DataError(
                    f"{self.file.path}: expected {kind.inputs[0]} and {kind.targets[0]} of the same samples and nodes, "
                    f"found {shapes[kind.inputs[0]]} and {shapes[kind.targets[0]]}"
                )
        frames = after.length("t")
        self._read_times(frames)
        inputs = Channels(self.source, kind.inputs[:1], before)
        if options.trajectories:
            return self._trajectories(
                inputs, Channels(self.source, kind.targets[:1], after, tuple(range(frames))), shape
            )
        targets = Channels(self.source, kind.targets[:1], after, self._frames("target_frames", frames))
        if options.input_frames is not None:
            inputs = Channels(self.source, kind.targets[:1], after, self._frames("input_frames", frames))
        return self._read(inputs, [targets], shape)

    def _read(
        self, inputs: Channels, targets: list[Channels], shape: tuple[int, ...], times: list[float] | None = None
    ) -> Dataset:
        grid = Grid(shape, boundary=self.kind.boundary, nodes=self.kind.nodes)
        data = FileDataset([inputs], targets, grid, targets[-1].layout.length("n"), times=times)
        count = inputs.count + sum(channels.count for channels in targets)
        return data if 4 * len(data) * count * prod(shape) > _RESIDENT else data.in_memory()

    def _trajectories(self, before: Channels, frames: Channels, shape: tuple[int, ...]) -> Dataset:
        kind, times = self.kind, self.facts.get("times")
        if "t" not in kind.targets[1]:
            raise DataError(f"{self.file.path}: expected frames in time, as trajectories have, found {self.problem}")
        if not kind.times:
            times = [float(i) for i in range(len(frames.frames))]
            self._time_notes += ("The file states no times: they are the numbers of the frames.",)
        if times is None:
            raise DataError(f"{self.file.path}: {kind.times}: expected times, as trajectories have, found none")
        if not kind.starts or times[0] <= 0:
            return self._read(before, [frames], shape, times)
        self._time_notes += (
            f"Frame 0 of the trajectories is {kind.inputs[0]}, at time 0; those of {kind.targets[0]} begin at "
            f"{times[0]:g}.",
        )
        return self._read(before, [before, frames], shape, [0.0, *times])

    def _frames(self, name: str, count: int) -> tuple[int, ...]:
        return resolved_frames(name, getattr(self.options, name), count)

    def _read_times(self, frames: int) -> None:
        key = self.kind.times
        if key in self.small:
            times, self._time_notes = check_times(self.small[key].reshape(-1), frames, f"{self.file.path}: {key}")
            self.facts["times"] = times.tolist()
        if "visc" in self.small and self.small["visc"].size == 1:
            self.facts["nu"] = float(self.small["visc"].reshape(()))

    def notes(self) -> tuple[str, ...]:
        notes = [*self._time_notes, *boundary_notes(self.data)]
        if self.problem == "darcy":
            values = self.data.batch(range(min(16, len(self.data)))).inputs
            kinds = values.unique()
            notes.append(
                f"The coefficient is two-valued: {', '.join(f'{v:g}' for v in kinds.tolist())}."
                if len(kinds) <= 2
                else f"The coefficient is not two-valued: it runs from {values.min():.3g} to {values.max():.3g}"
                + (", below 0, where the equation is not elliptic." if values.min() <= 0 else ".")
            )
        if self.problem == "burgers_pino" and "x" in self.small:
            notes += self._position_notes(self.small["x"].reshape(-1).astype(np.float64))
        if isinstance(self.data, FileDataset) and self.reversed:
            notes.append("Samples lie last in this file: random batches touch all of it; a store is read far faster.")
        return tuple(notes)

    def _position_notes(self, x: np.ndarray) -> list[str]:
        n = self.data.grid.shape[0]
        if x.shape != (n,) or not np.isfinite(x).all():
            raise DataError(f"{self.file.path}: x: expected {n} finite positions, found shape {x.shape}")
        if np.allclose(x, np.arange(n) / n, atol=1e-5):
            return []
        return [f"x runs from {x[0]:g} to {x[-1]:g}; the values are read as at i/{n}, as a period of 1 has them."]
