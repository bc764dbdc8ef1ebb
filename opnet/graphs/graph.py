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
        sizes: of a batch of graphs (`batch_graphs`), the number of nodes of each; None for a single graph.

    Raises:
        ValueError: if the shift operator is not square, the positions are not one a node, or the sizes do not add up.
    """

    shift: LinearOperator
    positions: Tensor | None = None
    sizes: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        rows, columns = self.shift.shape
        if rows != columns:
            raise ValueError(f"Graph.shift: expected a square operator, found {rows} x {columns}")
        if self.positions is not None and tuple(self.positions.shape) != (rows,):
            raise ValueError(f"Graph.positions: expected shape ({rows},), found {tuple(self.positions.shape)}")
        if self.sizes is not None and (sum(self.sizes) != rows or min(self.sizes, default=0) < 1):
            raise ValueError(f"Graph.sizes: expected positive numbers that add up to {rows}, found {self.sizes}")

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Graph:
        """The same graph on another device or in another floating dtype; itself where nothing changes."""
        shift = self.shift
        if (torch.device(device or shift.device), dtype or shift.dtype) == (shift.device, shift.dtype):
            return self
        positions = None if self.positions is None else self.positions.to(device, dtype)
        return Graph(shift.to(device, dtype), positions, self.sizes)

    def split(self, signals: Tensor) -> tuple[Tensor, ...]:
        """The signals of each graph of a batch; of a single graph, themselves.

        # shape: (..., node, feature) -> (..., node of one graph, feature) each
        """
        if signals.ndim < 2 or signals.shape[-2] != self.n:
            raise ValueError(f"Graph.split: expected (..., {self.n}, feature), found {tuple(signals.shape)}")
        return signals.split(list(self.sizes or (self.n,)), -2)

    @property
    def n(self) -> int:
        """Number of nodes."""
        return self.shift.shape[0]
