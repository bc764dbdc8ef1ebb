"""Graphons that are constant on blocks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from opnet.graphs.graphon import EXACT, RANDOM_EXPONENTS, Exponent, Graphon, floor_of_product
from opnet.linops.base import LinearOperator
from opnet.linops.low_rank import LowRank


def block_exponents(W: Graphon, n: int, regime: str, keep_diagonal: bool) -> dict[str, Exponent]:
    """Of graphons constant on blocks: cells across a block's end cost n^-1/2, where there are none nothing is lost."""
    if regime == "random":
        return RANDOM_EXPONENTS
    feature = Exponent(-1.0, 0.05)
    if not W.aligned(n):
        half = Exponent(-0.5, 0.05)
        # A cell across two blocks counts as the support by the rule of cells, which all its neighbours feel.
        return {"feature": feature, "operator": half} | ({"nodal": half} if regime == "cell" else {})
    if keep_diagonal:
        return {"feature": feature, "operator": Exponent(EXACT, 0.0), "nodal": Exponent(-2.0, 0.05)}
    return {"feature": feature, "operator": Exponent(-1.0, 0.05), "nodal": Exponent(-1.0, 0.05)}


@dataclass(frozen=True, repr=False)
class SignBlocks(Graphon):
    """W(x, y) = 1 where the signs of the blocks of x and y are alike (or are not), else 0.

    With s the sign of a point's block, `W = (1 + s(x) s(y)) / 2` if `alike`, `(1 - s(x) s(y)) / 2` if not.

    Args:
        label: what results call it.
        signs: +1 or -1, one an equal block.
        alike: whether equal or opposite signs are joined.
    """

    label: str
    signs: tuple[int, ...]
    alike: bool

    zero_one = True
    rank = 2
    l2_modulus = 0.5
    boundary_dimension = 1.0
    transversal = False

    @property
    def name(self) -> str:
        return self.label

    @property
    def blocks(self) -> int:  # type: ignore[override]
        return len(self.signs)

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        return 0.5 * (1.0 + self._sense * self.sign(x) * self.sign(y))

    def sign(self, x: Tensor) -> Tensor:
        """s(x)."""
        return x.new_tensor(self.signs)[floor_of_product(x, self.blocks)]

    def factors(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return torch.stack([torch.ones_like(x), self.sign(x)], -1), x.new_tensor([[0.5, 0.0], [0.0, 0.5 * self._sense]])

    def cell_adjacency(self, n: int) -> LinearOperator:
        # A cell holds +, - or both; one that holds both meets the support whatever its partner holds.
        first = torch.arange(n) * self.blocks // n
        last = (torch.arange(1, n + 1) * self.blocks - 1) // n
        signs = torch.tensor(self.signs, dtype=torch.float64)
        before = torch.cat([signs.new_zeros(1), signs.cumsum(0)])
        mean = (before[last + 1] - before[first]) / (last + 1 - first)
        classes = torch.stack([mean == 1, mean == -1, mean.abs() < 1], -1).to(torch.float64)
        same, other = (1.0, 0.0) if self.alike else (0.0, 1.0)
        coupling = torch.tensor([[same, other, 1.0], [other, same, 1.0], [1.0, 1.0, 1.0]], dtype=torch.float64)
        return LowRank(classes @ coupling, classes)

    def exponents(self, n: int, *, regime: str = "weighted", keep_diagonal: bool = True) -> dict[str, Exponent]:
        return block_exponents(self, n, regime, keep_diagonal)

    @property
    def _sense(self) -> float:
        return 1.0 if self.alike else -1.0


@dataclass(frozen=True, repr=False)
class StepGraphon(Graphon):
    """W(x, y) = P_ab for x in block a and y in block b.

    Args:
        label: what results call it.
        values: P, symmetric, row by row.
        shares: the width of each block, adding up to 1.
    """

    label: str
    values: tuple[tuple[float, ...], ...]
    shares: tuple[float, ...]

    l2_modulus = 0.5

    @property
    def name(self) -> str:
        return self.label

    @property
    def blocks(self) -> int:  # type: ignore[override]
        return len(self.shares)

    @property
    def rank(self) -> int:  # type: ignore[override]
        return len(self.shares)

    @property
    def zero_one(self) -> bool:  # type: ignore[override]
        return all(value in (0.0, 1.0) for row in self.values for value in row)

    @property
    def boundary_dimension(self) -> float | None:  # type: ignore[override]
        return 1.0 if self.zero_one else None

    @property
    def transversal(self) -> bool | None:  # type: ignore[override]
        return False if self.zero_one else None

    @property
    def supremum(self) -> float:  # type: ignore[override]
        return max(value for row in self.values for value in row)

    def breakpoints(self) -> Tensor:
        ends = torch.tensor([0.0, *self.shares], dtype=torch.float64).cumsum(0)
        ends[-1] = 1.0
        return ends

    def aligned(self, n: int) -> bool:
        ends = n * self.breakpoints()
        return bool(((ends - ends.round()).abs() < 1e-9 * n).all())

    def block_of(self, x: Tensor) -> Tensor:
        """The block of each point: half-open blocks, the last closed."""
        inner = self.breakpoints()[1:-1].to(x.device)
        slack = 4 * torch.finfo(x.dtype).eps
        return torch.searchsorted(inner, (x.to(torch.float64) + slack).contiguous(), right=True)

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        return x.new_tensor(self.values)[self.block_of(x), self.block_of(y)]

    def factors(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return torch.nn.functional.one_hot(self.block_of(x), self.blocks).to(x), x.new_tensor(self.values)

    def cell_adjacency(self, n: int) -> LinearOperator:
        if not self.zero_one:
            return super().cell_adjacency(n)
        ends, tick = n * self.breakpoints(), torch.arange(n, dtype=torch.float64)
        slack = 1e-9 * n
        held = (ends[:-1] < tick[:, None] + 1 - slack) & (ends[1:] > tick[:, None] + slack)  # (cell, block)
        met = held.to(torch.float64) @ torch.tensor(self.values, dtype=torch.float64)
        # Cells that hold the same blocks are alike, and meet the support where any of their blocks does.
        kinds, kind = torch.unique(held, dim=0, return_inverse=True)
        members = torch.nn.functional.one_hot(kind, len(kinds)).to(torch.float64)
        of_kind = met.new_zeros(len(kinds), self.blocks).index_copy(0, kind, met)
        joined = (of_kind @ kinds.T.to(torch.float64) > 0).to(torch.float64)
        return LowRank(members @ joined, members)

    def exponents(self, n: int, *, regime: str = "weighted", keep_diagonal: bool = True) -> dict[str, Exponent]:
        return block_exponents(self, n, regime, keep_diagonal)
