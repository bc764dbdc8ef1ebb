"""`GraphsDataset`: samples on graphs of different sizes, as one data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from opnet.core.expect import expect
from opnet.data.batch import Batch, Dataset, positions, side_by_side
from opnet.graphs.batch import batch_graphs
from opnet.graphs.graph import Graph


class GraphsDataset(Dataset):
    """The samples of several data sets, each on a graph of its own, one data set after the other.

    A batch holds the graphs of its samples side by side (`batch_graphs`), its signals (1, node of any graph, feature);
    where all its samples are on one graph, it is that data set's own batch. `fit` trains on it, `evaluate` measures
    sample by sample.

    Args:
        parts: data sets on graphs, with as many features and the same times.

    Raises:
        ValueError: for no parts, and parts that are not on graphs or do not fit together.

    >>> from opnet.data.graph_trajectories import graph_trajectories
    >>> from opnet.graphs.graphons import tent
    >>> from opnet.solvers.pde.kuramoto import Kuramoto
    >>> data = GraphsDataset([graph_trajectories(Kuramoto(), tent(), n, range(3), (0.0, 1.0)) for n in (20, 30)])
    >>> batch = data.batch([0, 4])
    >>> len(data), len(batch), batch.inputs.shape, batch.domain.sizes
    (6, 2, torch.Size([1, 50, 2]), (20, 30))
    """

    shares_domain = False

    def __init__(self, parts: Sequence[Dataset]) -> None:
        self.parts = tuple(parts)
        if not self.parts:
            raise ValueError("GraphsDataset: expected at least one data set, found none")
        graphs = []
        for i, part in enumerate(self.parts):
            expect(f"GraphsDataset: parts[{i}]", part, Dataset, "a Dataset on a graph, such as graph_trajectories(...)")
            expect(f"GraphsDataset: parts[{i}].domain", part.domain, Graph, "a Graph")
            graphs.append(part.domain)
        self.domain = batch_graphs(graphs)  # type: ignore[arg-type]  # they are graphs, see above
        self.times = self.parts[0].times
        firsts = {i: part.batch([0]) for i, part in enumerate(self.parts) if len(part)}
        for i, first in firsts.items():
            before = next(iter(firsts.values()))
            for what, found, expected in (
                ("features", first.inputs.shape[-1], before.inputs.shape[-1]),
                ("features of the targets", first.targets.shape[-1], before.targets.shape[-1]),
                ("times", _listed(first.times), _listed(before.times)),
                ("parameters", sorted(first.parameters or ()), sorted(before.parameters or ())),
            ):
                if found != expected:
                    raise ValueError(f"GraphsDataset: parts[{i}]: expected {what} {expected} as before, found {found}")
        self._ends = np.cumsum([len(part) for part in self.parts])
        self.discretisation_error = _joined([part.discretisation_error for part in self.parts])
        self.residual = _joined([part.residual for part in self.parts])
        known = set.intersection(*(set(part.diagnostics) for part in self.parts))
        self.diagnostics = {name: torch.cat([part.diagnostics[name] for part in self.parts]) for name in sorted(known)}

    def __len__(self) -> int:
        return int(self._ends[-1])

    def batch(self, indices: Sequence[int] | Tensor | np.ndarray) -> Batch:
        index = positions(indices, len(self))
        owner = np.searchsorted(self._ends, index, side="right")
        samples: dict[int, Batch] = {}
        for k in np.unique(owner):
            mine = np.flatnonzero(owner == k)
            read = self.parts[k].batch(index[mine] - self._ends[k] + len(self.parts[k]))
            if len(mine) == len(index):
                return replace(read, index=torch.from_numpy(index))
            samples |= {int(at): read.take(torch.tensor([place])) for place, at in enumerate(mine)}
        return replace(side_by_side([samples[at] for at in range(len(index))]), index=torch.from_numpy(index))


def _listed(times: Tensor | None) -> list[float] | None:
    return None if times is None else times.tolist()


def _joined(parts: list[Tensor | None]) -> Tensor | None:
    known = [part for part in parts if part is not None]
    return torch.cat(known) if len(known) == len(parts) else None
