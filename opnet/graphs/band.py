"""The band graphon: each point joined to those near it, around the circle."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor

from opnet.graphs.graphon import RANDOM_EXPONENTS, Exponent
from opnet.graphs.runs import Runs
from opnet.graphs.sectioned import SectionedGraphon

SLACK = 1e-12
"""Points this near to the band's edge are on it: neighbours an exact fraction away are counted alike."""


@dataclass(frozen=True, repr=False)
class Band(SectionedGraphon):
    """W(x, y) = 1 where min(|x - y|, 1 - |x - y|) <= width / 2.

    Args:
        width: the share of all points that each is joined to, in (0, 1).
    """

    width: float

    l2_modulus = 0.5
    boundary_dimension = 1.0
    transversal = True

    @property
    def name(self) -> str:
        return f"band({self.width:g})"

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        apart = (x - y).abs()
        slack = max(SLACK, 4 * torch.finfo(apart.dtype).eps)
        return (torch.minimum(apart, 1 - apart) <= self.width / 2 + slack).to(apart.dtype)

    def sections(self, x: Tensor) -> Runs:
        middle, half = self.positions(x), self.width / 2 + SLACK
        row = torch.arange(len(middle)).repeat(3)
        turns = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64).repeat_interleave(len(middle))
        low, high = (middle.repeat(3) + turns - half).clamp(0, 1), (middle.repeat(3) + turns + half).clamp(0, 1)
        return Runs.union(row, low, high, len(middle))

    def cells(self, n: int) -> Runs:
        reach = ceil(n * (self.width / 2) - SLACK * n)  # |j - i| - 1 < n width / 2
        row = torch.arange(n).repeat(3)
        middle = row + torch.tensor([-n, 0, n]).repeat_interleave(n)
        return Runs.union(row, (middle - reach).clamp(0, n), (middle + reach + 1).clamp(0, n), n)

    def exponents(self, n: int, *, regime: str = "weighted", keep_diagonal: bool = True) -> dict[str, Exponent]:
        if regime == "random":
            return RANDOM_EXPONENTS
        return {"feature": Exponent(-1.0, 0.05), "operator": Exponent(-1.0, 0.05)}
