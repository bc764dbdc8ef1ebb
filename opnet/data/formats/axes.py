"""Coordinates of foreign files: grids from stored positions, frames from stored times, and what boundaries show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from math import floor, log10, prod
from typing import Any

import numpy as np

from opnet.core.errors import DataError
from opnet.core.expect import integers
from opnet.data.batch import Dataset
from opnet.spaces.grid import Grid

_LOOKED_AT = 16  # samples whose boundary values are measured, or as many as have this many values
_MOST_VALUES = 1 << 22


def grid_of(
    coordinates: Sequence[np.ndarray], where: Sequence[str], *, nodes: str | Sequence[str], boundary: Any
) -> Grid:
    """The grid whose nodes lie at the given coordinates of each axis.

    Args:
        coordinates: along each axis, at least two.
        where: file and key of each, for messages.
        nodes: placement, one or one an axis, by which the box reaches beyond the outer nodes: half a spacing for
            "cell", one at the right for "left", not at all for "vertex".

    Raises:
        DataError: unless they ascend evenly, to a thousandth of the spacing and float32's rounding.
    """
    extent, kinds = [], [nodes] * len(coordinates) if isinstance(nodes, str) else list(nodes)
    for values, place, kind in zip(coordinates, where, kinds, strict=True):
        values = np.asarray(values, dtype=np.float64)
        if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
            raise DataError(f"{place}: expected at least two finite coordinates, found shape {values.shape}")
        length = values[-1] - values[0]
        spacing = length / (len(values) - 1)
        rounding = 4 * np.finfo(np.float32).eps * np.abs(values).max()
        if not spacing > 0 or np.abs(np.diff(values) - spacing).max() > 1e-3 * spacing + rounding:
            raise DataError(f"{place}: expected evenly ascending coordinates, found {_shortly(values)}")
        before, after = {"cell": (0.5, 0.5), "left": (0.0, 1.0), "vertex": (0.0, 0.0)}[kind]
        digits = 6 - floor(log10(length))  # float32 coordinates know no more of the ends
        extent.append((round(values[0] - before * spacing, digits), round(values[-1] + after * spacing, digits)))
    return Grid(tuple(map(len, coordinates)), tuple(extent), boundary, tuple(kinds))


def check_times(times: np.ndarray, frames: int, where: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """The times of the frames, and a note if one more is stored, as PDEBench does.

    Raises:
        DataError: unless there are as many as frames, or one more, finite and ascending.
    """
    times = np.asarray(times, dtype=np.float64)
    if times.shape not in ((frames,), (frames + 1,)):
        raise DataError(f"{where}: expected {frames} times, or one more, found shape {times.shape}")
    if not np.isfinite(times).all() or not (np.diff(times) > 0).all():
        raise DataError(f"{where}: expected finite ascending times, found {_shortly(times)}")
    if len(times) == frames:
        return times, ()
    return times[:frames], (
        f"There is one time more than there are frames ({len(times)} and {frames}): frame 0 is taken to be at time "
        f"{times[0]:g}, the last time, {times[-1]:g}, belongs to none.",
    )


def checked_frames(name: str, frames: Any) -> tuple[int, ...]:
    """Frames as a tuple of integers, at least one; `ValueError` otherwise."""
    chosen = integers(name, frames, "integers, such as [0]; negative ones count from the end")
    if not chosen:
        raise ValueError(f"{name}: expected at least one frame, found none")
    return chosen


def check_trajectories(options: Any) -> None:
    """`ValueError` unless a format's option `trajectories` is a truth value, beside which no frames are chosen."""
    if not isinstance(options.trajectories, bool):
        raise ValueError(f"trajectories: expected true or false, found {options.trajectories!r}")
    defaults = {field.name: field.default for field in fields(options)}
    for name in ("input_frames", "target_frames"):
        if options.trajectories and getattr(options, name) != defaults[name]:
            raise ValueError(f"{name}: expected none beside trajectories=True, found {getattr(options, name)}")


def resolved_frames(name: str, frames: Sequence[int], count: int) -> tuple[int, ...]:
    """Frames counted from the start; `ValueError` for one that is not there."""
    if not all(-count <= frame < count for frame in frames):
        raise ValueError(f"{name}: expected frames from {-count} to {count - 1}, as the file has, found {list(frames)}")
    return tuple(frame % count for frame in frames)


def boundary_notes(data: Dataset) -> tuple[str, ...]:
    """What the first samples' targets (the last frames) show at the ends of each axis, in the terms of its boundary."""
    grid = data.grid
    count = max(1, min(_LOOKED_AT, len(data), _MOST_VALUES // prod(grid.shape)))
    if data.times is None:
        targets = data.batch(range(count)).targets
    else:
        targets = data.frames(np.arange(count), np.full((count, 1), len(data.times) - 1))[:, 0]
    values = targets.double().numpy()
    scale = np.abs(values).mean()
    notes = []
    for axis, (low, high) in enumerate(grid.boundary):
        ends = [np.take(values, i, 2 + axis) for i in (0, -1)]
        if low == "periodic":
            steps = np.sqrt((np.diff(values, axis=2 + axis) ** 2).mean())
            jump = np.sqrt(((ends[0] - ends[1]) ** 2).mean())
            if jump > 3 * steps:
                notes.append(
                    f"Targets are not quite periodic on axis {axis}: from the last node to the first they change by "
                    f"{jump:.2g} (rms), from node to node by {steps:.2g}."
                )
        elif "dirichlet" in (low, high) and scale > 0:
            near, far = (float(np.abs(end).mean() / scale) for end in ends)
            notes.append(
                f"|target| on the first and last nodes of axis {axis} averages {near:.2%} and {far:.2%} of its mean."
            )
    return tuple(notes)


def _shortly(values: np.ndarray) -> str:
    return np.array2string(values, threshold=6, edgeitems=2, precision=6)
