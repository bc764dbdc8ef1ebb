"""`Graph`: nodes and the shift operator that graph models apply."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from opnet.linops.base import LinearOperator


@dataclass(frozen=True)
class Graph:
    """A graph as graph models see it.

    Args:
        shift: the shift operator S, n x n, such as A / (alpha_n n), normalised already.
        positions: where the nodes sit in [0, 1], ascending, if the graph was sampled from a graphon; shape (n,).
        members: of a batch of graphs (`batch_graphs`), these; none for a single graph.

    Raises:
        ValueError: if the shift operator is not square, the positions are not one a node, or the members' nodes do not
            add up to its own.
    """

    shift: LinearOperator
    positions: Tensor | None = None
    members: tuple[Graph, ...] = ()

    def __post_init__(self) -> None:
        rows, columns = self.shift.shape
        if rows != columns:
            raise ValueError(f"Graph.shift: expected a square operator, found {rows} x {columns}")
        if self.positions is not None and tuple(self.positions.shape) != (rows,):
            raise ValueError(f"Graph.positions: expected shape ({rows},), found {tuple(self.positions.shape)}")
        if sum(self.sizes) != rows:
            raise ValueError(f"Graph.members: expected graphs whose nodes add up to {rows}, found {self.sizes}")

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Graph:
        """The same graph on another device or in another floating dtype; itself where nothing changes."""
        shift = self.shift
        if (torch.device(device or shift.device), dtype or shift.dtype) == (shift.device, shift.dtype):
            return self
        positions = None if self.positions is None else self.positions.to(device, dtype)
        return Graph(shift.to(device, dtype), positions, tuple(member.to(device, dtype) for member in self.members))

    def split(self, signals: Tensor) -> tuple[Tensor, ...]:
        """The signals of each graph of a batch; of a single graph, themselves.

        # shape: (..., node, feature) -> (..., node of one graph, feature) each
        """
        if signals.ndim < 2 or signals.shape[-2] != self.n:
            raise ValueError(f"Graph.split: expected (..., {self.n}, feature), found {tuple(signals.shape)}")
        return signals.split(list(self.sizes), -2)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of nodes of each graph of a batch; of a single graph, its own."""
        return tuple(member.n for member in self.members) or (self.n,)

    @property
    def n(self) -> int:
        """Number of nodes."""
        return self.shift.shape[0]
