"""Functions on periodic boxes: their modes, how well those resolve them, and their values anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, pi

import torch
from torch import Tensor

from opnet.spaces.grid import Grid

TAIL = "largest share of the energy, over all frames, in the highest third of the modes that are solved for"


def wave_numbers(box: Grid, device: torch.device | str = "cpu") -> list[Tensor]:
    """Angular wave numbers of `rfftn` on a periodic grid, one tensor an axis, that broadcast."""
    k = []
    for axis, (n, length) in enumerate(zip(box.shape, box.lengths, strict=True)):
        frequencies = torch.fft.rfftfreq if axis == box.dim - 1 else torch.fft.fftfreq
        values = 2 * pi / length * frequencies(n, 1 / n, dtype=torch.float64, device=device)
        k.append(values.reshape([-1 if i == axis else 1 for i in range(box.dim)]))
    return k


def squared(k: Sequence[Tensor]) -> Tensor:
    """|k|^2, the symbol of -Lap."""
    return torch.stack(torch.broadcast_tensors(*(a**2 for a in k))).sum(0)


def beyond(box: Grid, share: float, device: torch.device | str = "cpu") -> list[Tensor]:
    """Which modes of each axis are at or beyond a share of its highest one, |j| >= share n / 2."""
    unit = [2 * pi / length for length in box.lengths]
    k = wave_numbers(box, device)
    return [(a / u).abs().round() >= share * n / 2 for a, u, n in zip(k, unit, box.shape, strict=True)]


def spectrum_tail(modes: Tensor, box: Grid, kept: float = 1.0) -> Tensor:
    """Share of the energy in the highest third of the modes that are kept, on the worst axis.

    Args:
        modes: of `rfftn`, (..., *modes), of the last axis perhaps the lower ones only.
        kept: share of the modes of an axis that are not set to 0.

    # shape: (..., *modes) -> (...)
    """
    axes = tuple(range(-box.dim, 0))
    power = modes.abs().square()
    power[..., 1 : (box.shape[-1] + 1) // 2] *= 2  # these stand for j and -j
    total = power.sum(axes)
    high_modes = [b[..., : modes.shape[-1]] for b in beyond(box, kept * 2 / 3, modes.device)]
    high = torch.stack([(power * b).sum(axes) for b in high_modes]).amax(0)
    return torch.where(total == 0, 0.0, high / total)


def evaluate(values: Tensor, box: Grid, grid: Grid) -> Tensor:
    """The trigonometric interpolant of values on a periodic box, at the nodes of a grid that lies in the box.

    Exact for what the box's nodes resolve, however many nodes the grid has: nothing is aliased.

    # shape: (..., *box) -> (..., *grid)

    >>> box, grid = Grid((8,), boundary="periodic"), Grid((5,), nodes="cell")
    >>> wave = lambda g: torch.cos(2 * pi * 3 * g.axis(0) + 1)
    >>> torch.allclose(evaluate(wave(box), box, grid), wave(grid))
    True
    """
    for axis in range(grid.dim):
        place = values.ndim - grid.dim + axis
        count = round(box.lengths[axis] / grid.spacing[axis])  # nodes of the grid in a period
        factor = -(-box.shape[axis] // count)
        shift = float(grid.axis(axis)[0] - box.axis(axis)[0]) / box.lengths[axis]
        if count * factor != box.shape[axis] or abs(shift) > 1e-14:
            values = _interpolate(values, place, count * factor, shift)
        nodes = torch.arange(grid.shape[axis], device=values.device) * factor
        values = values.index_select(place, nodes)
    return values


def _interpolate(values: Tensor, axis: int, points: int, shift: float) -> Tensor:
    """At `points` nodes, no fewer than there are, moved by a share of the period."""
    n, modes = values.shape[axis], torch.fft.rfft(values, dim=axis, norm="forward")
    j = torch.arange(n // 2 + 1, device=values.device)
    factor = torch.exp(2j * pi * shift * j.to(torch.float64))
    if n % 2 == 0:  # the highest mode stands for j and -j: half of it for each, unless they still are one
        factor[-1] = cos(2 * pi * shift * (n // 2)) if points == n else factor[-1] / 2
    modes = modes * factor.reshape([-1 if i == axis else 1 for i in range(values.ndim)])
    return torch.fft.irfft(modes, points, dim=axis, norm="forward")
