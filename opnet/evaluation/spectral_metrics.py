"""Metrics by wave number: which scales of a prediction are wrong, and whether in size or in place."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import inf, prod
from typing import ClassVar

import torch
from torch import Tensor
from torch.linalg import vector_norm

from opnet.data.batch import Domain
from opnet.evaluation.metrics import Metric, grid_of, ratio, register_metric
from opnet.spaces.spectra import spectral_shells


@register_metric("SpectralBands")
@dataclass(frozen=True)
class SpectralBands(Metric):
    """The relative L2 error of each band of wave numbers, averaged over the bands.

    With P_b the projection to the modes of radial wave number edges[b] <= k < edges[b+1],

        e_b = ||P_b (u - v)|| / sqrt(||P_b v||^2 + floor^2 ||v||^2),   mean of e_b over b.

    All bands count alike, however little they hold, so that as a loss it works against the spectral bias that L2 has:
    the small scales that hold a thousandth of the energy are learned too. Bands that hold less than the share `floor`
    of the norm are measured against that share, and a band beyond what the grid resolves holds nothing and counts as 0.
    k counts periods in the box's longest side; the modes are Fourier's on periodic axes and cosines on others, exactly
    as `opnet.spaces.spectra.spectral_shells` says.

    Args:
        edges: ascending from at least 0; infinity is the highest mode there is.
        floor: positive, the share of the target's norm that counts as nothing.

    Raises:
        ValueError: for edges or a floor out of range; on a graph.

    >>> from opnet.spaces.grid import Grid
    >>> grid = Grid((64,), boundary="periodic")
    >>> low, high = (torch.sin(2 * torch.pi * k * grid.axis(0))[None, None] for k in (2, 20))
    >>> [round(float(e), 3) for e in SpectralBands().bands(low + 0.5 * high, low + high, grid).flatten()]
    [0.0, 0.0, 0.5]
    """

    edges: tuple[float, ...] = (0.0, 4.0, 12.0, inf)
    floor: float = 1e-3
    unit: ClassVar[str] = "1"

    def __post_init__(self) -> None:
        object.__setattr__(self, "edges", tuple(float(edge) for edge in self.edges))
        ascending = all(a < b for a, b in pairwise(self.edges))
        if len(self.edges) < 2 or not self.edges[0] >= 0 or not ascending:
            raise ValueError(f"SpectralBands.edges: expected two or more ascending from 0, found {self.edges}")
        if not 0 < self.floor < inf:
            raise ValueError(f"SpectralBands.floor: expected a positive finite number, found {self.floor}")

    def measure(self, prediction: Tensor, target: Tensor, domain: Domain) -> Tensor:
        return self._bands(prediction, target, domain).mean(-1)

    def bands(self, prediction: Tensor, target: Tensor, domain: Domain) -> Tensor:
        """The error of each band.  # shape: (batch, channel, *grid) -> (batch, channel, band)"""
        self.check(prediction, target, domain)
        return self._bands(prediction, target, domain)

    def _bands(self, prediction: Tensor, target: Tensor, domain: Domain) -> Tensor:
        grid = grid_of(self, domain)
        least = self.floor * vector_norm(spectral_shells(target, grid, (0.0, inf))[0], dim=-1)
        error, held = (
            [vector_norm(part, dim=-1) for part in spectral_shells(values, grid, self.edges)]
            for values in (prediction - target, target)
        )
        against = [vector_norm(torch.stack([size, least]), dim=0) for size in held]
        return torch.stack([ratio(self, *band) for band in zip(error, against, strict=True)], -1)


@register_metric("AMSE")
@dataclass(frozen=True)
class AMSE(Metric):
    """The adjusted mean squared error, against the double penalty.

        sum_k (sqrt P_u - sqrt P_v)^2 + 2 max(P_u, P_v) (1 - C),    C = <u_k, v_k> / sqrt(P_u P_v)

    over shells k of radial wave number within 1/2 of k = 0, 1, 2, ..., with u_k the coefficients of u in a shell and
    P_u = |u_k|^2 its power; normalised so that it is the mean squared error where the powers agree. The mean squared
    error has `2 sqrt(P_u P_v)` in place of the maximum: for small scales whose place cannot be predicted, C = 0, it is
    least at u_k = 0, and models trained with it blur. This one is least at the right power. It is not smooth where a
    shell of u vanishes, and there its gradient may be large: clip it. Where a shell of one alone holds less than 100
    roundings of that function's norm, C, which would be that of rounding, counts as 0. The modes are those of
    `opnet.spaces.spectra.spectral_shells`: on axes that are not periodic, cosines.

    Source: Subich, Husain, Separovic and Yang, Fixing the Double Penalty in Data-Driven Weather Forecasting Through a
    Modified Spherical Harmonic Loss Function, 2025, arXiv:2501.19374; here with boxes in place of the sphere.

    Raises:
        ValueError: on a graph.

    >>> from opnet.spaces.grid import Grid
    >>> grid = Grid((64,), boundary="periodic")
    >>> x = 2 * torch.pi * 9 * grid.axis(0)[None, None]
    >>> wave, shifted = torch.sin(x), torch.cos(x)
    >>> [round(float(AMSE()(guess, wave, grid)), 12) for guess in (shifted, 1e-6 * shifted)]
    [1.0, 1.499999]
    """

    unit: ClassVar[str] = "square of the target's unit"

    def measure(self, prediction: Tensor, target: Tensor, domain: Domain) -> Tensor:
        grid = grid_of(self, domain)
        # shape: (batch, channel, shell)
        shells = zip(spectral_shells(prediction, grid), spectral_shells(target, grid), strict=True)
        roots, apart = zip(*(_compared(u, v) for u, v in shells), strict=True)
        a, b = torch.stack(roots, -1).unbind(0)
        nothing = [w <= 100 * torch.finfo(w.dtype).eps * vector_norm(w, dim=-1, keepdim=True) for w in (a, b)]
        distance = torch.where(nothing[0] ^ nothing[1], 2.0, torch.stack(apart, -1))
        return ((a - b).square() + torch.maximum(a, b).square() * distance).sum(-1) / prod(grid.lengths)


def _compared(u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """sqrt P of both and 2 (1 - C) of a shell.  # shape: (batch, channel, coefficient) -> (2, batch, channel), ..."""
    a, b = vector_norm(u, dim=-1), vector_norm(v, dim=-1)
    # The square of the distance of the unit vectors: no cancellation, and 0 exactly where u = v.
    first, second = (w / _positive(size)[..., None] for w, size in ((u, a), (v, b)))
    return torch.stack([a, b]), (first - second).square().sum(-1)


def _positive(size: Tensor) -> Tensor:
    """`size`, but 1 where dividing by it would overflow."""
    return torch.where(size > torch.finfo(size.dtype).tiny, size, 1.0)
