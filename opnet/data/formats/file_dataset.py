"""`FileDataset`: samples read from other people's files in batches, when asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from opnet.core.errors import DataError
from opnet.data.batch import Batch, Dataset, positions
from opnet.data.formats.array_file import ArrayFile, Reader
from opnet.data.formats.layout import Layout
from opnet.spaces.grid import Grid

_LARGEST_BLOCK = 1 << 24  # values read at once, so that the buffer stays small however many samples are asked for


@dataclass(frozen=True)
class Channels:
    """Channels that lie in one array, or in one array a sample.

    Args:
        source: the file.
        keys: the array's key, or one for each sample.
        layout: of the array, or of each of them (without samples then).
        frames: the frames that become channels, one after the other; an array without time has frame 0 alone.
    """

    source: ArrayFile
    keys: tuple[str, ...]
    layout: Layout
    frames: tuple[int, ...] = (0,)

    @property
    def count(self) -> int:
        return len(self.frames) * self.layout.components

    def values_per_sample(self) -> int:
        return prod(self.layout.shape) // (self.layout.length("n") * self.layout.length("t"))

    def read(self, reader: Reader, start: int, stop: int, out: np.ndarray, buffer: Any) -> None:
        """Read samples `start` to `stop` into `out`, (sample, channel, *grid), by way of `buffer` where need be."""
        count = self.layout.components
        for i, frame in enumerate(self.frames):
            part = out[:, i * count : (i + 1) * count]
            if len(self.keys) == 1:
                self._read_frame(reader, self.keys[0], start, stop, frame, part, buffer)
            else:
                for sample in range(start, stop):
                    self.read_one(reader, sample, frame, part[sample - start], buffer)

    def read_one(self, reader: Reader, sample: int, frame: int, out: np.ndarray, buffer: Any) -> None:
        """Read one frame of one sample into `out`, (component, *grid)."""
        start = sample if len(self.keys) == 1 else 0
        self._read_frame(reader, self.key_of(sample), start, start + 1, frame, out[None], buffer)

    def _read_frame(
        self, reader: Reader, key: str, start: int, stop: int, frame: int, out: np.ndarray, buffer: Any
    ) -> None:
        selection = self.layout.select(start, stop, frame)
        shape = tuple(part.stop - part.start for part in selection)
        if self.layout.is_natural(out.shape[2:]) and out.flags.c_contiguous:
            reader(key, selection, out.reshape(shape))
        else:
            block = buffer[: prod(shape)].reshape(shape)
            reader(key, selection, block)
            out[...] = self.layout.arrange(block, out.shape[2:])

    def key_of(self, sample: int) -> str:
        return self.keys[0 if len(self.keys) == 1 else sample]


class FileDataset(Dataset):
    """Inputs and targets gathered from arrays of files; float32.

    Samples that follow each other are read together and contiguously into one buffer that is used again; every value
    is checked to be finite as it is read. No file stays open between batches.

    Args:
        inputs, targets: where their channels lie, in order.
        domain: the grid of all samples.
        length: the number of samples.
        parameters: numbers of each sample.
        times: of trajectories, whose target channels are frames, each with the same components; None for maps.

    Raises:
        DataError: while reading, for a file that changed, an array that is unsafe to read, values not finite.
    """

    def __init__(
        self,
        inputs: Sequence[Channels],
        targets: Sequence[Channels],
        domain: Grid,
        length: int,
        parameters: dict[str, Tensor] | None = None,
        times: Sequence[float] | None = None,
    ) -> None:
        self.inputs, self.targets, self.domain = tuple(inputs), tuple(targets), domain
        self.times = None if times is None else torch.tensor(times, dtype=torch.float64)
        assert times is None or sum(channels.count for channels in targets) % len(times) == 0
        self.length, self.parameters = length, parameters
        self._values_per_sample = max(channels.values_per_sample() for channels in (*inputs, *targets))
        self._buffer: np.ndarray | None = None

    def __len__(self) -> int:
        return self.length

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_buffer": None}

    def batch(self, indices: Sequence[int] | Tensor | np.ndarray) -> Batch:
        index = positions(indices, len(self))
        inputs, targets = self._empty(self.inputs, len(index)), self._empty(self.targets, len(index))
        with self._opened() as readers:
            for fields, out in ((self.inputs, inputs), (self.targets, targets)):
                self._fill(fields, readers, index, out.numpy())
        if self.times is not None:
            targets = targets.unflatten(1, (len(self.times), -1))
        parameters = None if self.parameters is None else {k: v[index] for k, v in self.parameters.items()}
        return Batch(inputs, targets, self.domain, self.times, torch.from_numpy(index), parameters)

    def frames(self, samples: np.ndarray, frames: np.ndarray) -> Tensor:
        assert self.times is not None
        stored = [(channels, frame) for channels in self.targets for frame in channels.frames]
        each = len(stored) // len(self.times)
        components = sum(channels.layout.components for channels, _ in stored[:each])
        out = torch.empty(*frames.shape, components, *self.grid.shape)
        with self._opened() as readers:
            for i, sample in enumerate(positions(samples, len(self)).tolist()):
                for j, wanted in enumerate(frames[i].tolist()):
                    start = 0
                    for channels, frame in stored[wanted * each : (wanted + 1) * each]:
                        part = out[i, j, start : start + channels.layout.components].numpy()
                        reader, start = readers[id(channels.source)], start + len(part)
                        channels.read_one(reader, sample, frame, part, self._scratch(1))
                        self._check_finite(channels, part[None], sample)
        return out

    @contextmanager
    def _opened(self) -> Iterator[dict[int, Reader]]:
        """Readers of all files, by the source's id, while the block lasts."""
        with ExitStack() as stack:
            readers: dict[int, Reader] = {}
            for channels in (*self.inputs, *self.targets):
                if id(channels.source) not in readers:
                    readers[id(channels.source)] = stack.enter_context(channels.source.opened())
            yield readers

    def _empty(self, fields: Sequence[Channels], count: int) -> Tensor:
        return torch.empty(count, sum(channels.count for channels in fields), *self.grid.shape)

    def _fill(self, fields: Sequence[Channels], readers: dict[int, Reader], index: np.ndarray, out: np.ndarray) -> None:
        wanted, place = np.unique(index, return_inverse=True)
        for first, last in _runs(wanted, max(1, _LARGEST_BLOCK // self._values_per_sample)):
            start, stop = int(wanted[first]), int(wanted[last - 1]) + 1
            positions = np.flatnonzero((place >= first) & (place < last))
            rows = place[positions] - first
            # Batches in ascending order without gaps, as most are read whole, need no second copy.
            direct = np.array_equal(rows, np.arange(stop - start)) and positions[-1] - positions[0] == len(rows) - 1
            channel = 0
            for channels in fields:
                part = slice(channel, channel + channels.count)
                channel = part.stop
                if direct:
                    target = out[positions[0] : positions[-1] + 1, part]
                else:
                    target = np.empty((stop - start, channels.count, *self.grid.shape), np.float32)
                reader = readers[id(channels.source)]
                channels.read(reader, start, stop, target, self._scratch(stop - start))
                self._check_finite(channels, target, start)
                if not direct:
                    out[positions, part] = target[rows]

    def _scratch(self, samples: int) -> np.ndarray:
        size = samples * self._values_per_sample
        if self._buffer is None or len(self._buffer) < size:
            self._buffer = np.empty(size, np.float32)
        return self._buffer

    @staticmethod
    def _check_finite(channels: Channels, values: np.ndarray, start: int) -> None:
        # Both ends of the range tell as much as every value, and cost a fraction: NaN prevails in either.
        if not (np.isfinite(values.min()) and np.isfinite(values.max())):
            finite = np.isfinite(values).reshape(len(values), -1).all(1)
            sample = start + int(np.flatnonzero(~finite)[0])
            raise DataError(
                f"{channels.source.file.path}: {channels.key_of(sample)}: expected finite values (in float32), "
                f"found NaN or Inf in sample {sample}"
            )


def _runs(ascending: np.ndarray, longest: int) -> Iterator[tuple[int, int]]:
    """Positions [first, last) of the stretches without gaps, none longer than `longest`."""
    breaks = np.flatnonzero(np.diff(ascending) != 1) + 1
    for first, last in zip([0, *breaks], [*breaks, len(ascending)], strict=True):
        for start in range(int(first), int(last), longest):
            yield start, min(start + longest, int(last))


class Concatenated(Dataset):
    """Data sets on one domain, one after the other.

    Args:
        parts: at least one; all on equal domains, with equal times.
    """

    def __init__(self, parts: Sequence[Dataset]) -> None:
        self.parts, self.domain, self.times = tuple(parts), parts[0].domain, parts[0].times
        assert all(part.domain == self.domain for part in parts)
        assert self.times is None or all(torch.equal(self.times, part.times) for part in parts)  # type: ignore[arg-type]
        self._starts = np.cumsum([0, *map(len, parts)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def batch(self, indices: Sequence[int] | Tensor | np.ndarray) -> Batch:
        index = positions(indices, len(self))
        owned, back = self._by_part(index)
        batches = [part.batch(rows) for part, rows, _ in owned]
        first = batches[0]
        parameters = first.parameters and {
            name: torch.cat([batch.parameters[name] for batch in batches if batch.parameters])[back]
            for name in first.parameters
        }
        return Batch(
            torch.cat([batch.inputs for batch in batches])[back],
            torch.cat([batch.targets for batch in batches])[back],
            self.domain,
            self.times,
            torch.from_numpy(index),
            parameters,
        )

    def frames(self, samples: np.ndarray, frames: np.ndarray) -> Tensor:
        owned, back = self._by_part(positions(samples, len(self)))
        return torch.cat([part.frames(rows, frames[places]) for part, rows, places in owned])[back]

    def _by_part(self, index: np.ndarray) -> tuple[list[tuple[Dataset, np.ndarray, np.ndarray]], Tensor]:
        """Each part asked for, the rows there and their places in the batch; and the order that puts them back."""
        owner = np.searchsorted(self._starts, index, side="right") - 1
        owned = []
        for i in np.unique(owner) if len(index) else [0]:
            places = np.flatnonzero(owner == i)
            owned.append((self.parts[i], index[places] - self._starts[i], places))
        order = np.concatenate([places for _, _, places in owned])
        return owned, torch.from_numpy(np.argsort(order, kind="stable"))
