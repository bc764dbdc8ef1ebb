"""The hexaflake graphon."""

from __future__ import annotations

from cmath import rect
from dataclasses import dataclass
from functools import cached_property
from math import log, pi, sqrt

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.graphs.fractals.fractal import Fractal
from opnet.graphs.fractals.pieces import Motif, PieceTree, Polygon
from opnet.graphs.graphon import Graphon

RADIUS = 0.495


@register("graphon", "hexaflake")
def hexaflake(depth: int) -> Graphon:
    """W = 1 on a hexaflake: a hexagon is replaced by seven of a third its size, `depth` times, touching at vertices.

    The first hexagon has centre (.5, .5) and circumradius .495; its vertices stand at the angles pi/4 + k pi/3, one on
    the diagonal, which makes W symmetric. Its children have their centres there and at 2/3 of the way to the vertices.
    At infinite depth the set has dimension log 7 / log 3 and no area, and is its own boundary.

    Args:
        depth: 0 (the hexagon itself) to 12.

    Raises:
        ValueError: for another depth.

    >>> W = hexaflake(1)
    >>> W(torch.tensor([0.5, 0.60, 0.1]), torch.tensor([0.5, 0.88, 0.1]))
    tensor([1., 0., 0.])
    """
    return Hexaflake(depth)


@dataclass(frozen=True, repr=False)
class Hexaflake(Fractal):
    """W = 1 on the hexaflake of that depth. See `hexaflake`."""

    boundary_dimension = log(7) / log(3)

    @property
    def name(self) -> str:
        return f"hexaflake({self.depth})"

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        dtype = torch.promote_types(x.dtype, y.dtype)
        x, y = x.to(torch.float64), y.to(torch.float64)
        # Along and across the diagonal, a vertex at (1, 0): symmetric in x and y to the last digit.
        u, v = (x + y - 1) / (sqrt(2) * RADIUS), (x - y) / (sqrt(2) * RADIUS)
        for _ in range(self.depth):
            u, v = _folded(u, v)
            outer = u + v / sqrt(3) > 1 / 3
            u, v = 3 * torch.where(outer, u - 2 / 3, u), 3 * v
        u, v = _folded(u, v)
        return (u + v / sqrt(3) <= 1).to(dtype)

    @cached_property
    def tree(self) -> PieceTree:
        vertices = [rect(1, pi / 4 + k * pi / 3) for k in range(6)]
        hexagon = Polygon(vertices)
        children = ((0j, 0), *((2 / 3 * vertex, 0) for vertex in vertices))
        return PieceTree((Motif(hexagon, children, leaf=hexagon),), 0.5 + 0.5j, RADIUS, self.depth)


def _folded(u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Reflected into the sector 0 <= angle <= pi/6, which the twelve symmetries of a hexagon map onto the plane.

    Two pieces are left in it: the one in the middle and the one at the vertex (1, 0).
    """
    u, v = u.abs(), v.abs()
    beyond = v > u / sqrt(3)
    u, v = torch.where(beyond, (u + sqrt(3) * v) / 2, u), torch.where(beyond, (sqrt(3) * u - v) / 2, v)
    return u, v.abs()
