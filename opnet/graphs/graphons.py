"""The graphons that have names: `tent()`, `arithmetic_mean()`, `hsbm(levels)`, `checkerboard(m)`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.graphs.graphon import (
    EXACT,
    RANDOM_EXPONENTS,
    Exponent,
    Graphon,
    floor_of_product,
    lipschitz_exponents,
)
from opnet.graphs.tent import Tent


@register("graphon", "tent")
def tent() -> Graphon:
    """W(x, y) = max(0, 1 - |x - y|).

    >>> float(tent()(torch.tensor(0.2), torch.tensor(0.7)))
    0.5
    """
    return Tent()


@register("graphon", "arithmetic_mean")
def arithmetic_mean() -> Graphon:
    """W(x, y) = (x + y) / 2: smooth, of rank 2.

    >>> arithmetic_mean().rank
    2
    """
    return ArithmeticMean()


@register("graphon", "hsbm")
def hsbm(levels: int) -> Graphon:
    """Hierarchical stochastic block model: W = (1 - t_i t_j) / 2 on 2^levels equal blocks, t the Thue-Morse signs.

    {0,1}-valued, of rank 2, boundary made of axis-parallel lines.

    Raises:
        ValueError: unless 1 <= levels <= 12.

    >>> W = hsbm(1)
    >>> W(torch.tensor([0.2, 0.2]), torch.tensor([0.3, 0.7]))
    tensor([0., 1.])
    """
    if not 1 <= levels <= 12:
        raise ValueError(f"hsbm: expected 1 to 12 levels, found {levels}")
    signs = tuple(1 - 2 * (i.bit_count() % 2) for i in range(2**levels))
    return SignBlocks(f"hsbm({levels})", signs, alike=False)


@register("graphon", "checkerboard")
def checkerboard(m: int) -> Graphon:
    """W = 1 where floor(m x) + floor(m y) is even, else 0; {0,1}-valued, of rank 2.

    Raises:
        ValueError: for fewer than 2 cells a side.

    >>> checkerboard(2)(torch.tensor([0.2, 0.2]), torch.tensor([0.3, 0.7]))
    tensor([1., 0.])
    """
    if m < 2:
        raise ValueError(f"checkerboard: expected at least 2 cells a side, found {m}")
    return SignBlocks(f"checkerboard({m})", tuple(1 - 2 * (i % 2) for i in range(m)), alike=True)


@dataclass(frozen=True, repr=False)
class ArithmeticMean(Graphon):
    """W(x, y) = (x + y) / 2."""

    rank = 2

    @property
    def name(self) -> str:
        return "arithmetic_mean"

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        return 0.5 * (x + y)

    def factors(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return torch.stack([torch.ones_like(x), x], -1), x.new_tensor([[0.0, 0.5], [0.5, 0.0]])

    def exponents(self, n: int, *, regime: str = "weighted", keep_diagonal: bool = True) -> dict[str, Exponent]:
        return lipschitz_exponents(regime, keep_diagonal)


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
    boundary_dimension = 1.0

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

    def cell_factors(self, n: int) -> tuple[Tensor, Tensor]:
        # A cell holds +, - or both; one that holds both meets the support whatever its partner holds.
        first = torch.arange(n) * self.blocks // n
        last = (torch.arange(1, n + 1) * self.blocks - 1) // n
        signs = torch.tensor(self.signs, dtype=torch.float64)
        before = torch.cat([signs.new_zeros(1), signs.cumsum(0)])
        mean = (before[last + 1] - before[first]) / (last + 1 - first)
        classes = torch.stack([mean == 1, mean == -1, mean.abs() < 1], -1).to(torch.float64)
        same, other = (1.0, 0.0) if self.alike else (0.0, 1.0)
        return classes, torch.tensor([[same, other, 1.0], [other, same, 1.0], [1.0, 1.0, 1.0]], dtype=torch.float64)

    def exponents(self, n: int, *, regime: str = "weighted", keep_diagonal: bool = True) -> dict[str, Exponent]:
        if regime == "random":
            return RANDOM_EXPONENTS
        feature = Exponent(-1.0, 0.05)
        if n % self.blocks:
            return {"feature": feature, "operator": Exponent(-0.5, 0.05)}
        if keep_diagonal:
            return {"feature": feature, "operator": Exponent(EXACT, 0.0), "nodal": Exponent(-2.0, 0.05)}
        return {"feature": feature, "operator": Exponent(-1.0, 0.05), "nodal": Exponent(-1.0, 0.05)}

    @property
    def _sense(self) -> float:
        return 1.0 if self.alike else -1.0
