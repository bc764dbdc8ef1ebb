"""`Compressible2D`: a viscous ideal gas on the periodic unit square, from random fields or decaying turbulence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.solvers.pde.compressible import DEFECTS, MINIMA, Compressible
from opnet.spaces.grid import Grid
from opnet.spaces.streams import stream

STARTS = ("random", "turbulence")
MEAN_NODES = 64  # an axis, of the grid on which mean sizes are taken, whatever the grid asked for
LEAST = 0.05  # of rho_0 and rho_0 T


@register("problem", "compressible_2d")
@dataclass(frozen=True)
class Compressible2D(Compressible):
    r"""A viscous ideal gas on the periodic unit square.

    The equations are those of `Compressible`. Fields are sums over the wave numbers of which neither component is 0,

    .. math:: g(x) = \sum_{0 < |k_1|, |k_2| \le k_{max}} |k|^{-1/2} \sin(2 \pi k \cdot x + \varphi_k), \qquad
       \varphi_k \sim U(0, 2 \pi)

    "random": velocities of two such fields, scaled to a mean speed of M c with c = sqrt(gamma T); density
    rho_0 (1 + d_1 g_3 / mean |g_3|) and pressure rho_0 T (1 + d_2 g_4 / mean |g_4|); rho_0, T ~ U(.1, 10), d_1, d_2 ~
    U(.01, .2). "turbulence": two fields without their divergence, scaled to a mean speed of 1; density 1 and pressure
    1 / (gamma M^2). Fields that would leave less than .05 of rho_0 or rho_0 T anywhere are drawn again (about 1 % are;
    one sample in 200 would otherwise have a negative density or pressure somewhere).

    M. Takamoto et al., *PDEBench*, arXiv:2210.07182, appendix D, and the code published with it, which also cuts half
    of the random samples off by windows, which these do not have. All quantities are dimensionless.

    Inputs are values at the midpoints of the cells. Targets are the states of cell means of mass, momentum and energy.
    At Mach numbers of .1 waves of sound, 10 times faster than the flow, dictate the steps.

    Args:
        times: see `Evolution`; PDEBench has 0, .05, ..., 1.
        start: "random" or "turbulence".
        mach: M; PDEBench has .1 and 1.
        gamma: ratio of specific heats; above 1.
        eta, zeta: shear and bulk viscosity; PDEBench has 1e-8, .01 and .1 for both.
        max_mode: the largest component of a wave number.
        limiter: "van_leer", "monotonised_central" or "minmod".

    Raises:
        ValueError: for parameters out of these ranges.

    >>> samples = Compressible2D(times=0.02).sample(0, [0], 16)
    >>> samples.targets.shape, float(samples.diagnostics["energy_defect"]) < 1e-13
    (torch.Size([1, 4, 16, 16]), True)
    """

    times: float | tuple[float, ...] = 1.0
    start: str = "random"
    mach: float = 0.1
    gamma: float = 5 / 3
    eta: float = 1e-2
    zeta: float = 1e-2
    max_mode: int = 4
    limiter: str = "van_leer"

    equation: ClassVar[str] = (
        "compressible Navier-Stokes equations of an ideal gas in two dimensions, periodic on (0,1)^2, dynamic "
        "viscosities, no conduction of heat"
    )
    input_names: ClassVar[tuple[str, ...]] = ("density_initial", "v_x_initial", "v_y_initial", "pressure_initial")
    target_names: ClassVar[tuple[str, ...]] = ("density", "v_x", "v_y", "pressure")
    units: ClassVar[dict[str, str]] = dict.fromkeys(
        ("x", "t", *input_names, *target_names, "start", "mach", "gamma", "eta", "zeta", "max_mode", "limiter"), "1"
    )
    error_method: ClassVar[str] = (
        "d / (1 - 2^-2) = 1.33 d, with d the relative L2 difference, in the worst channel, to the means over 2 x 2 "
        "cells of the solution on cells half as large. Against solutions on 256^2 cells at t = 1 (3 samples each at "
        "16^2 to 64^2, default parameters) estimate / true error is .95 to 1.09; shocks at Mach numbers near 1 and "
        "low viscosity make errors fall more slowly, and estimates then are too low"
    )
    diagnostics: ClassVar[dict[str, str]] = {**MINIMA, **DEFECTS}
    order: ClassVar[float] = 2.0

    def __post_init__(self) -> None:
        self.check()
        if self.start not in STARTS:
            raise ValueError(f"Compressible2D.start: expected one of {', '.join(STARTS)}, found {self.start!r}")
        for name in ("mach", "max_mode"):
            if not 0 < getattr(self, name) < torch.inf:
                raise ValueError(f"Compressible2D.{name}: expected a positive number, found {getattr(self, name)}")

    def grid(self, resolution: int) -> Grid:
        if resolution < 4:
            raise ValueError(f"Compressible2D: expected a resolution of at least 4, found {resolution}")
        return Grid((resolution, resolution), boundary="periodic", nodes="cell")

    def initial(self, seed: int, indices: Sequence[int], grid: Grid) -> Tensor:
        coarse = grid.resized(MEAN_NODES)
        return torch.stack([self._draw(seed, index, grid, coarse) for index in indices])

    def _draw(self, seed: int, index: int, grid: Grid, coarse: Grid) -> Tensor:
        random = stream(seed, index)
        k = np.concatenate([np.arange(-self.max_mode, 0), np.arange(1, self.max_mode + 1)])
        k1, k2 = np.meshgrid(k, k, indexing="ij")

        def terms(count: int) -> np.ndarray:  # sin(phase + phi) = Im(exp(i phi) exp(i phase))
            return (k1**2 + k2**2) ** -0.25 * np.exp(1j * random.uniform(0, 2 * pi, (count, *k1.shape)))

        v = terms(2)
        if self.start == "turbulence":
            along = (k1 * v[0] + k2 * v[1]) / (k1**2 + k2**2)
            v -= np.stack([k1 * along, k2 * along])
        velocity = _sums(v, k, grid) / _sums(v, k, coarse).square().sum(0).sqrt().mean()
        if self.start == "turbulence":
            one = torch.ones_like(velocity[:1])
            return torch.cat([one, velocity, one / (self.gamma * self.mach**2)])
        rho, T = random.uniform(0.1, 10, 2)
        thermal = []
        for base, d in zip((rho, rho * T), random.uniform(0.01, 0.2, 2), strict=True):
            while True:
                g = terms(1)
                size = _sums(g, k, coarse).abs().mean()
                if 1 + d * float(_sums(g, k, coarse).amin() / size) > LEAST:
                    break
            thermal.append(base * (1 + d * _sums(g, k, grid) / size))
        return torch.cat([thermal[0], velocity * (self.mach * (self.gamma * T) ** 0.5), thermal[1]])


def _sums(terms: np.ndarray, k: np.ndarray, grid: Grid) -> Tensor:
    """Im sum c_k exp(2 pi i k x) at the nodes.  # shape: (field, k_1, k_2) -> (field, *grid)"""
    waves = [torch.from_numpy(np.exp(2j * pi * np.outer(k, grid.axis(axis).numpy()))) for axis in (0, 1)]
    return torch.einsum("fij,ix,jy->fxy", torch.from_numpy(terms), *waves).imag
