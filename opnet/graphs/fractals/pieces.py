"""Recursion on convex pieces: what a plane set made of ever smaller copies has in common with vertical strips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

RATIO = 3
"""Every piece is a third of the size of the piece it comes from."""


class Polygon:
    """A convex polygon, to be cut by vertical strips.

    Args:
        vertices: anticlockwise, x + iy.

    >>> square = Polygon([0, 1, 1 + 1j, 1j])
    >>> low, high = square.extent(torch.tensor([0.25]), torch.tensor([0.5]))
    >>> low.tolist(), high.tolist()
    ([0.0], [1.0])
    """

    def __init__(self, vertices: Sequence[complex]) -> None:
        ends = [*vertices[1:], vertices[0]]
        slopes = [
            (p.real, p.imag, (q - p).imag / (q - p).real, (q - p).real > 0)
            for p, q in zip(map(complex, vertices), map(complex, ends), strict=True)
            if abs((q - p).real) > 1e-12
        ]
        self.lower = [edge[:3] for edge in slopes if edge[3]]
        self.upper = [edge[:3] for edge in slopes if not edge[3]]
        self.left, self.right = min(z.real for z in vertices), max(z.real for z in vertices)
        self.lowest = min(vertices, key=lambda z: z.imag).real
        self.highest = max(vertices, key=lambda z: z.imag).real

    def extent(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """Least and largest y of the polygon in each closed strip left <= x <= right, which has to meet it."""
        left, right = left.clamp(self.left, self.right), right.clamp(self.left, self.right)
        # The lower boundary is convex: least as near to the lowest vertex as the strip comes. So the upper one.
        low = _envelope(self.lower, right.clamp(max=self.lowest).maximum(left), torch.maximum)
        return low, _envelope(self.upper, right.clamp(max=self.highest).maximum(left), torch.minimum)


def _envelope(lines, x, better):  # type: ignore[no-untyped-def]
    """The largest or least of some straight lines (x0, y0, slope) at x."""
    value = None
    for x0, y0, slope in lines:
        y = y0 + slope * (x - x0) if slope else torch.full_like(x, y0)
        value = y if value is None else better(value, y)
    return value


@dataclass(frozen=True)
class Motif:
    """A kind of piece, at size 1 and at the origin.

    Args:
        hull: holds whatever comes of the piece.
        children: offset and kind of the pieces it is split into, each a third of its size.
        solid: what the piece itself fills where it is split.
        leaf: what it fills at the last level.
        spanning: whether what comes of it, together with the solids of the pieces above it, is connected and reaches
            the left and right end of the hull: it then meets every strip that the hull meets.
    """

    hull: Polygon
    children: tuple[tuple[complex, int], ...]
    solid: Polygon | None = None
    leaf: Polygon | None = None
    spanning: bool = True


@dataclass(frozen=True)
class PieceTree:
    """A set made by splitting one piece `levels` times.

    Args:
        motifs: the kinds of pieces; the first is where it begins.
        origin, size: of that first piece.
    """

    motifs: tuple[Motif, ...]
    origin: complex
    size: float
    levels: int

    def front(self, left: Tensor, right: Tensor, scale: float = 1.0) -> Front:
        """The first piece beside each of the strips left <= x <= right; all lengths are multiplied by `scale`."""
        row = torch.arange(len(left))
        z = torch.full((len(left),), self.origin * scale, dtype=torch.complex128)
        first = Front(self, 0, self.size * scale, (left, right), row, z, torch.zeros_like(row))
        return first.only(first._meets(self.motifs[0].hull))

    def rows_at_once(self) -> int:
        """As many strips as keep fronts at some millions of pieces."""
        widest = max(len(motif.children) for motif in self.motifs)
        return max(16, int(2**22 / (widest / RATIO) ** self.levels))


@dataclass(frozen=True)
class Front:
    """Pairs of a strip and a piece of one level whose hull meets it.

    A piece that only touches a strip does not meet it.

    Args:
        strips: left and right ends, (m,) each.
        row: the strip of each pair.
        z, kind: origin (complex128) and kind of its piece.
    """

    tree: PieceTree
    level: int
    size: float
    strips: tuple[Tensor, Tensor]
    row: Tensor
    z: Tensor
    kind: Tensor

    def filled(self) -> tuple[Tensor, Tensor, Tensor]:
        """Row, low and high end of all that the pieces themselves fill."""
        last = self.level == self.tree.levels
        parts = []
        for motif, pieces in self._by_motif():
            part = motif.leaf if last else motif.solid
            if part is not None:
                pieces = pieces.only(pieces._meets(part))
                parts.append((pieces.row, *pieces._extent(part)))
        if not parts:
            nothing = torch.zeros(0, dtype=torch.float64)
            return self.row[:0], nothing, nothing
        row, low, high = (torch.cat(column) for column in zip(*parts, strict=True))
        return row, low, high

    def hulls(self) -> tuple[Tensor, Tensor]:
        """Low and high end of the hulls in their strips."""
        low, high = torch.empty(2, len(self.row), dtype=torch.float64)
        for k, motif in enumerate(self.tree.motifs):
            chosen = slice(None) if len(self.tree.motifs) == 1 else self.kind == k
            low[chosen], high[chosen] = self.only(chosen)._extent(motif.hull)
        return low, high

    def split(self) -> Front:
        """The pieces that these are split into."""
        size, fronts = self.size / RATIO, []
        for motif, pieces in self._by_motif():
            for offset, kind in motif.children:
                child = Front(
                    self.tree,
                    self.level + 1,
                    size,
                    self.strips,
                    pieces.row,
                    pieces.z + offset * self.size,
                    torch.full_like(pieces.row, kind),
                )
                fronts.append(child.only(child._meets(self.tree.motifs[kind].hull)))
        row, z, kinds = (torch.cat([getattr(f, name) for f in fronts]) for name in ("row", "z", "kind"))
        return Front(self.tree, self.level + 1, size, self.strips, row, z, kinds)

    def only(self, chosen: Tensor | slice) -> Front:
        """The chosen pairs."""
        row, z, kind = self.row[chosen], self.z[chosen], self.kind[chosen]
        return Front(self.tree, self.level, self.size, self.strips, row, z, kind)

    def _by_motif(self) -> list[tuple[Motif, Front]]:
        motifs = self.tree.motifs
        return [(motif, self if len(motifs) == 1 else self.only(self.kind == k)) for k, motif in enumerate(motifs)]

    def _meets(self, part: Polygon) -> Tensor:
        left, right = (ends[self.row] for ends in self.strips)
        x = self.z.real
        # A strip of no width meets the left end of a part and not its right one, as cells are half-open.
        begins = (x + self.size * part.left < right) | ((left == right) & (x + self.size * part.left == left))
        return begins & (x + self.size * part.right > left)

    def _extent(self, part: Polygon) -> tuple[Tensor, Tensor]:
        x, y = self.z.real, self.z.imag
        low, high = part.extent(*((ends[self.row] - x) / self.size for ends in self.strips))
        return y + self.size * low, y + self.size * high
