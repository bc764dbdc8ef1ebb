"""The Koch snowflake graphon."""

from __future__ import annotations

from cmath import rect
from dataclasses import dataclass
from functools import cached_property
from math import log, pi, sqrt

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.graphs.fractals.fractal import Fractal
from opnet.graphs.fractals.pieces import RATIO, Motif, PieceTree, Polygon
from opnet.graphs.graphon import Graphon

RADIUS = 0.495
APEX = 0.5 - 1j * sqrt(3) / 6
"""Tip of the bump on the edge from 0 to 1, which has the triangle on its left."""


@register("graphon", "koch_snowflake")
def koch_snowflake(depth: int) -> Graphon:
    """W = 1 in a Koch snowflake: every edge of a triangle grows a triangle on its middle third, `depth` times over.

    The first triangle has centre (.5, .5), circumradius .495 and a vertex on the diagonal towards (1, 1), which makes W
    symmetric. At infinite depth the boundary has dimension log 4 / log 3.

    Args:
        depth: 0 (the triangle) to 12.

    Raises:
        ValueError: for another depth.

    >>> W = koch_snowflake(1)
    >>> W(torch.tensor([0.5, 0.2]), torch.tensor([0.5, 0.2]))
    tensor([1., 1.])
    >>> koch_snowflake(0)(torch.tensor([0.5, 0.2]), torch.tensor([0.5, 0.2]))
    tensor([1., 0.])
    """
    return KochSnowflake(depth)


@dataclass(frozen=True, repr=False)
class KochSnowflake(Fractal):
    """W = 1 in the snowflake of that depth. See `koch_snowflake`."""

    boundary_dimension = log(4) / log(3)

    @property
    def name(self) -> str:
        return f"koch_snowflake({self.depth})"

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        dtype = torch.promote_types(x.dtype, y.dtype)
        x, y = x.to(torch.float64), y.to(torch.float64)
        # Along and across the diagonal, a vertex at (1, 0), reflected into 0 <= angle <= pi/3: half of one edge.
        u, v = (x + y - 1) / (sqrt(2) * RADIUS), ((x - y) / (sqrt(2) * RADIUS)).abs()
        u, v = _reflected(u, v, pi / 3)
        v = v.abs()
        # In units of the edge: how far along it from the vertex, and how far outside.
        along, out = (sqrt(3) * (1 - u) + v) / (2 * sqrt(3)), (u + sqrt(3) * v - 1) / (2 * sqrt(3))
        inside = out <= 0
        for _ in range(self.depth):
            along = torch.minimum(along, 1 - along)
            inside |= (out >= 0) & (out <= sqrt(3) * (along - 1 / 3))
            # The side of the bump is the reflection of the outer third of the edge.
            t, out = _reflected(along - 1 / 3, out, -pi / 3)
            along, out = 3 * (t + 1 / 3), 3 * out
        return inside.to(dtype)

    @cached_property
    def tree(self) -> PieceTree:
        # Kinds 1 ... 6 are edges in the directions of kind + const; the first kind is the whole, of three edges' size.
        turns = [rect(1, 13 * pi / 12 + k * pi / 3) for k in range(6)]
        corners = [rect(1 / (RATIO * sqrt(3)), pi / 4 + k * pi / 3) for k in range(6)]
        whole = Motif(
            hull=Polygon(corners),
            children=tuple((corners[k], 1 + k) for k in (0, 2, 4)),
            solid=Polygon(corners[::2]),
            spanning=False,
        )
        edges = tuple(
            Motif(
                hull=Polygon([0j, APEX * turn, turn]),
                children=(
                    (0j, 1 + k),
                    (turn / 3, 1 + (k - 1) % 6),
                    (APEX * turn, 1 + (k + 1) % 6),
                    (turn * 2 / 3, 1 + k),
                ),
                solid=Polygon([turn / 3, APEX * turn, turn * 2 / 3]),
            )
            for k, turn in enumerate(turns)
        )
        return PieceTree((whole, *edges), 0.5 + 0.5j, RATIO * sqrt(3) * RADIUS, self.depth + 1)


def _reflected(u: Tensor, v: Tensor, angle: float) -> tuple[Tensor, Tensor]:
    """Points on the right of the line at that angle as they are, those on its left reflected by it."""
    axis = rect(1, angle)
    left = axis.real * v > axis.imag * u
    turn = rect(1, 2 * angle)
    mirrored = turn.real * u + turn.imag * v, turn.imag * u - turn.real * v
    return torch.where(left, mirrored[0], u), torch.where(left, mirrored[1], v)
