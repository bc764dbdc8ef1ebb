"""Which points lie near which, in time and memory linear in the pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import torch
from torch import Tensor

PAIRS = 2**20
"""Candidates that are looked at together: a bound on the memory of a search."""
ON_THE_SPHERE = 1e-9
"""The share of the radius by which a distance may exceed it: points at it, which grids have, count however rounded."""


def pairs_within(targets: Tensor, sources: Tensor, radius: float) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """All (i, j, d) with d = |targets_i - sources_j| <= radius, in pieces: i ascending, all pairs of an i in one piece.

    Sources are sorted by strips of that width and, within a strip, along the last axis, where the candidates of a
    target are then 3^(dim - 1) runs.

    Args:
        targets, sources: (point, dim), of one floating dtype.
        radius: positive.

    >>> x = torch.tensor([[0.0], [1.0], [1.5]])
    >>> [(i.tolist(), j.tolist()) for i, j, _ in pairs_within(x, x, 0.6)]
    [([0, 1, 1, 2, 2], [0, 1, 2, 1, 2])]
    """
    low, high = (torch.cat([targets, sources]).aminmax(dim=0)[side] for side in (0, 1))
    strips = [torch.floor((x[:, :-1] - low[:-1]) / (1.001 * radius)).long() for x in (targets, sources)]
    counts = (torch.floor((high - low)[:-1] / (1.001 * radius)).long() + 3).tolist()
    span = float(high[-1] - low[-1]) + 4 * radius  # from one strip to the next, farther than any run reaches

    def key(strip: Tensor, along: Tensor) -> Tensor:
        number = torch.zeros_like(along, dtype=torch.long)
        for axis, count in enumerate(counts):
            number = number * count + strip[:, axis] + 1
        return number * span + (along - low[-1])

    sorted_keys, order = torch.sort(key(strips[1], sources[:, -1]), stable=True)
    first, last = [], []
    for shift in product((-1, 0, 1), repeat=len(counts)):
        centre = key(strips[0] + torch.tensor(shift, dtype=torch.long, device=targets.device), targets[:, -1])
        first.append(torch.searchsorted(sorted_keys, centre - 1.001 * radius))
        last.append(torch.searchsorted(sorted_keys, centre + 1.001 * radius, right=True))
    begin, length = torch.stack(first, 1), torch.stack(last, 1) - torch.stack(first, 1)
    for rows in _pieces(length.sum(1)):
        run_length = length[rows].flatten()
        run_row = torch.arange(rows.start, rows.stop, device=targets.device).repeat_interleave(begin.shape[1])
        row = run_row.repeat_interleave(run_length)
        column = order[expand_runs(begin[rows].flatten(), run_length)]
        squares = torch.zeros_like(row, dtype=targets.dtype)
        for x, y in zip(targets.unbind(1), sources.unbind(1), strict=True):  # axis by axis: sums of two are slow
            squares += (x.index_select(0, row) - y.index_select(0, column)).square_()
        near = torch.nonzero(squares <= (radius * (1 + ON_THE_SPHERE)) ** 2).flatten()
        yield row[near], column[near], squares[near].sqrt_()


def expand_runs(begin: Tensor, length: Tensor) -> Tensor:
    """begin_0, begin_0 + 1, ... (length_0 of them), begin_1, ...

    >>> expand_runs(torch.tensor([5, 0]), torch.tensor([2, 3]))
    tensor([5, 6, 0, 1, 2])
    """
    ends = length.cumsum(0)
    index = torch.arange(int(ends[-1]) if len(ends) else 0, device=begin.device)
    return index + (begin - ends + length).repeat_interleave(length)


def periodic_images(positions: Tensor, periods: Sequence[float | None], radius: float) -> tuple[Tensor, Tensor]:
    """The points and their periodic images no farther than `radius` from the box they span, and whose image each is.

    >>> images, origin = periodic_images(torch.tensor([[0.0], [0.5]]), (0.75,), 0.3)
    >>> images.flatten(), origin
    (tensor([ 0.0000,  0.5000, -0.2500,  0.7500]), tensor([0, 1, 1, 0]))
    """
    origin = torch.arange(len(positions), device=positions.device)
    low, high = positions.amin(0), positions.amax(0)
    for axis, period in enumerate(periods):
        if period is None:
            continue
        reach = int((float(high[axis] - low[axis]) + radius) / period) + 1
        images, origins = [positions], [origin]
        for shift in range(-reach, reach + 1):
            moved = positions[:, axis] + shift * period
            near = (moved >= low[axis] - 1.001 * radius) & (moved <= high[axis] + 1.001 * radius)
            if shift and bool(near.any()):
                images.append(torch.cat([positions[near, :axis], moved[near, None], positions[near, axis + 1 :]], 1))
                origins.append(origin[near])
        positions, origin = torch.cat(images), torch.cat(origins)
    return positions, origin


def _pieces(candidates: Tensor) -> Iterator[slice]:
    """Slices of the rows with at most PAIRS candidates together, or one row."""
    ends = candidates.cumsum(0).cpu()
    start, done = 0, 0
    while start < len(ends):
        stop = max(start + 1, int(torch.searchsorted(ends, done + PAIRS, right=True)))
        yield slice(start, stop)
        start, done = stop, int(ends[stop - 1])
