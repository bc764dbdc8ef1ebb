"""`SeriesField`: random sums of cosines and sines, evaluated by products or, where there are many, by FFT."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import lru_cache
from math import pi, sqrt
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from opnet.core.typing import Float
from opnet.spaces.fields.base import RandomField, stacked
from opnet.spaces.grid import Grid
from opnet.spaces.streams import stream

BOUNDARIES = ("neumann", "dirichlet", "periodic")
FFT_ABOVE = 2**19  # modes times nodes of an axis: with fewer, a product with the functions' values is as fast


class SeriesField(RandomField):
    r"""Gaussian fields that are sums over a fixed set of modes.

    .. math:: g(x) = \sum_k \xi_k a_k \phi_k(x), \qquad \xi_k \sim N(0, 1)

    with `phi_k` the products over the axes of `1, sqrt(2) cos(pi k s)` (Neumann), `sqrt(2) sin(pi k s)` (Dirichlet), or
    `1, sqrt(2) cos(2 pi k s), sqrt(2) sin(2 pi k s)` (periodic), where s = (x - x_low) / period. Their mean square over
    a period is 1.

    The numbers xi come from the stream of (seed, sample), ordered by shells of max |k_i|: the function depends neither
    on the grid nor on which other samples are drawn, and more modes keep the coefficients there were.

    Subclasses give `boundary`, `modes`, `amplitudes` and, if the series repeats beyond the box, `periods`.
    """

    @property
    @abstractmethod
    def boundary(self) -> str:
        """Of the functions: "neumann", "dirichlet" or "periodic"."""

    @abstractmethod
    def modes(self, periods: tuple[float, ...]) -> tuple[int, ...]:
        """The largest k of every axis."""

    @abstractmethod
    def amplitudes(self, k: Sequence[np.ndarray], periods: tuple[float, ...]) -> np.ndarray:
        """The standard deviation of every coefficient, for an open mesh of wave numbers.  # shape: (*modes)"""

    def periods(self, lengths: tuple[float, ...]) -> tuple[float, ...]:
        """The length that s measures along every axis: the box's, unless the series repeats beyond it."""
        return lengths

    def sample(
        self, seed: int, indices: Sequence[int], grid: Grid, *, key: Sequence[int] = ()
    ) -> Float[Tensor, "sample *shape"]:
        periods = self.periods(grid.lengths)
        modes = self.modes(periods)
        k = [wave_numbers(self.boundary, m) for m in modes]
        amplitudes = self.amplitudes(np.ix_(*k), periods)
        order = _shell_order(self.boundary, modes)
        axes = [axis_series(self.boundary, m, grid, axis, periods[axis]) for axis, m in enumerate(modes)]
        values = []
        for index in indices:
            xi = np.empty(amplitudes.size)
            xi[order] = stream(seed, index, *key).standard_normal(amplitudes.size)
            g = torch.from_numpy(amplitudes * xi.reshape(amplitudes.shape))
            for axis in axes:
                g = axis.evaluate(g)
            values.append(g)
        return stacked(values, grid)


class DenseAxis:
    """Sums over the functions of one axis, by a product with their values at the nodes."""

    def __init__(self, boundary: str, modes: int, grid: Grid, axis: int, period: float) -> None:
        k = wave_numbers(boundary, modes)
        phase = np.outer(grid.axis(axis).numpy() - grid.extent[axis][0], k * (_waves(boundary) * pi / period))
        basis = np.sin(phase) if boundary == "dirichlet" else np.cos(phase)
        if boundary == "periodic":
            basis[:, 2::2] = np.sin(phase[:, 2::2])
        self.basis = torch.from_numpy(basis * np.where(k == 0, 1.0, sqrt(2.0)))

    def evaluate(self, coefficients: Tensor) -> Tensor:
        """Values at the nodes: the leading axis of modes becomes a trailing axis of nodes."""
        return torch.tensordot(coefficients, self.basis, dims=([0], [1]))


