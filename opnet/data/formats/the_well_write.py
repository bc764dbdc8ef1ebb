"""`write_the_well`: data handed to The Well's readers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from opnet.data.batch import Dataset
from opnet.data.dataset import DataSplits
from opnet.data.durable import make_folder, replace_file
from opnet.data.formats.foreign_file import CHECKSUMS
from opnet.data.formats.the_well_stats import Moments, Stats, emit_stats
from opnet.spaces.grid import Grid

SPLITS = ("train", "valid", "test")
_BOUNDARY_TYPES = {"dirichlet": "WALL", "robin": "WALL", "neumann": "OPEN", "periodic": "PERIODIC"}


@dataclass(frozen=True)
class WellArrays:
    """Trajectories on one grid.

    Args:
        grid: where the values sit; 1 to 3 axes.
        times: of the frames, ascending.
        fields: name -> (sample, time, *grid), or with one or two more axes of grid.dim components for vectors and
            tensors.
        constants: name -> the same without time, for fields that do not change.
        parameters: name -> (sample,), numbers of each trajectory.

    Raises:
        ValueError: for arrays of another shape, values not finite, no field, or a name that is given twice.
    """

    grid: Grid
    times: Sequence[float]
    fields: Mapping[str, np.ndarray]
    constants: Mapping[str, np.ndarray] = field(default_factory=dict)
    parameters: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        times = np.asarray(self.times, dtype=np.float64)
        if times.ndim != 1 or not len(times) or not np.isfinite(times).all() or not (np.diff(times) > 0).all():
            raise ValueError(f"WellArrays.times: expected ascending times, found {self.times!r:.80}")
        if not self.fields or self.fields.keys() & self.constants.keys() or self.grid.dim > 3:
            raise ValueError(
                "WellArrays: expected at least one field, each name once, on a grid of 1 to 3 axes, found fields "
                f"{[*self.fields]}, constants {[*self.constants]}, {self.grid.dim} axes"
            )
        samples = len(next(iter(self.fields.values())))
        for name, values in (*self.fields.items(), *self.constants.items(), *self.parameters.items()):
            lead = (samples, len(times)) if name in self.fields else (samples,)
            space = () if name in self.parameters else self.grid.shape
            components = values.shape[len(lead) + len(space) :]
            most = 0 if name in self.parameters else 2
            fits = values.shape[: len(lead) + len(space)] == (*lead, *space) and len(components) <= most
            if not fits or set(components) - {self.grid.dim} or not samples or not np.isfinite(values).all():
                raise ValueError(
                    f"WellArrays: {name}: expected finite values of shape {(*lead, *space)} and up to {most} axes of "
                    f"{self.grid.dim} components, found shape {values.shape}"
                )

    @property
    def samples(self) -> int:
        return len(next(iter(self.fields.values())))

    def order(self, name: str) -> int:
        """0 for a scalar field, 1 for a vector's, 2 for a tensor's."""
        lead = 2 if name in self.fields else 1
        return {**self.fields, **self.constants}[name].ndim - lead - self.grid.dim

    def part(self, start: int, stop: int) -> WellArrays:
        def cut(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {name: values[start:stop] for name, values in arrays.items()}

        return WellArrays(self.grid, self.times, cut(self.fields), cut(self.constants), cut(self.parameters))


def write_the_well(
    data: DataSplits | Mapping[str, WellArrays],
    folder: str | Path,
    *,
    name: str,
    inputs: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    times: tuple[float, float] | None = None,
    samples_per_file: int = 128,
) -> Path:
    """Write `folder/data/{train,valid,test}/*.hdf5`, `folder/stats.yaml` and, last, `folder/SHA256SUMS`.

    Values become float32. The Well knows coordinates but no placement of nodes, and walls, open and periodic
    boundaries: Dirichlet and Robin are written as walls, Neumann as open. Every file is whole or absent; a folder
    without `SHA256SUMS` is unfinished.

    Args:
        data: `WellArrays` for each split; or training and test samples on a grid, whose channels become scalar fields.
        folder: where to write; new or empty.
        name: of the data set.
        inputs, targets: with `DataSplits`, a name for every channel; those that the data state by default, or numbers.
            Trajectories are written as they are, and their inputs as constant fields unless they have the targets'
            names: then they are the first frame, and left out. Of maps, the inputs are written as constant fields and
            the targets as the one frame of a trajectory; with `times` both are the same fields, at the two times.
        samples_per_file: trajectories in a file at most.

    Returns:
        the folder.

    Raises:
        ValueError: for other arguments, or a folder that holds something.
        OSError: a full disk or a missing permission.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder}: expected a new or empty folder, found one that holds something")
    if not name.isidentifier() or samples_per_file < 1:
        raise ValueError(
            f"name, samples_per_file: expected a name of letters, digits and _, and a positive number, found {name!r} "
            f"and {samples_per_file}"
        )
    if isinstance(data, DataSplits):
        chunks = _from_splits(data, _Names.of(data, inputs, targets, times), samples_per_file)
    else:
        if inputs is not None or targets is not None or times is not None:
            raise ValueError("inputs, targets, times: expected None with WellArrays, which name their own, found some")
        chunks = _from_arrays(data, samples_per_file)
    stats, sums, counts = _FieldStats(), {}, dict.fromkeys(SPLITS, 0)
    for split, arrays in chunks:
        path = f"data/{split}/{name}_{counts[split]:04d}.hdf5"
        counts[split] += 1
        sums[path] = _write(folder / path, _encode(arrays, name))
        if split == "train":
            stats.add(arrays)
    sums["stats.yaml"] = _write(folder / "stats.yaml", emit_stats(stats.results()).encode())
    listing = "".join(f"{digest}  {path}\n" for path, digest in sorted(sums.items()))
    replace_file(folder / CHECKSUMS, listing.encode())
    return folder


