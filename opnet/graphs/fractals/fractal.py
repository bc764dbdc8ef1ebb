"""`Fractal`: a graphon that is 1 on a set made of ever smaller pieces."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from opnet.core.expect import integer
from opnet.graphs.fractals.pieces import RATIO, PieceTree
from opnet.graphs.graphon import RANDOM_EXPONENTS, Exponent
from opnet.graphs.runs import Runs
from opnet.graphs.sectioned import SectionedGraphon

TOUCHING = 1e-14
"""Intervals of a section this near to each other are one: pieces share vertices and edges up to rounding."""


@dataclass(frozen=True, repr=False)
class Fractal(SectionedGraphon):
    """W(x, y) = 1 where (x, y) lies in a set made by splitting one piece `depth` times, else 0.

    Subclasses say what the pieces are (`tree`) and which points lie in the set (`__call__`). `boundary_dimension` is
    that of the fractal; at a finite depth it shows at cells no smaller than the smallest pieces.

    Args:
        depth: how often the first piece is split, from 0 to `deepest`.

    Raises:
        ValueError: for another depth.
    """

    depth: int

    l2_modulus = 0.5
    transversal = True
    deepest = 12

    def __post_init__(self) -> None:
        if not 0 <= integer(f"{type(self).__name__}.depth", self.depth) <= self.deepest:
            raise ValueError(f"{type(self).__name__}.depth: expected 0 to {self.deepest}, found {self.depth}")

    @property
    @abstractmethod
    def tree(self) -> PieceTree:
        """The pieces."""

    @property
    def rows_at_once(self) -> int:
        return self.tree.rows_at_once()

    def sections(self, x: Tensor) -> Runs:
        """The intervals {y: W(x, y) = 1} of each x, exactly, by recursion on the pieces that a vertical line meets.

        Args:
            x: points in [0, 1] in any order, shape (m,).
        """
        return Runs.stack([self._sections(part) for part in self.positions(x).split(self.rows_at_once)])

    def cells(self, n: int) -> Runs:
        """The columns j of each row i whose half-open cell I_i x I_j, I_i = [i/n, (i+1)/n), meets the set.

        A piece whose part in the strip of a row lies in one cell, or in cells known to meet the set, is not split.

        Raises:
            ValueError: for fewer than one cell.
        """
        if integer("cells: n", n) < 1:
            raise ValueError(f"cells: expected at least one, found n = {n}")
        return Runs.stack([self._cells(rows, n) for rows in torch.arange(n).split(self.rows_at_once)])

    def exponents(self, n: int, *, regime: str = "weighted", keep_diagonal: bool = True) -> dict[str, Exponent]:
        # Of deeper ones the pieces are too small for the rate of straight boundaries to show at n of some thousands.
        if regime == "random":
            return RANDOM_EXPONENTS
        feature = {"feature": Exponent(-1.0, 0.05)}
        shown = regime == "cell" and self.depth <= 2
        return {**feature, "operator": Exponent(-1.0, 0.05)} if shown else feature

    def _sections(self, x: Tensor) -> Runs:
        front = self.tree.front(x, x)
        found = [front.filled()]
        for _ in range(self.tree.levels):
            front = front.split()
            found.append(front.filled())
        row, low, high = (torch.cat(column) for column in zip(*found, strict=True))
        return Runs.union(row, low, high, len(x), gap=TOUCHING)

    def _cells(self, rows: Tensor, n: int) -> Runs:
        # In units in which pieces of a third, a ninth, ... and cells have whole numbers as ends.
        unit = float(RATIO**self.tree.levels)
        left = rows.to(torch.float64) * unit
        spanning = torch.tensor([motif.spanning for motif in self.tree.motifs])
        front = self.tree.front(left, left + unit, scale=unit * n)
        found = Runs.union(*_in_cells(*front.filled(), unit), len(rows))
        for _ in range(self.tree.levels):
            row, low, high = _in_cells(front.row, *front.hulls(), unit)
            single = (high - low <= 1) & spanning[front.kind]
            found = _joined(found, (row[single], low[single], high[single]))
            front = front.only(~found.cover(row, low, high)).split()
            found = _joined(found, _in_cells(*front.filled(), unit))
        return found


def _joined(runs: Runs, more: tuple[Tensor, Tensor, Tensor]) -> Runs:
    row, low, high = (torch.cat(pair) for pair in zip((runs.row, runs.low, runs.high), more, strict=True))
    return Runs.union(row, low, high, runs.rows)


def _in_cells(row: Tensor, low: Tensor, high: Tensor, width: float) -> tuple[Tensor, Tensor, Tensor]:
    """Columns low ... high - 1 whose half-open cell of that width meets low < y < high."""
    return row, torch.floor(low / width).long(), torch.ceil(high / width).long()
