"""`Batch` and `Dataset`: all that crosses from data to models and metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from opnet.core.expect import expect, found
from opnet.graphs.batch import batch_graphs
from opnet.graphs.graph import Graph
from opnet.spaces.grid import Grid
from opnet.spaces.statistics import ChannelStatistics, RunningStatistics

Domain = Grid | Graph
STATISTICS_VALUES = 1 << 25  # read at once: 128 MiB in float32


@dataclass(frozen=True)
class Batch:
    """Samples that share one domain.

    Attributes:
        inputs: (batch, channel, *grid) on a `Grid`, (batch, node, feature) on a `Graph`, (1, node of any graph,
            feature) on a batch of graphs, whose members are the samples' own.
        targets: the same form; with times (batch, time, channel, *grid) or (batch, time, node, feature).
        domain: where the values sit.
        times: for trajectories, the times of the targets, the first that of the inputs.
        index: positions of the samples in their data set, for messages and paired comparisons.
        parameters: numbers of each sample that are not functions, each of shape (batch,).
    """

    inputs: Tensor
    targets: Tensor
    domain: Domain
    times: Tensor | None = None
    index: Tensor | None = None
    parameters: dict[str, Tensor] | None = None

    def __len__(self) -> int:
        """Number of samples."""
        members = len(self.domain.sizes) if isinstance(self.domain, Graph) else 1
        return members * len(self.inputs)

    def take(self, index: Tensor) -> Batch:
        """The samples at the positions `index` of this batch."""
        if isinstance(self.domain, Graph) and self.domain.members:
            samples = self._each()
            return side_by_side([samples[i] for i in index.tolist()])
        parameters = None if self.parameters is None else {k: v[index] for k, v in self.parameters.items()}
        return replace(
            self,
            inputs=self.inputs[index],
            targets=self.targets[index],
            index=None if self.index is None else self.index[index.to(self.index.device)],
            parameters=parameters,
        )

    def _each(self) -> list[Batch]:
        """The samples of a batch of graphs, one by one."""
        assert isinstance(self.domain, Graph)
        if len(self.inputs) != 1:
            raise ValueError(f"Batch: expected one signal on each graph of a batch, found {len(self.inputs)}")
        parts = zip(self.domain.members, *map(self.domain.split, (self.inputs, self.targets)), strict=True)
        samples = []
        for i, (graph, inputs, targets) in enumerate(parts):
            index = None if self.index is None else self.index[i : i + 1]
            parameters = None if self.parameters is None else {k: v[i : i + 1] for k, v in self.parameters.items()}
            samples.append(Batch(inputs, targets, graph, self.times, index, parameters))
        return samples

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Batch:
        """Inputs, targets and graph on another device or in another floating dtype; a grid has neither."""
        domain = self.domain.to(device, dtype) if isinstance(self.domain, Graph) else self.domain
        inputs, targets = self.inputs.to(device, dtype), self.targets.to(device, dtype)
        return replace(self, inputs=inputs, targets=targets, domain=domain)


class Dataset(ABC):
    """Samples on one domain, read by index.

    Attributes:
        domain: the `Grid` or `Graph` all samples share.
        shares_domain: False where samples are on graphs of their own, which their batches bring (`GraphsDataset`).
        discretisation_error: relative L2 error of each target as the data set estimates it; None where unknown.
        residual: relative algebraic residual of each target as its solver left it; None where unknown.
        diagnostics: further numbers of each sample, by name.
        times: of the frames of trajectories, (time,); None where targets have no time axis.
    """

    domain: Domain
    shares_domain: bool = True
    discretisation_error: Tensor | None = None
    residual: Tensor | None = None
    diagnostics: Mapping[str, Tensor] = MappingProxyType({})
    times: Tensor | None = None

    @property
    def grid(self) -> Grid:
        """The domain of a data set on a grid; `ValueError` for one on a graph."""
        if not isinstance(self.domain, Grid):
            raise ValueError(f"expected a data set on a grid, found one on a {type(self.domain).__name__}")
        return self.domain

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def batch(self, indices: Sequence[int] | Tensor | np.ndarray) -> Batch:
        """The samples at `indices`, in that order."""

    def all(self) -> Batch:
        return self.batch(range(len(self)))

    def __getitem__(self, index: int) -> Batch:
        """The sample at `index`, as a batch of one."""
        return self.batch([index])

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """What a `torch.utils.data.DataLoader(..., collate_fn=as_batch)` asks for: a whole batch, read at once."""
        return self.batch(indices)

    def frames(self, samples: np.ndarray, frames: np.ndarray) -> Tensor:
        """Some frames of the targets, others for each sample.

        Args:
            samples: (batch,).
            frames: (batch, frame).

        Returns:
            (batch, frame, channel, *grid), or (batch, frame, node, feature).
        """
        targets = self.batch(samples).targets
        return targets[torch.arange(len(targets))[:, None], torch.from_numpy(frames)]

    @property
    def domain_is_grid(self) -> bool:
        return isinstance(self.domain, Grid)

    def statistics(self) -> tuple[ChannelStatistics, ChannelStatistics]:
        """Statistics of inputs (shift and scale) and targets (scale alone: zero stays zero), for `Normalised`.

        Every sample is read once, in batches of a bounded number of values: data larger than memory have statistics
        too. On a graph the channels are the nodes' features.

        Raises:
            ValueError: for a data set without samples.
        """
        inputs, targets = RunningStatistics(), RunningStatistics(center=False)
        start, count = 0, 1  # the first sample alone tells how large they are
        while start < len(self):
            batch = self.batch(range(start, min(start + count, len(self))))
            frames = batch.targets if batch.times is None else batch.targets.flatten(0, 1)
            inputs.add(self._channels_second(batch.inputs))
            targets.add(self._channels_second(frames))
            start += count
            count = max(1, STATISTICS_VALUES // (batch.inputs[0].numel() + batch.targets[0].numel()))
        return inputs.result(), targets.result()

    def _channels_second(self, values: Tensor) -> Tensor:
        return values if self.domain_is_grid else values.transpose(1, 2)

    def in_memory(self) -> ArrayDataset:
        """The same samples read once and for all; `ValueError` for samples that do not share their domain."""
        if not self.shares_domain:
            raise ValueError("in_memory: expected samples on one domain, found several graphs; hold each part")
        batch = self.all()
        return ArrayDataset(
            batch.inputs,
            batch.targets,
            self.domain,
            times=self.times,
            discretisation_error=self.discretisation_error,
            residual=self.residual,
            parameters=batch.parameters,
            diagnostics=self.diagnostics,
        )

    def windows(self, frames_in: int, frames_out: int = 1, *, stride: int = 1, every: int = 1) -> Dataset:
        """Pairs of successive time windows of every trajectory, their frames as channels.

        Args:
            frames_in, frames_out: frames of the inputs, and of the targets after them.
            stride: frames from one window's start to the next.
            every: frames from one frame of a window to the next.

        Raises:
            ValueError: for samples without times, or windows longer than they are.

        >>> from opnet.data.batch import ArrayDataset
        >>> u = torch.arange(6.0).reshape(1, 6, 1, 1).expand(2, 6, 1, 4)  # two samples of six frames
        >>> data = ArrayDataset(u[:, 0], u, Grid((4,), boundary="periodic"), times=torch.arange(6.0))
        >>> pairs = data.windows(2, 1)
        >>> len(pairs), pairs.batch([1]).inputs[0, :, 0].tolist(), pairs.batch([1]).targets[0, :, 0].tolist()
        (8, [1.0, 2.0], [3.0])
        """
        from opnet.data.windows import Windows, frames_of

        for name, value in (("frames_in", frames_in), ("frames_out", frames_out), ("stride", stride), ("every", every)):
            if value < 1:
                raise ValueError(f"windows: {name}: expected at least 1, found {value}")
        last = (frames_in + frames_out - 1) * every
        inputs = [i * every for i in range(frames_in)]
        targets = [i * every for i in range(frames_in, frames_in + frames_out)]
        return Windows(self, inputs, targets, range(0, frames_of(self) - last, stride))

    def frame_map(self, start: int, stop: int) -> Dataset:
        """The map from one frame of every trajectory to another, each as the channels it has."""
        from opnet.data.windows import Windows, frames_of

        count = frames_of(self)
        pair = [frame + count if frame < 0 else frame for frame in (start, stop)]
        return Windows(self, pair[:1], pair[1:], [0])

    def rollouts(self, frames_in: int = 1) -> Dataset:
        """The first frames as inputs and all later ones as targets: what autoregressive predictions are held to."""
        from opnet.data.windows import Rollouts

        return Rollouts(self, frames_in)

    def resampled(self, resolution: int, how: str | tuple[str, str] = "spectral") -> Dataset:
        """The same functions on fewer nodes; `how` is "spectral", "full_weighting", "stride", or one for inputs and one
        for targets (see `opnet.spaces.resampling.resample`).
        """
        from opnet.data.resampled import Resampled

        return Resampled(self, resolution, how)

    def subset(self, indices: Sequence[int] | Tensor | np.ndarray) -> Dataset:
        """The samples at `indices` as a data set of their own; `ValueError` for positions that are not there."""
        index, n = np.asarray(indices), len(self)
        if index.size and not (index.ndim == 1 and index.dtype.kind in "iu"):
            raise ValueError(f"subset: expected a sequence of integers, found {found(indices)}")
        if index.size and not -n <= index.min() <= index.max() < n:
            raise ValueError(f"subset: expected positions from 0 to {n - 1}, found {index.min()} to {index.max()}")
        return Subset(self, torch.as_tensor(index, dtype=torch.long))


class ArrayDataset(Dataset):
    """A data set held in memory.

    Args:
        inputs, targets: floating tensors of as many finite samples; see `Batch` for their shapes.
        domain: the `Grid` or `Graph` of all samples.

    Raises:
        ValueError: for other dtypes, numbers of samples, values that are not finite, or a shape not the grid's.

    >>> data = ArrayDataset(torch.zeros(3, 1, 4), torch.ones(3, 1, 4), Grid((4,), nodes="cell"))
    >>> len(data), data.batch([2]).targets.shape
    (3, torch.Size([1, 1, 4]))
    """

    def __init__(
        self,
        inputs: Tensor,
        targets: Tensor,
        domain: Domain,
        *,
        times: Tensor | None = None,
        discretisation_error: Tensor | None = None,
        residual: Tensor | None = None,
        parameters: dict[str, Tensor] | None = None,
        diagnostics: Mapping[str, Tensor] | None = None,
    ) -> None:
        for name, values in (("inputs", inputs), ("targets", targets)):
            if not (isinstance(values, Tensor) and values.is_floating_point()):
                raise ValueError(f"ArrayDataset: {name}: expected a floating Tensor, found {found(values)}")
        expect("ArrayDataset: domain", domain, (Grid, Graph), "a Grid or a Graph")
        if len(inputs) != len(targets):
            raise ValueError(f"expected as many targets as inputs, found {len(targets)} and {len(inputs)}")
        for name, values in (("inputs", inputs), ("targets", targets)):
            if not torch.isfinite(values).all():
                sample = int(torch.nonzero(~torch.isfinite(values).reshape(len(values), -1).all(1))[0])
                raise ValueError(f"{name}: expected finite values, found NaN or Inf in sample {sample}")
        if isinstance(domain, Grid) and tuple(inputs.shape[2:]) != domain.shape:
            raise ValueError(f"inputs: expected (sample, channel, *{domain.shape}), found {tuple(inputs.shape)}")
        self.inputs, self.targets, self.domain, self.times = inputs, targets, domain, times
        self.discretisation_error, self.residual = discretisation_error, residual
        self.parameters, self.diagnostics = parameters, dict(diagnostics or {})

    def __len__(self) -> int:
        return len(self.inputs)

    def batch(self, indices: Sequence[int] | Tensor | np.ndarray) -> Batch:
        index = torch.from_numpy(positions(indices, len(self)))
        parameters = None if self.parameters is None else {k: v[index] for k, v in self.parameters.items()}
        return Batch(self.inputs[index], self.targets[index], self.domain, self.times, index, parameters)


class Subset(Dataset):
    """Some samples of a data set, read from it when asked for."""

    def __init__(self, whole: Dataset, indices: Tensor) -> None:
        self.whole, self.indices, self.domain, self.times = whole, indices, whole.domain, whole.times
        self.shares_domain = whole.shares_domain
        self.diagnostics = {name: values[indices] for name, values in whole.diagnostics.items()}
        if whole.discretisation_error is not None:
            self.discretisation_error = whole.discretisation_error[indices]
        if whole.residual is not None:
            self.residual = whole.residual[indices]

    def __len__(self) -> int:
        return len(self.indices)

    def batch(self, indices: Sequence[int] | Tensor | np.ndarray) -> Batch:
        return self.whole.batch(self.indices[torch.as_tensor(np.asarray(indices), dtype=torch.long)])

    def frames(self, samples: np.ndarray, frames: np.ndarray) -> Tensor:
        return self.whole.frames(self.indices.numpy()[samples], frames)


def side_by_side(samples: Sequence[Batch]) -> Batch:
    """Batches of one sample on a graph each, (1, node, feature), as one on the batch of their graphs.

    Raises:
        ValueError: from `batch_graphs`, where the graphs do not fit together.
    """
    first = samples[0]
    index = [sample.index for sample in samples if sample.index is not None]
    names = () if first.parameters is None else first.parameters
    return Batch(
        torch.cat([sample.inputs for sample in samples], 1),
        torch.cat([sample.targets for sample in samples], -2),
        batch_graphs([sample.domain for sample in samples]),  # type: ignore[misc]  # which says so of a grid
        first.times,
        torch.cat(index) if len(index) == len(samples) else None,
        {name: torch.cat([(sample.parameters or {})[name] for sample in samples]) for name in names} or None,
    )


def positions(indices: Sequence[int] | Tensor | np.ndarray, length: int) -> np.ndarray:
    """Indices of samples counted from the start; `IndexError` for one that is not there, `ValueError` for no integers.

    >>> positions([0, -1], 5).tolist()
    [0, 4]
    """
    index = np.asarray(indices).reshape(-1)
    if len(index) and index.dtype.kind not in "iu":
        raise ValueError(f"indices: expected integers, found {found(indices)}")
    if len(index) and not (-length <= index.min() and index.max() < length):
        raise IndexError(f"indices: expected positions below {length}, found {index.min()} to {index.max()}")
    index = index.astype(np.int64)
    return np.where(index < 0, index + length, index)


def as_batch(batch: Batch) -> Batch:
    """The `collate_fn` of data loaders, which get whole batches from opnet's data sets.

    >>> from torch.utils.data import DataLoader
    >>> data = ArrayDataset(torch.zeros(5, 1, 4), torch.ones(5, 1, 4), Grid((4,), nodes="cell"))
    >>> [len(batch.inputs) for batch in DataLoader(data, batch_size=2, collate_fn=as_batch)]
    [2, 2, 1]
    """
    return batch
