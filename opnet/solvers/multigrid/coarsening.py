"""Which nodes of a grid the next coarser one keeps: every second along an axis, whatever its length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

SHORTEST = 4  # an axis of fewer nodes is left as it is


@dataclass(frozen=True)
class Coarsening:
    """How the nodes of one axis are thinned.

    The coarse node I is the fine node 2 I + first; its basis function reaches one fine node further on either side.
    An axis that does not wrap keeps its odd nodes, so that both ends, or with an even length one, lie between a coarse
    node and the boundary; 419 nodes become 209, 104, 52, 26, 13, 6. A periodic axis of odd length keeps its even nodes,
    of which the last and the first are neighbours.

    >>> Coarsening.of(419, False).coarse, Coarsening.of(8, True).coarse, Coarsening.of(9, True).coarse
    (209, 4, 5)
    """

    n: int
    periodic: bool
    first: int
    coarse: int

    @classmethod
    def of(cls, n: int, periodic: bool) -> Coarsening:
        first = 0 if periodic and n % 2 else 1
        return cls(n, periodic, first, len(range(first, n, 2)))

    @property
    def folds(self) -> bool:
        """Whether the last basis function reaches around to the first node."""
        return self.periodic and self.n % 2 == 0

    def extend(self, x: Tensor, dim: int, reach: int) -> Tensor:
        """x with the neighbours of coarse nodes within `reach`, so that node 2 I + first + o is entry 2 I + o + reach.

        Beyond the ends it is zero, or wraps. The result has 2 coarse + 2 reach - 1 entries along the axis.
        """
        low, high = reach - self.first, 2 * (self.coarse - 1) + self.first + reach - (self.n - 1)
        if self.periodic:
            index = torch.arange(-low, self.n + high, device=x.device) % self.n
            return x.index_select(dim, index)
        padding = [0, 0] * (-dim - 1) + [low, high]
        return torch.nn.functional.pad(x, padding)

    def fold(self, x: Tensor, dim: int) -> Tensor:
        """What basis functions of reach 1 gave to extended nodes, brought to the nodes: the transpose of `extend`."""
        start = 1 - self.first
        nodes = x.narrow(dim, start, self.n)
        if self.folds:
            nodes.narrow(dim, 0, 1).add_(x.narrow(dim, self.n, 1))
        return nodes


def coarsenings(shape: Sequence[int], periodic: Sequence[bool]) -> list[Coarsening | None] | None:
    """One for each axis, None for an axis too short to be thinned; None in all if every axis is."""
    axes = [Coarsening.of(n, wraps) if n >= SHORTEST else None for n, wraps in zip(shape, periodic, strict=True)]
    return axes if any(axes) else None