def _write(path: Path, content: bytes) -> str:
    make_folder(path.parent)
    replace_file(path, content)
    return hashlib.sha256(content).hexdigest()


def _from_arrays(data: Mapping[str, WellArrays], most: int) -> Iterator[tuple[str, WellArrays]]:
    if "train" not in data or data.keys() - set(SPLITS):
        raise ValueError(f"data: expected splits of {', '.join(SPLITS)}, train among them, found {[*data]}")
    first = data["train"]
    for split, arrays in data.items():
        if (arrays.grid, arrays.fields.keys(), arrays.constants.keys(), arrays.parameters.keys()) != (
            first.grid,
            first.fields.keys(),
            first.constants.keys(),
            first.parameters.keys(),
        ):
            raise ValueError(f"data: {split}: expected the grid, fields and parameters of train, found others")
    for split, arrays in data.items():
        for start in range(0, arrays.samples, most):
            yield split, arrays.part(start, min(start + most, arrays.samples))


@dataclass(frozen=True)
class _Names:
    inputs: Sequence[str]
    targets: Sequence[str]
    times: tuple[float, float] | None

    @classmethod
    def of(cls, data: DataSplits, inputs: Any, targets: Any, times: Any) -> _Names:
        batch = data.train.batch([0])
        trajectories = batch.times is not None
        inputs, targets = (
            named if given is None else given
            for given, named in zip((inputs, targets), data.channel_names, strict=True)
        )
        channels = {
            "inputs": (inputs, batch.inputs.shape[1]),
            "targets": (targets, batch.targets.shape[1 + trajectories]),
        }
        for what, (names, count) in channels.items():
            if len(set(names)) != len(names) or len(names) != count:
                raise ValueError(f"{what}: expected {count} different names, one a channel, found {names!r}")
        if trajectories:
            if times is not None:
                raise ValueError(f"times: expected None with trajectories, which have their own, found {times}")
            if list(inputs) != list(targets) and set(inputs) & set(targets):
                raise ValueError(
                    f"inputs, targets: expected the same names or other ones, found {inputs} and {targets}"
                )
        elif times is None and set(inputs) & set(targets):
            raise ValueError(f"inputs, targets: expected different names without times, found {inputs} and {targets}")
        if times is not None and list(inputs) != list(targets):
            raise ValueError(f"inputs, targets: expected the same names with times, found {inputs} and {targets}")
        return cls(inputs, targets, times)


def _from_splits(data: DataSplits, names: _Names, most: int) -> Iterator[tuple[str, WellArrays]]:
    for split, part in (("train", data.train), ("test", data.test)):
        for start in range(0, len(part), most):
            yield split, _arrays(part, range(start, min(start + most, len(part))), names)


def _arrays(data: Dataset, samples: range, names: _Names) -> WellArrays:
    batch = data.batch(samples)
    channel = 1 if batch.times is None else 2
    before = dict(zip(names.inputs, batch.inputs.movedim(1, 0).numpy(), strict=True))
    after = dict(zip(names.targets, batch.targets.movedim(channel, 0).numpy(), strict=True))
    parameters = {key: values.numpy() for key, values in (batch.parameters or {}).items()}
    if batch.times is not None:
        constants = {} if before.keys() == after.keys() else before
        return WellArrays(data.grid, batch.times.tolist(), after, constants, parameters)
    if names.times is None:
        targets = {key: values[:, None] for key, values in after.items()}
        return WellArrays(data.grid, (0.0,), targets, before, parameters)
    pairs = {key: np.stack([before[key], after[key]], axis=1) for key in before}
    return WellArrays(data.grid, names.times, pairs, {}, parameters)


