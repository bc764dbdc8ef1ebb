"""`Neighbourhoods`: the balls over which local integral operators integrate, with their quadrature."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from opnet.spaces.neighbours import expand_runs, pairs_within, periodic_images
from opnet.spaces.points import Points

WINDOWS = ("smooth", "flat")


@dataclass(frozen=True, eq=False)
class Neighbourhoods:
    """`(A f)(x) = sum_y q(x, y) f(x, y)`, the average over |x - y| <= r:

        q(x, y) = window(|x - y| / r) w(y) / sum_y' window(|x - y'| / r) w(y')

    with w the quadrature weights of the sources y, so that A converges as they are refined, and is exact for functions
    that are constant in y. Made by `Neighbourhoods.between`.

    Attributes:
        radius: r.
        x, y: positions of the targets, and of the sources with their periodic images.
        origin: whose image each y is.
        begin, degree: where each target's neighbours stand in `column`, and how many there are.
        column: the neighbours, as indices into y.
        weights: w of each y.
        scale: of each target: its denominator's inverse, and with sampled neighbours what makes up for the others.
        order: the targets by falling degree.
    """

    radius: float
    window: str
    x: Tensor
    y: Tensor
    origin: Tensor
    begin: Tensor
    degree: Tensor
    column: Tensor
    weights: Tensor
    scale: Tensor
    order: Tensor

    @classmethod
    def between(
        cls,
        targets: Points,
        sources: Points,
        radius: float,
        *,
        window: str = "smooth",
        neighbours: int | None = None,
        seed: int = 0,
    ) -> Neighbourhoods:
        """The balls of `radius` about every target.

        Args:
            window: "smooth", (1 - s^2)^2, which vanishes with its derivative at s = 1, so that the sum converges fast
                and does not jump as nodes enter the ball; "flat", 1, as published.
            neighbours: keep at most so many of each target's, drawn without replacement, all equally likely; the sum
                stays unbiased (Nyström's method). None: all.
            seed: of the draw, which depends on it and on the positions alone: not on their order, nor on anything
                drawn before.
        """
        with torch.inference_mode(False), torch.no_grad():
            x = targets.positions
            y, origin = periodic_images(sources.positions, sources.periods, radius)
            w = sources.measure[origin]
            mass, columns, found = x.new_zeros(len(x)), [], torch.zeros(len(x), dtype=torch.long, device=x.device)
            kept = torch.zeros_like(found)
            for row, column, distance in pairs_within(x, y, radius):
                mass.index_add_(0, row, _window((distance / radius).square_(), window) * w[column])
                found += torch.bincount(row, minlength=len(x))
                if neighbours is not None:
                    row, column = _sampled(row, column, x, y, radius, neighbours, seed)
                kept += torch.bincount(row, minlength=len(x))
                columns.append(column)
            # Where a ball is empty, or has nodes at its edge alone, the average is 0.
            scale = torch.where(mass > 0, (found / kept.clamp(min=1)) / mass, 0.0)
            begin, order = kept.cumsum(0) - kept, torch.argsort(kept, descending=True, stable=True)
            return cls(radius, window, x, y, origin, begin, kept, torch.cat(columns), w, scale, order)

    @property
    def n_pairs(self) -> int:
        return len(self.column)

    def pieces(self, pairs: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """All targets by falling degree, in pieces of about so many pairs, as tables: of each target k neighbours.

        Yields:
            the targets (target,), their neighbours as indices into y (target, k), and where the table holds one
            (target, k).
        """
        degree = self.degree[self.order].cpu()
        start = 0
        while start < len(degree):
            k = max(1, int(degree[start]))
            rows = self.order[start : start + max(1, pairs // k)]
            place = torch.arange(k, device=rows.device)
            there = place < self.degree[rows, None]
            index = torch.where(there, self.begin[rows, None] + place, 0)
            yield rows, self.column[index] if len(self.column) else torch.zeros_like(index), there
            start += len(rows)

    def offsets(self, rows: Tensor, columns: Tensor) -> Tensor:
        """(y - x) / r.  # shape: (target, k, dim)"""
        y = self.y.index_select(0, columns.flatten()).reshape(*columns.shape, -1)
        return (y - self.x[rows, None]) / self.radius

    def quadrature(self, rows: Tensor, columns: Tensor, there: Tensor, offsets: Tensor) -> Tensor:
        """q(x, y).  # shape: (target, k)"""
        squares = torch.stack([part.square() for part in offsets.unbind(-1)]).sum(0)
        q = _window(squares, self.window) * self.weights[columns] * self.scale[rows, None]
        return torch.where(there, q, 0.0)


def _window(squares: Tensor, kind: str) -> Tensor:
    """Of s^2."""
    return torch.ones_like(squares) if kind == "flat" else (1 - squares).clamp(min=0).square()


def _sampled(
    row: Tensor, column: Tensor, x: Tensor, y: Tensor, radius: float, most: int, seed: int
) -> tuple[Tensor, Tensor]:
    """Of every row at most so many pairs, those of the smallest hash."""
    chance = _hash(torch.cat([x.index_select(0, row), y.index_select(0, column)], 1) / radius, seed)
    by_chance = torch.argsort(chance)
    by_row = by_chance[torch.argsort(row[by_chance], stable=True)]
    lengths = torch.unique_consecutive(row, return_counts=True)[1]
    rank = expand_runs(torch.zeros_like(lengths), lengths)
    kept = by_row[rank < most]
    return row[kept], column[kept]


def _hash(positions: Tensor, seed: int) -> Tensor:
    """63 bits of each row that look random and are the same for equal rows.

    Positions are rounded first, so that the last digit, which depends on how they were computed, plays no part.
    """
    # Steele, Lea and Flood's mixer of 64 bits (SplitMix64, 2014), the constants as signed numbers.
    factors = (-0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15)
    state = torch.full((len(positions),), seed, dtype=torch.long, device=positions.device)
    for coordinate in torch.round(positions * 2**20).long().unbind(1):
        state = (state ^ coordinate) + -0x61C8864680B583EB
        for shift, factor in zip((30, 27), factors, strict=True):
            state = (state ^ ((state >> shift) & (2 ** (64 - shift) - 1))) * factor
        state = state ^ ((state >> 31) & (2**33 - 1))
    return state & (2**63 - 1)
