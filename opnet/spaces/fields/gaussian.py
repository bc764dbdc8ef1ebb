"""`GaussianField`: Gaussian measures with the covariance of a power of a Laplacian."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from opnet.core.registry import register
from opnet.spaces.fields.series import SeriesField, check_boundary, squared_frequencies


@register("field", "GaussianField")
@dataclass(frozen=True)
class GaussianField(SeriesField):
    r"""The Gaussian measure `N(0, sigma^2 (-Lap + tau^2)^-alpha)` on a box, truncated at a fixed largest mode.

    .. math:: g(x) = \sigma \sum_k \xi_k (\lambda_k + \tau^2)^{-\alpha/2} \phi_k(x), \qquad \xi_k \sim N(0, 1)

    with `lambda_k, phi_k` the eigenvalues and L2-normalised eigenfunctions of -Lap under the boundary condition:
    products of `1, sqrt(2) cos(pi k x)` (Neumann), `sqrt(2) sin(pi k x)` (Dirichlet), `1, sqrt(2) cos(2 pi k x),
    sqrt(2) sin(2 pi k x)` (periodic) on a unit side, scaled by 1/sqrt(L) on a side of length L. The field of the FNO
    papers (Z. Li et al., arXiv:2010.08895, appendix A.3, and the code published with it) has `sigma = tau^(alpha-1)` in
    two dimensions, a Neumann boundary and no constant mode.

    Coefficients are drawn as `SeriesField` says: raising `max_mode` keeps those there were.

    Args:
        tau: inverse correlation length, in 1/length; positive, or 0 without the constant mode.
        alpha: smoothness exponent of the covariance; samples have about alpha - dim/2 derivatives.
        sigma: amplitude.
        boundary: "neumann", "dirichlet" or "periodic".
        max_mode: the largest k_i; a property of the distribution, never of the grid.
        zero_mean: leave the constant mode out.

    Raises:
        ValueError: for values out of these ranges.

    >>> from opnet.spaces.grid import Grid
    >>> field = GaussianField(3.0, 2.0, max_mode=8)
    >>> fine, coarse = (field.sample(0, [5], Grid((n, n), nodes="vertex")) for n in (17, 9))
    >>> abs(fine[:, ::2, ::2] - coarse).max().item() < 1e-14
    True
    """

    tau: float
    alpha: float
    sigma: float = 1.0
    boundary: str = "neumann"
    max_mode: int = 64
    zero_mean: bool = True

    def __post_init__(self) -> None:
        check_boundary("GaussianField", self.boundary)
        constant_mode = not self.zero_mean and self.boundary != "dirichlet"
        if self.tau < 0 or (self.tau == 0 and constant_mode):
            raise ValueError(f"GaussianField.tau: expected tau > 0 (0 with zero_mean), found {self.tau}")
        for name, value in (("alpha", self.alpha), ("sigma", self.sigma), ("max_mode", self.max_mode)):
            if not value > 0:
                raise ValueError(f"GaussianField.{name}: expected a positive number, found {value}")

    def modes(self, periods: tuple[float, ...]) -> tuple[int, ...]:
        return (self.max_mode,) * len(periods)

    def amplitudes(self, k: Sequence[np.ndarray], periods: tuple[float, ...]) -> np.ndarray:
        eigenvalues = squared_frequencies(self.boundary, k, periods)
        with np.errstate(divide="ignore"):
            amplitude = self.sigma * (eigenvalues + self.tau**2) ** (-self.alpha / 2)
        if self.zero_mean and self.boundary != "dirichlet":
            amplitude[(0,) * len(periods)] = 0.0
        return amplitude / prod(periods) ** 0.5
