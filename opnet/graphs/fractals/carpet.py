"""The Sierpinski carpet graphon."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import log

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.graphs.fractals.fractal import Fractal
from opnet.graphs.fractals.pieces import RATIO, Motif, PieceTree, Polygon
from opnet.graphs.graphon import Exponent, Graphon, floor_of_product
from opnet.graphs.step import block_exponents


@register("graphon", "sierpinski_carpet")
def sierpinski_carpet(depth: int) -> Graphon:
    """W = 1 on a Sierpinski carpet: of the ninths of a square the middle one is removed, `depth` times over.

    Made of half-open squares that fill the unit square but for the holes; the boundary is parallel to the axes. At
    infinite depth the set has dimension log 8 / log 3 and no area.

    Args:
        depth: 0 (the unit square) to 12.

    Raises:
        ValueError: for another depth.

    >>> W = sierpinski_carpet(1)
    >>> W(torch.tensor([0.5, 0.5]), torch.tensor([0.5, 0.7]))
    tensor([0., 1.])
    """
    return SierpinskiCarpet(depth)


@dataclass(frozen=True, repr=False)
class SierpinskiCarpet(Fractal):
    """W = 1 on the carpet of that depth. See `sierpinski_carpet`."""

    rough = False
    transversal = False
    boundary_dimension = log(8) / log(3)

    @property
    def name(self) -> str:
        return f"sierpinski_carpet({self.depth})"

    @property
    def blocks(self) -> int:  # type: ignore[override]
        return RATIO**self.depth

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        a, b = floor_of_product(x, self.blocks), floor_of_product(y, self.blocks)
        hole = torch.zeros(torch.broadcast_shapes(x.shape, y.shape), dtype=torch.bool, device=x.device)
        for _ in range(self.depth):
            hole |= (a % RATIO == 1) & (b % RATIO == 1)
            a, b = a // RATIO, b // RATIO
        return (~hole).to(torch.promote_types(x.dtype, y.dtype))

    def positions(self, x: Tensor) -> Tensor:
        # The middle of the block, as points within rounding of its ends belong to it as well.
        return (floor_of_product(x, self.blocks).to("cpu", torch.float64) + 0.5) / self.blocks

    def exponents(self, n: int, *, regime: str = "weighted", keep_diagonal: bool = True) -> dict[str, Exponent]:
        found = block_exponents(self, n, regime, keep_diagonal)
        if self.depth > 3 and regime != "random" and not self.aligned(n):
            del found["operator"]  # blocks smaller than cells
        return found

    @cached_property
    def tree(self) -> PieceTree:
        square = Polygon([0, 1, 1 + 1j, 1j])
        children = tuple((complex(a, b) / RATIO, 0) for a in range(RATIO) for b in range(RATIO) if (a, b) != (1, 1))
        return PieceTree((Motif(square, children, leaf=square),), 0j, 1.0, self.depth)
