"""`FourierField`: random sums of the lowest modes, decaying at a stated rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from opnet.core.registry import register
from opnet.spaces.fields.series import SeriesField, check_boundary


@register("field", "FourierField")
@dataclass(frozen=True)
class FourierField(SeriesField):
    r"""Sums over the modes `0 < |k| <= max_mode` (Euclidean norm) whose amplitudes fall as `|k|^-decay`.

    .. math:: g(x) = \sigma \sum_k \xi_k \frac{|k|^{-d}}{(\sum_j |j|^{-2d})^{1/2}} \phi_k(x), \qquad \xi_k \sim N(0, 1)

    with the functions of `SeriesField`; the mean is 0 except under a Dirichlet boundary.

    Args:
        max_mode: the largest |k|; a property of the distribution, never of the grid.
        decay: d; 0 gives every mode the same share.
        sigma: root of the expected mean square over the box.
        boundary: "periodic", "neumann" or "dirichlet".

    Raises:
        ValueError: for values out of these ranges.

    >>> from opnet.spaces.grid import Grid
    >>> grid = Grid((64,), boundary="periodic")
    >>> g = FourierField(4, decay=1.0, sigma=2.0).sample(0, range(2000), grid)
    >>> abs(g.square().mean().sqrt().item() - 2) < 0.05
    True
    """

    max_mode: int
    decay: float = 0.0
    sigma: float = 1.0
    boundary: str = "periodic"

    def __post_init__(self) -> None:
        check_boundary("FourierField", self.boundary)
        for name, value in (("max_mode", self.max_mode), ("sigma", self.sigma)):
            if not value > 0:
                raise ValueError(f"FourierField.{name}: expected a positive number, found {value}")
        if not self.decay >= 0:
            raise ValueError(f"FourierField.decay: expected a number of at least 0, found {self.decay}")

    def modes(self, periods: tuple[float, ...]) -> tuple[int, ...]:
        return (self.max_mode,) * len(periods)

    def amplitudes(self, k: Sequence[np.ndarray], periods: tuple[float, ...]) -> np.ndarray:
        r2 = np.asarray(sum(n.astype(float) ** 2 for n in k))
        kept = (r2 > 0) & (r2 <= self.max_mode**2)
        amplitude = np.where(kept, np.where(kept, r2, 1.0) ** (-self.decay / 2), 0.0)
        if not kept.any():
            raise ValueError(
                f"FourierField.max_mode: expected at least {len(periods)}^(1/2), for the {self.boundary} functions of "
                f"{len(periods)} axes, found {self.max_mode}"
            )
        return self.sigma * amplitude / np.sqrt((amplitude**2).sum())
