"""`solve_cells`: a conservation law from random functions to trajectories of cell means."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from opnet.solvers.pde.schemes.finite_volume import FiniteVolume
from opnet.spaces.grid import Grid
from opnet.spaces.interpolation import restrict_cells

POINTS = {1: 16, 2: 4}  # of every cell, an axis, over which initial states are averaged
CELLS_AT_ONCE = 2**20  # of initial states, points counted


def solve_cells(
    scheme: FiniteVolume,
    start: Callable[[Sequence[int], Grid], Tensor],
    indices: Sequence[int],
    grid: Grid,
    times: tuple[float, ...],
    *,
    refinement: int = 0,
    device: torch.device | str = "cpu",
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Solve on cells 2^refinement times smaller than the grid's, and average what comes out over the grid's.

    The scheme starts from means of the conserved variables over points of each cell, 16 in one dimension and 4 x 4 in
    two, so that where a jump lies within a cell counts.

    Args:
        scheme: for the cells that are solved on.
        start: primitive initial states at the nodes of any grid, (sample, channel, *grid), of samples told by index.

    Returns:
        primitive states of the means, (sample, time, channel, *grid); totals of the conserved variables over the box,
        (sample, time, channel); `Marched.least`.
    """
    factor = 2**refinement
    fine = grid.resized([factor * n for n in grid.shape])
    points = POINTS[grid.dim]
    dense = fine.resized([points * n for n in fine.shape])
    size = max(1, CELLS_AT_ONCE // dense.axis(0).numel() ** grid.dim)
    law = scheme.law
    means, least = [], []
    for i in range(0, len(indices), size):
        w = start(indices[i : i + size], dense)
        u = restrict_cells(law.conserved(w.movedim(1, 0)).movedim(0, 1), dense, points)[0].to(device)
        marched = scheme.march(u, times, lambda state: restrict_cells(state, fine, factor)[0])
        means.append(marched.states)
        least.append(torch.stack(marched.least))
    u, lowest = torch.cat(means), torch.cat(least, 1)
    totals = u.flatten(3).mean(3)
    return law.primitive(u.movedim(2, 0)).movedim(0, 2), totals, (lowest[0], lowest[1])


def defect(totals: Tensor, channel: int) -> Tensor:
    """The largest change of a total over the frames, relative to it.  # shape: (sample, time, channel) -> (sample,)"""
    total = totals[..., channel]
    return ((total - total[:, :1]).abs() / total[:, :1].abs()).amax(1)
