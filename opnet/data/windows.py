"""Trajectories cut in time: windows for training step by step, first frames and the rest for rollouts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from opnet.data.batch import Batch, Dataset, positions


class Windows(Dataset):
    """Pairs of frames of trajectories, as channels: inputs (batch, frames_in * channel, *grid), targets alike.

    Every sample gives a pair for each start: its input frames are `start + offset` for the offsets `inputs`, its target
    frames those for `targets`. Pairs are ordered by sample, then by start. Error bars of trajectories are not those of
    single frames, and are left out.

    Args:
        whole: trajectories on grids or graphs.
        inputs, targets: offsets of frames.
        starts: first frames.

    Raises:
        ValueError: for data without times, or frames that are not there.
    """

    def __init__(self, whole: Dataset, inputs: Sequence[int], targets: Sequence[int], starts: Sequence[int]) -> None:
        frames = frames_of(whole)
        reached = [start + offset for start in starts for offset in (*inputs, *targets)]
        if not inputs or not targets or not starts or not 0 <= min(reached) <= max(reached) < frames:
            raise ValueError(
                f"windows: expected frames from 0 to {frames - 1}, found {len(starts)} windows of frames "
                f"{[*inputs, *targets]} from the first on{f', up to {max(reached)}' if reached else ''}"
            )
        self.whole, self.domain = whole, whole.domain
        self._inputs, self._targets, self._starts = (np.array(x, dtype=np.int64) for x in (inputs, targets, starts))

    @property
    def description(self) -> str:
        """The protocol, in a phrase for results: frames in, frames out."""
        return f"frames {self._inputs.tolist()} to {self._targets.tolist()} of {len(self._starts)} starts a trajectory"

    def __len__(self) -> int:
        return len(self.whole) * len(self._starts)

    def batch(self, indices: Sequence[int] | Tensor | np.ndarray) -> Batch:
        index = positions(indices, len(self))
        samples, starts = index // len(self._starts), self._starts[index % len(self._starts)]
        offsets = np.concatenate([self._inputs, self._targets])
        frames = self.whole.frames(samples, starts[:, None] + offsets)
        cut = len(self._inputs)
        return Batch(
            as_channels(frames[:, :cut], self.domain_is_grid),
            as_channels(frames[:, cut:], self.domain_is_grid),
            self.domain,
            index=torch.from_numpy(index),
        )


class Rollouts(Dataset):
    """The first frames of trajectories as inputs, all later ones as targets with their times.

    Inputs are (batch, frames_in * channel, *grid), targets (batch, time, channel, *grid) with the times of those frames
    alone. Error bars are those of the trajectories.
    """

    def __init__(self, whole: Dataset, frames_in: int) -> None:
        frames = frames_of(whole)
        if not 1 <= frames_in < frames:
            raise ValueError(f"rollouts: expected 1 to {frames - 1} frames in, found {frames_in}")
        assert whole.times is not None
        self.whole, self.frames_in, self.domain, self.times = whole, frames_in, whole.domain, whole.times[frames_in:]
        self.discretisation_error, self.residual, self.diagnostics = (
            whole.discretisation_error,
            whole.residual,
            whole.diagnostics,
        )

    def __len__(self) -> int:
        return len(self.whole)

    def batch(self, indices: Sequence[int] | Tensor | np.ndarray) -> Batch:
        batch = self.whole.batch(indices)
        first, rest = batch.targets[:, : self.frames_in], batch.targets[:, self.frames_in :]
        return replace(batch, inputs=as_channels(first, self.domain_is_grid), targets=rest, times=self.times)


def frames_of(data: Dataset) -> int:
    """How many frames the trajectories of `data` have; `ValueError` for data without times or on several graphs."""
    if not data.shares_domain:
        raise ValueError("expected trajectories on one domain to cut, found several graphs; cut each part by itself")
    if data.times is None:
        raise ValueError(
            "expected trajectories, found samples without times; foreign files that hold frames are read with "
            "trajectories=True"
        )
    return len(data.times)


def as_channels(frames: Tensor, on_grid: bool) -> Tensor:
    """(batch, time, channel, *grid) with the frames one after the other as channels; nodes' features on a graph."""
    return frames.flatten(1, 2) if on_grid else frames.transpose(1, 2).flatten(2)
