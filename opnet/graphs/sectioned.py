"""`SectionedGraphon`: a {0,1}-valued graphon whose sections are known intervals."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from opnet.graphs.graphon import Graphon
from opnet.graphs.runs import Runs, RunSum
from opnet.graphs.sections import section_operator
from opnet.linops.base import LinearOperator

if TYPE_CHECKING:
    from opnet.graphs.limit import Panels


class SectionedGraphon(Graphon):
    """W(x, y) = 1 for y in some intervals for each x, else 0: summed by runs of columns, in O(n + runs)."""

    zero_one = True
    rough = True

    @property
    def rows_at_once(self) -> int:
        """Rows whose sections are found together, which bounds the memory they take."""
        return 2**16

    @abstractmethod
    def sections(self, x: Tensor) -> Runs:
        """The intervals {y: W(x, y) = 1} of each x, exactly.

        Args:
            x: points in [0, 1] in any order, shape (m,).
        """

    @abstractmethod
    def cells(self, n: int) -> Runs:
        """The columns j of each row i whose half-open cell I_i x I_j, I_i = [i/n, (i+1)/n), meets the support."""

    def columns(self, x: Tensor) -> Runs:
        """The columns j of each row i with W(x_i, x_j) = 1; at midpoints, the cells whose centre lies in the set.

        Args:
            x: points in [0, 1], ascending, shape (n,).

        Raises:
            ValueError: for points that do not ascend.
        """
        if not bool((x.diff() >= 0).all()):
            raise ValueError("columns: expected ascending points")
        return self._columns(x, x)

    def weighted_sum(self, x: Tensor, weights: Tensor, *, keep_diagonal: bool = True) -> RunSum:
        order = None if bool((x.diff() >= 0).all()) else torch.argsort(x)
        runs = self._columns(x, x if order is None else x[order])
        if not keep_diagonal:
            runs = runs.without(torch.arange(len(x)) if order is None else torch.argsort(order).cpu())
        return RunSum(runs, weights, order=order)

    def cell_adjacency(self, n: int) -> RunSum:
        return RunSum(self.cells(n), torch.ones(n, dtype=torch.float64))

    def integral(self, panels: Panels, u: Tensor, dtype: torch.dtype) -> LinearOperator:
        return section_operator(self, panels, u, dtype)

    def positions(self, x: Tensor) -> Tensor:
        """Where sections count x to lie, float64 on the CPU."""
        return x.to("cpu", torch.float64)

    def _columns(self, rows: Tensor, ascending: Tensor) -> Runs:
        at = self.positions(ascending)
        return Runs.stack([self._held(self.sections(part), at) for part in rows.split(self.rows_at_once)])

    @staticmethod
    def _held(sections: Runs, at: Tensor) -> Runs:
        # Points on the ends of a section are in the set.
        low, high = torch.searchsorted(at, sections.low), torch.searchsorted(at, sections.high, right=True)
        return Runs.union(sections.row, low, high, sections.rows)
