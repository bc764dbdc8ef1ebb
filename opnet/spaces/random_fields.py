"""Gaussian random fields as series of exact eigenfunctions: one continuous function on every grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import pi, sqrt

import numpy as np
import torch

from opnet.core.typing import Float
from opnet.spaces.grid import Grid
from opnet.spaces.streams import stream

FIELD_BOUNDARIES = ("neumann", "dirichlet", "periodic")


@dataclass(frozen=True)
class GaussianField:
    r"""The Gaussian measure `N(0, sigma^2 (-Lap + tau^2)^-alpha)` on a box, truncated at a fixed largest mode.

    .. math:: g(x) = \sigma \sum_k \xi_k (\lambda_k + \tau^2)^{-\alpha/2} \phi_k(x), \qquad \xi_k \sim N(0, 1)

    with `lambda_k, phi_k` the eigenvalues and L2-normalised eigenfunctions of -Lap under the boundary condition:
    products of `1, sqrt(2) cos(pi k x)` (Neumann), `sqrt(2) sin(pi k x)` (Dirichlet), `1, sqrt(2) cos(2 pi k x),
    sqrt(2) sin(2 pi k x)` (periodic) on a unit side, scaled by 1/sqrt(L) on a side of length L. The field of the FNO
    papers (Z. Li et al., arXiv:2010.08895, appendix A.3, and the code published with it) has `sigma = tau^(alpha-1)` in
    two dimensions, a Neumann boundary and no constant mode.

    The numbers xi come from the stream of (seed, sample), ordered by shells of max |k_i|: the function does not depend
    on the grid nor on which other samples are drawn, and raising `max_mode` keeps the coefficients there were.

    Args:
        tau: inverse correlation length, in 1/length; positive, or 0 without the constant mode.
        alpha: smoothness exponent of the covariance; samples have about alpha - dim/2 derivatives.
        sigma: amplitude.
        boundary: "neumann", "dirichlet" or "periodic".
        max_mode: the largest k_i; a property of the distribution, never of the grid.
        zero_mean: leave the constant mode out.

    Raises:
        ValueError: for values out of these ranges.

    >>> field = GaussianField(3.0, 2.0, max_mode=8)
    >>> fine, coarse = (field.sample(0, [5], Grid((n, n), nodes="vertex")) for n in (17, 9))
    >>> bool(torch.allclose(fine[:, ::2, ::2], coarse))
    True
    """

    tau: float
    alpha: float
    sigma: float = 1.0
    boundary: str = "neumann"
    max_mode: int = 64
    zero_mean: bool = True

    def __post_init__(self) -> None:
        if self.boundary not in FIELD_BOUNDARIES:
            raise ValueError(
                f"GaussianField.boundary: expected one of {', '.join(FIELD_BOUNDARIES)}, found {self.boundary!r}"
            )
        constant_mode = not self.zero_mean and self.boundary != "dirichlet"
        if self.tau < 0 or (self.tau == 0 and constant_mode):
            raise ValueError(f"GaussianField.tau: expected tau > 0 (0 with zero_mean), found {self.tau}")
        for name, value in (("alpha", self.alpha), ("sigma", self.sigma), ("max_mode", self.max_mode)):
            if not value > 0:
                raise ValueError(f"GaussianField.{name}: expected a positive number, found {value}")

    def sample(
        self, seed: int, indices: Sequence[int], grid: Grid, *, key: Sequence[int] = ()
    ) -> Float[torch.Tensor, "sample *shape"]:
        """The samples `indices` of `seed` at the nodes of `grid`, in float64.

        Args:
            key: what else the stream is keyed by, after the index, such as the number of a component.
        """
        bases = [self._basis(grid, axis) for axis in range(grid.dim)]
        amplitude = self._amplitude(tuple(grid.lengths))
        order = _shell_order(amplitude.shape, tuple(self._wave_numbers().tolist()))
        values = []
        for index in indices:
            xi = np.empty(amplitude.size)
            xi[order] = stream(seed, index, *key).standard_normal(amplitude.size)
            g = torch.from_numpy(amplitude * xi.reshape(amplitude.shape))
            for basis in bases:  # each product turns the leading mode axis into a trailing grid axis
                g = torch.tensordot(g, basis, dims=([0], [1]))
            values.append(g)
        return torch.stack(values) if values else torch.empty(0, *grid.shape, dtype=torch.float64)

    def _wave_numbers(self) -> np.ndarray:
        """k of every one-dimensional eigenfunction, in the order the basis holds them."""
        if self.boundary == "periodic":  # 1, cos 1, sin 1, cos 2, sin 2, ...
            return (np.arange(2 * self.max_mode + 1) + 1) // 2
        return np.arange(1 if self.boundary == "dirichlet" else 0, self.max_mode + 1)

    def _frequencies(self, length: float) -> np.ndarray:
        return self._wave_numbers() * ((2 if self.boundary == "periodic" else 1) * pi / length)

    def _basis(self, grid: Grid, axis: int) -> torch.Tensor:
        """The one-dimensional eigenfunctions at the nodes of one axis.  # shape: (n, modes)"""
        low, length = grid.extent[axis][0], grid.lengths[axis]
        phase = np.outer(grid.axis(axis).numpy() - low, self._frequencies(length))
        values = np.sin(phase) if self.boundary == "dirichlet" else np.cos(phase)
        if self.boundary == "periodic":
            values[:, 2::2] = np.sin(phase[:, 2::2])
        values *= np.where(self._wave_numbers() == 0, 1.0, sqrt(2.0)) / sqrt(length)
        return torch.from_numpy(values)

    def _amplitude(self, lengths: tuple[float, ...]) -> np.ndarray:
        """Standard deviation of every coefficient.  # shape: (modes,) * dim"""
        eigenvalues = np.zeros(())
        for length in lengths:
            eigenvalues = eigenvalues[..., None] + self._frequencies(length) ** 2
        with np.errstate(divide="ignore"):
            amplitude = self.sigma * (eigenvalues + self.tau**2) ** (-self.alpha / 2)
        if self.zero_mean and self.boundary != "dirichlet":
            amplitude[(0,) * len(lengths)] = 0.0
        return amplitude


@lru_cache(maxsize=8)
def _shell_order(shape: tuple[int, ...], wave_numbers: tuple[int, ...]) -> np.ndarray:
    """Flat indices of the modes by shells of the largest wave number, lexicographic within a shell."""
    k = np.asarray(wave_numbers)
    modes = np.indices(shape).reshape(len(shape), -1)
    return np.lexsort((*modes[::-1], k[modes].max(0)))
