"""Ghost cells: what a finite-volume scheme sees beyond the sides of a box."""

from __future__ import annotations

import torch
from torch import Tensor

SIDES = ("periodic", "outflow", "wall")


def with_ghosts(w: Tensor, side: str, width: int = 2) -> Tensor:
    """A primitive state with `width` cells more on every side of every axis, corners included.

    "periodic" repeats the box. "outflow" repeats the last cell, so that waves leave; what they send back is small, not
    zero. "wall" mirrors the cells, and turns the velocity through the side round: no flow through it, free slip along
    it.

    Args:
        w: (channel, sample, *grid), component i of the velocity in channel 1 + i.
        side: one of these.

    Raises:
        ValueError: for another side, or axes of fewer than `width` cells.

    >>> with_ghosts(torch.tensor([[[1.0, 2.0, 3.0]], [[4.0, 5.0, 6.0]]]), "wall", 1)
    tensor([[[ 1.,  1.,  2.,  3.,  3.]],
    <BLANKLINE>
            [[-4.,  4.,  5.,  6., -6.]]])
    """
    if side not in SIDES:
        raise ValueError(f"side: expected one of {', '.join(SIDES)}, found {side!r}")
    for axis in range(w.ndim - 2):
        dim, n = 2 + axis, w.shape[2 + axis]
        if n < width:
            raise ValueError(f"w: expected at least {width} cells on axis {axis}, found {n}")
        if side == "outflow":
            ends = w.narrow(dim, 0, 1), w.narrow(dim, n - 1, 1)
            low, high = (end.expand(*end.shape[:dim], width, *end.shape[dim + 1 :]) for end in ends)
        else:
            low, high = w.narrow(dim, 0, width), w.narrow(dim, n - width, width)
            if side == "periodic":
                low, high = high, low
            else:
                low, high = low.flip(dim), high.flip(dim)
        w = torch.cat([low, w, high], dim)
        if side == "wall":
            w[1 + axis].narrow(dim - 1, 0, width).neg_()
            w[1 + axis].narrow(dim - 1, n + width, width).neg_()
    return w


def without_ghosts(w: Tensor, *kept: int) -> Tensor:
    """A state (channel, sample, *grid) less one cell on every side of every axis but those kept."""
    for axis in range(w.ndim - 2):
        if axis not in kept:
            w = w.narrow(2 + axis, 1, w.shape[2 + axis] - 2)
    return w
