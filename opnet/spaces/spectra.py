"""Functions on a grid by wave number: their modes in shells."""

from __future__ import annotations

from functools import lru_cache
from math import ceil

import torch
from torch import Tensor

from opnet.spaces.grid import Grid
from opnet.spaces.interpolation import close_ends
from opnet.spaces.transforms import axis_matrices


def spectral_shells(values: Tensor, grid: Grid, edges: tuple[float, ...] | None = None) -> list[Tensor]:
    """The coefficients of `values` in orthonormal modes, those of each shell `edges[i] <= k < edges[i+1]` together.

    # shape: (batch, channel, *grid) -> one (batch, channel, coefficient) a shell

    The modes of a periodic axis of length L are exp(2 pi i j x / L), the discrete Fourier transform's; of any other
    axis cos(pi j x / L), j = 0 ... n - 1, the even extension's (a cosine transform of the second kind on cells, of the
    first on vertices; the ends that "left" and "interior" nodes leave out take the nearest node's value first, as
    `close_ends` does). The radial wave number k is the number of periods in the longest side: with L_max that side and
    j_i periods (half as many as half-waves) on axis i, `k = L_max sqrt(sum_i (j_i / L_i)^2)`.

    Parseval: the squares of all coefficients add up to the square of `l2_norm` on the grid, ends added, exactly. A
    function whose even extension has a kink, one with a slope at the boundary, has a spectrum that falls like k^-4.

    Args:
        edges: ascending; None: 0, 1/2, 3/2, 5/2, ... as far as the grid has modes. A shell may be empty.

    >>> grid = Grid((16,), boundary="periodic")
    >>> wave = 3 + torch.cos(2 * torch.pi * 5 * grid.axis(0))[None, None]
    >>> [round(float(part.square().sum()), 12) for part in spectral_shells(wave, grid)]
    [9.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0]
    """
    values, closed = close_ends(values, grid)
    order, sizes = _sorted_into_shells(closed, edges)
    modes = _modes(values, closed).index_select(2, order.to(values.device))
    return [part.flatten(2) for part in modes.split(sizes, 2)[1:-1]]


def _modes(values: Tensor, grid: Grid) -> Tensor:
    """# shape: (batch, channel, *grid) -> (batch, channel, mode, part)"""
    periodic = []
    for axis in range(grid.dim):
        if grid.boundary[axis][0] == "periodic":
            periodic.append(2 + axis)
            values = values * grid.spacing[axis] ** 0.5
        else:
            analysis, synthesis = axis_matrices(grid, axis, grid.shape[axis], "cosine", device=values.device)
            sizes = grid.axis_weights(axis, device=values.device) @ synthesis.square()
            matrix = (sizes.sqrt()[:, None] * analysis).to(values.dtype)
            values = torch.tensordot(values, matrix, dims=([2 + axis], [1])).movedim(-1, 2 + axis)
    if not periodic:
        return values.flatten(2).unsqueeze(-1)
    return torch.view_as_real(torch.fft.fftn(values, dim=periodic, norm="ortho")).flatten(2, -2)


def _wave_numbers(grid: Grid) -> Tensor:
    """k of every mode, as `_modes` lays them out."""
    total = torch.zeros((), dtype=torch.float64)
    for axis, (n, length) in enumerate(zip(grid.shape, grid.lengths, strict=True)):
        periodic = grid.boundary[axis][0] == "periodic"
        j = torch.fft.fftfreq(n, 1 / n, dtype=torch.float64) if periodic else torch.arange(n, dtype=torch.float64) / 2
        total = total.unsqueeze(-1) + (j * (max(grid.lengths) / length)).square()
    return total.sqrt().flatten()


@lru_cache(maxsize=16)
def _sorted_into_shells(grid: Grid, edges: tuple[float, ...] | None) -> tuple[Tensor, list[int]]:
    """The modes ordered by shell, and how many are below the first edge, in each shell, and beyond the last edge."""
    # Outside inference mode, which would bar the indices from training.
    with torch.inference_mode(False):
        k = _wave_numbers(grid)
        if edges is None:
            edges = (0.0, *(0.5 + s for s in range(ceil(float(k.max())) + 1)))
        # A wave number that rounding leaves just below an edge is on it.
        shell = torch.bucketize(k * (1 + 1e-12), torch.tensor(edges, dtype=torch.float64), right=True)
        return torch.argsort(shell, stable=True), torch.bincount(shell, minlength=len(edges) + 1).tolist()
