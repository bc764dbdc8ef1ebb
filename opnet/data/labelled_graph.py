"""`LabelledGraph`: one graph whose nodes have features and classes, and the public split of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from opnet.graphs.graph import Graph
from opnet.graphs.normalise import normalised_shift
from opnet.linops.sparse import CSR


@dataclass(frozen=True)
class LabelledGraph:
    """Edges, features and classes of n nodes, and which nodes train, validate and test.

    Args:
        adjacency: A, n x n.
        features: node by feature, sparse; n x f.
        labels: the class of each node, -1 where it is not known; (n,), int64.
        classes: how many there are.
        train, validation, test: indices of nodes, no node in two of them; their classes are known.

    Raises:
        ValueError: for shapes that do not fit, features that are not finite, and nodes or classes out of range.

    >>> import scipy.sparse
    >>> path = CSR.from_scipy(scipy.sparse.diags_array([1.0, 1.0], offsets=[-1, 1], shape=(3, 3)), torch.float32)
    >>> one, two, three = torch.arange(3).split(1)
    >>> data = LabelledGraph(path, path, torch.tensor([0, 1, 0]), 2, one, two, three)
    >>> data.graph().shift.diagonal()
    tensor([0.5000, 0.3333, 0.5000])
    >>> data.induced(torch.tensor([1, 2])).train
    tensor([], dtype=torch.int64)
    """

    adjacency: CSR
    features: CSR
    labels: Tensor
    classes: int
    train: Tensor
    validation: Tensor
    test: Tensor

    def __post_init__(self) -> None:
        n = self.n
        if self.adjacency.shape != (n, n) or self.features.shape[0] != n or tuple(self.labels.shape) != (n,):
            raise ValueError(
                f"LabelledGraph: expected edges, features and labels of {n} nodes, found shapes "
                f"{self.adjacency.shape}, {self.features.shape} and {tuple(self.labels.shape)}"
            )
        if not bool(self.features.values.isfinite().all()):
            raise ValueError("LabelledGraph.features: expected finite values, found NaN or infinite ones")
        for name in ("train", "validation", "test"):
            nodes = getattr(self, name)
            if len(nodes) and not 0 <= int(nodes.min()) <= int(nodes.max()) < n:
                raise ValueError(f"LabelledGraph.{name}: expected nodes from 0 to {n - 1}, found others")
            known = self.labels[nodes]
            if len(nodes) and not 0 <= int(known.min()) <= int(known.max()) < self.classes:
                raise ValueError(f"LabelledGraph.{name}: expected nodes of classes below {self.classes}, found others")
        together = torch.cat([self.train, self.validation, self.test])
        if len(together.unique()) != len(together):
            raise ValueError("LabelledGraph: expected each node in one part of the split, found some in several")

    @property
    def n(self) -> int:
        """Number of nodes."""
        return len(self.labels)

    def graph(self, normalisation: str = "symmetric", *, self_loops: bool = True) -> Graph:
        """The graph as models see it; see `normalised_shift`."""
        return Graph(normalised_shift(self.adjacency, normalisation, self_loops=self_loops))

    def induced(self, nodes: Tensor) -> LabelledGraph:
        """The sub-graph of some nodes and the edges between them, renumbered in their order.

        Raises:
            ValueError: for nodes that are out of range or listed twice.
        """
        if len(nodes.unique()) != len(nodes) or (len(nodes) and not 0 <= int(nodes.min()) <= int(nodes.max()) < self.n):
            raise ValueError(f"LabelledGraph.induced: expected different nodes from 0 to {self.n - 1}, found others")
        number = torch.full((self.n,), -1, device=nodes.device).index_put((nodes,), torch.arange(len(nodes)))
        i, j = number[self.adjacency.row_index], number[self.adjacency.column_index.long()]
        inside = (i >= 0) & (j >= 0)
        of, entry = number[self.features.row_index], self.features.column_index.long()
        kept = of >= 0
        train, validation, test = (number[part] for part in (self.train, self.validation, self.test))
        return replace(
            self,
            adjacency=CSR.from_entries(i[inside], j[inside], self.adjacency.values[inside], (len(nodes),) * 2),
            features=CSR.from_entries(
                of[kept], entry[kept], self.features.values[kept], (len(nodes), self.features.shape[1])
            ),
            labels=self.labels[nodes],
            train=train[train >= 0],
            validation=validation[validation >= 0],
            test=test[test >= 0],
        )

    def with_features_of_norm_one(self, order: int = 1) -> LabelledGraph:
        """The features of each node divided by `(sum |x|^order)^(1 / order)`; those of a node without any stay zero.

        Raises:
            ValueError: for an order below 1.
        """
        if order < 1:
            raise ValueError(f"LabelledGraph.with_features_of_norm_one: expected an order of at least 1, found {order}")
        x, row = self.features.values, self.features.row_index
        norms = x.new_zeros(self.n).index_add(0, row, x.abs() ** order) ** (1 / order)
        scaled = torch.where(x != 0, x / norms[row], x)
        return replace(self, features=self.features.rebuild((scaled,)))

    def to(self, device: Any = None, dtype: torch.dtype | None = None) -> LabelledGraph:
        """The same on another device or in another floating dtype."""
        indices = {name: getattr(self, name).to(device) for name in ("labels", "train", "validation", "test")}
        return replace(
            self, adjacency=self.adjacency.to(device, dtype), features=self.features.to(device, dtype), **indices
        )