def _encode(arrays: WellArrays, name: str) -> bytes:
    """The bytes of one HDF5 file; the same bytes for the same arrays."""
    import h5py

    grid, axes = arrays.grid, "xyz"[: arrays.grid.dim]
    with h5py.File("well", "w", driver="core", backing_store=False, libver=("v110", "v110")) as file:
        file.attrs["dataset_name"], file.attrs["grid_type"] = name, "cartesian"
        file.attrs["n_spatial_dims"], file.attrs["n_trajectories"] = grid.dim, arrays.samples
        _texts(file, "simulation_parameters", ())
        dimensions = file.create_group("dimensions")
        _texts(dimensions, "spatial_dims", axes)
        _put(dimensions, "time", np.asarray(arrays.times), sample=False)
        for i, letter in enumerate(axes):
            _put(dimensions, letter, grid.axis(i).numpy(), sample=False, time=False)
        _boundaries(file.create_group("boundary_conditions"), grid)
        scalars = file.create_group("scalars")
        _texts(scalars, "field_names", arrays.parameters)
        for key, values in arrays.parameters.items():
            _put(scalars, key, values, sample=True, time=False)
        groups = [file.create_group(f"t{order}_fields") for order in range(3)]
        named: list[list[str]] = [[], [], []]
        for key, values in (*arrays.fields.items(), *arrays.constants.items()):
            order, moves = arrays.order(key), key in arrays.fields
            named[order].append(key)
            node = _put(groups[order], key, values, frames=1 + moves, sample=True, time=moves)
            node.attrs["dim_varying"] = np.ones(grid.dim, dtype=bool)
            if order == 2:
                node.attrs["symmetric"] = node.attrs["antisymmetric"] = False
        for group, names in zip(groups, named, strict=True):
            _texts(group, "field_names", names)
        file.flush()
        return file.id.get_file_image()


def _put(group: Any, key: str, values: np.ndarray, *, frames: int = 0, **varying: bool) -> Any:
    """A float32 data set with what its values vary by; chunks of one frame of one sample where there are `frames`."""
    with np.errstate(over="ignore"):  # what overflows is found by the check below
        stored = np.ascontiguousarray(values, dtype=np.float32)
    if not np.isfinite(stored).all():
        raise ValueError(f"{key}: expected values that float32 holds, found some beyond it")
    chunks = (1,) * frames + stored.shape[frames:]
    node = group.create_dataset(key, data=stored, chunks=chunks, fletcher32=True)
    for what, varies in varying.items():
        node.attrs[f"{what}_varying"] = varies
    return node


def _texts(node: Any, name: str, texts: Any) -> None:
    import h5py

    node.attrs.create(name, np.array(list(texts), dtype=object), dtype=h5py.string_dtype())


def _boundaries(group: Any, grid: Grid) -> None:
    for axis, letter in enumerate("xyz"[: grid.dim]):
        kinds = [_BOUNDARY_TYPES[side] for side in grid.boundary[axis]]
        for kind in dict.fromkeys(kinds):
            entry = group.create_group(f"{letter}_{kind.lower()}")
            entry.attrs["bc_type"] = kind
            _texts(entry, "associated_dims", [letter])
            _texts(entry, "associated_fields", ())
            entry.attrs["sample_varying"] = entry.attrs["time_varying"] = False
            mask = np.zeros(grid.shape[axis], dtype=bool)
            mask[0], mask[-1] = kinds[0] == kind, kinds[1] == kind
            entry["mask"] = mask
            entry["values"] = np.zeros(0, dtype=np.float32)


class _FieldStats:
    """Statistics of the training fields, and of their steps in time."""

    def __init__(self) -> None:
        self._values: dict[str, Moments] = {}
        self._steps: dict[str, Moments] = {}

    def add(self, arrays: WellArrays) -> None:
        for name, values in {**arrays.fields, **arrays.constants}.items():
            order = arrays.order(name)
            self._values.setdefault(name, Moments()).add(values, order)
            if name in arrays.fields and len(arrays.times) > 1:
                steps = np.diff(values.astype(np.float64), axis=1)
                self._steps.setdefault(name, Moments()).add(steps, order)

    def results(self) -> Stats:
        stats: Stats = {}
        for suffix, moments in (("", self._values), ("_delta", self._steps)):
            for name, moment in moments.items():
                for statistic, value in moment.results().items():
                    stats.setdefault(statistic + suffix, {})[name] = value
        return stats