class FourierAxis:
    """The same sums by FFT, for nodes at (j + offset) / n of the period: modes beyond n are folded, not lost."""

    OFFSETS: ClassVar[dict[str, float]] = {"vertex": 0.0, "cell": 0.5, "left": 0.0, "interior": 1.0}

    def __init__(self, boundary: str, modes: int, grid: Grid, axis: int) -> None:
        self.boundary = boundary
        self.points = grid.intervals[axis] * (2 // _waves(boundary))
        self.nodes = torch.arange(grid.shape[axis]) % self.points
        k = torch.arange(1 if boundary == "dirichlet" else 0, modes + 1, dtype=torch.float64)
        shift = torch.exp(2j * pi * self.OFFSETS[grid.nodes[axis]] / self.points * k)
        self.factor = (
            shift * torch.where(k == 0, torch.ones_like(k), sqrt(2.0)) * (-1j if boundary == "dirichlet" else 1)
        )
        self.places = k.long() % self.points

    def evaluate(self, coefficients: Tensor) -> Tensor:
        """Values at the nodes: the leading axis of modes becomes a trailing axis of nodes."""
        c = coefficients.movedim(0, -1)
        if self.boundary == "periodic":  # a cos + b sin is the real part of (a - i b) exp
            first, cosines, sines = c[..., :1], c[..., 1::2], c[..., 2::2]
            c = torch.complex(torch.cat([first, cosines], -1), torch.cat([torch.zeros_like(first), -sines], -1))
        terms = c * self.factor
        folded = terms.new_zeros(*terms.shape[:-1], self.points).index_add_(-1, self.places, terms)
        return torch.fft.ifft(folded, norm="forward").real[..., self.nodes]


def axis_series(boundary: str, modes: int, grid: Grid, axis: int, period: float) -> DenseAxis | FourierAxis:
    """What evaluates a series along an axis: by FFT where it has many modes and repeats with the axis."""
    if modes * grid.shape[axis] > FFT_ABOVE and period == grid.lengths[axis]:
        return FourierAxis(boundary, modes, grid, axis)
    return DenseAxis(boundary, modes, grid, axis, period)


def wave_numbers(boundary: str, modes: int) -> np.ndarray:
    """k of every function of an axis, in the order that coefficients have.

    >>> wave_numbers("periodic", 2), wave_numbers("neumann", 2), wave_numbers("dirichlet", 2)
    (array([0, 1, 1, 2, 2]), array([0, 1, 2]), array([1, 2]))
    """
    if boundary == "periodic":  # 1, cos 1, sin 1, cos 2, sin 2, ...
        return (np.arange(2 * modes + 1) + 1) // 2
    return np.arange(1 if boundary == "dirichlet" else 0, modes + 1)


def squared_frequencies(boundary: str, k: Sequence[np.ndarray], periods: tuple[float, ...]) -> np.ndarray:
    """`|omega_k|^2`, the eigenvalues of -Lap, in 1/length^2, for an open mesh of wave numbers."""
    return np.asarray(sum((n * (_waves(boundary) * pi / period)) ** 2 for n, period in zip(k, periods, strict=True)))


def check_boundary(name: str, boundary: str) -> None:
    """Raise a `ValueError` naming the field unless its boundary is known."""
    if boundary not in BOUNDARIES:
        raise ValueError(f"{name}.boundary: expected one of {', '.join(BOUNDARIES)}, found {boundary!r}")


def _waves(boundary: str) -> int:
    """Half waves along a period, for k = 1."""
    return 2 if boundary == "periodic" else 1


@lru_cache(maxsize=8)
def _shell_order(boundary: str, modes: tuple[int, ...]) -> np.ndarray:
    """Flat indices of the coefficients by shells of the largest wave number, lexicographic within a shell."""
    k = [wave_numbers(boundary, m) for m in modes]
    places = np.indices([len(n) for n in k]).reshape(len(k), -1)
    largest = np.max([n[place] for n, place in zip(k, places, strict=True)], 0)
    return np.lexsort((*places[::-1], largest))
