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
from opnet.graphs.graph import Graph
from opnet.spaces.grid import Grid
from opnet.spaces.statistics import ChannelStatistics

Domain = Grid | Graph


@dataclass(frozen=True)
class Batch:
    """Samples that share one domain.

    Attributes:
        inputs: (batch, channel, *grid) on a `Grid`, (batch, node, feature) on a `Graph`.
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

    def take(self, index: Tensor) -> Batch:
        """The samples at the positions `index` of this batch."""
        parameters = None if self.parameters is None else {k: v[index] for k, v in self.parameters.items()}
        return replace(
            self,
            inputs=self.inputs[index],
            targets=self.targets[index],
            index=None if self.index is None else self.index[index.to(self.index.device)],
            parameters=parameters,
        )

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Batch:
        """Inputs, targets and graph on another device or in another floating dtype; a grid has neither."""
        domain = self.domain.to(device, dtype) if isinstance(self.domain, Graph) else self.domain
        inputs, targets = self.inputs.to(device, dtype), self.targets.to(device, dtype)
        return replace(self, inputs=inputs, targets=targets, domain=domain)


class Dataset(ABC):
    """Samples on one domain, read by index.

    Attributes:
        domain: the `Grid` or `Graph` all samples share.
        discretisation_error: relative L2 error of each target as the data set estimates it; None where unknown.
        residual: relative algebraic residual of each target as its solver left it; None where unknown.
        diagnostics: further numbers of each sample, by name.
        times: of the frames of trajectories, (time,); None where targets have no time axis.
    """

    domain: Domain
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

    def statistics(self) -> tuple[ChannelStatistics, ChannelStatistics]:
        """Statistics of inputs (shift and scale) and targets (scale alone: zero stays zero), for `Normalised`."""
        batch = self.all()
        return ChannelStatistics.of(batch.inputs), ChannelStatistics.of(batch.targets, center=False)

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
        index = torch.as_tensor(np.asarray(indices), dtype=torch.long)
        parameters = None if self.parameters is None else {k: v[index] for k, v in self.parameters.items()}
        return Batch(self.inputs[index], self.targets[index], self.domain, self.times, index, parameters)


class Subset(Dataset):
    """Some samples of a data set, read from it when asked for."""

    def __init__(self, whole: Dataset, indices: Tensor) -> None:
        self.whole, self.indices, self.domain, self.times = whole, indices, whole.domain, whole.times
        self.diagnostics = {name: values[indices] for name, values in whole.diagnostics.items()}
        if whole.discretisation_error is not None:
            self.discretisation_error = whole.discretisation_error[indices]
        if whole.residual is not None:
            self.residual = whole.residual[indices]

    def __len__(self) -> int:
        return len(self.indices)

    def batch(self, indices: Sequence[int] | Tensor | np.ndarray) -> Batch:
        return self.whole.batch(self.indices[torch.as_tensor(np.asarray(indices), dtype=torch.long)])
