"""`RBFField`: smooth Gaussian fields whose covariance is a squared exponential."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from math import ceil, log, pi, sqrt

import numpy as np

from opnet.core.registry import register
from opnet.spaces.fields.series import SeriesField, squared_frequencies

ACCURACY = 1e-12  # of the covariance, as a share of the variance
REACH = sqrt(2 * log(1 / ACCURACY))  # length scales after which the kernel is below ACCURACY


@register("field", "RBFField")
@dataclass(frozen=True)
class RBFField(SeriesField):
    r"""The Gaussian process with mean 0 and a squared exponential (radial basis function) kernel, on any box.

    .. math:: E[g(x) g(y)] = \sigma^2 \exp(-|x - y|^2 / (2 l^2))

    The inputs of the DeepONet papers (Lu et al., arXiv:1910.03193, section 2; l = .2 on the unit interval). A sample is
    a Fourier series whose coefficients have the kernel's own spectral density, of a period longer than the box by so
    many length scales (7.4) that the kernel's periodic images change the covariance by less than 1e-12 sigma^2; modes
    that together have less than that are left out. So the draw is one analytic function on every grid, which factors
    of covariance matrices do not give.

    Args:
        length: l, the correlation length, in the unit of length.
        sigma: standard deviation at every point.
        periodic: repeat with the box: the covariance is then that of the kernel summed over its periodic images, scaled
            so that the variance is sigma^2.

    Raises:
        ValueError: unless length and sigma are positive and finite.

    >>> from opnet.spaces.grid import Grid
    >>> field = RBFField(0.2)
    >>> fine, coarse = (field.sample(0, [5], Grid((n,), nodes="vertex")) for n in (201, 101))
    >>> abs(fine[:, ::2] - coarse).max().item() < 1e-13
    True
    """

    length: float
    sigma: float = 1.0
    periodic: bool = False

    def __post_init__(self) -> None:
        for name in ("length", "sigma"):
            value = getattr(self, name)
            if not 0 < value < float("inf"):
                raise ValueError(f"RBFField.{name}: expected a positive finite number, found {value}")

    @property
    def boundary(self) -> str:
        return "periodic"

    def periods(self, lengths: tuple[float, ...]) -> tuple[float, ...]:
        return lengths if self.periodic else tuple(length + REACH * self.length for length in lengths)

    def modes(self, periods: tuple[float, ...]) -> tuple[int, ...]:
        return tuple(ceil(REACH * period / (2 * pi * self.length)) for period in periods)

    def amplitudes(self, k: Sequence[np.ndarray], periods: tuple[float, ...]) -> np.ndarray:
        variances = [
            np.exp(-(self.length**2) / 2 * squared_frequencies("periodic", (n,), (period,)))
            for n, period in zip(k, periods, strict=True)
        ]
        # cos^2 + sin^2 = 1: functions of k > 0 come in pairs, whose variances together count twice one of them.
        return self.sigma * np.sqrt(reduce(np.multiply, (v / v.sum() for v in variances)))
