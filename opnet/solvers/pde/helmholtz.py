"""`Helmholtz`: waves of one frequency through a medium, leaving the square."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi
from typing import ClassVar

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.linops.base import LinearOperator
from opnet.linops.diffusion import Diffusion
from opnet.solvers.linear.base import LinearSolver
from opnet.solvers.linear.direct import DirectSolver
from opnet.solvers.pde.elliptic import Elliptic, square
from opnet.spaces.fields.gaussian import GaussianField
from opnet.spaces.grid import Grid

PER_WAVE = 8  # cells to the shortest wave, at least


@register("problem", "helmholtz")
@dataclass(frozen=True)
class Helmholtz(Elliptic):
    r"""Helmholtz' equation for waves `u(x) exp(-i omega t)` of a source in a medium of random speed, on (0,1)^2.

    .. math:: -\Delta u - \frac{\omega^2}{c(x)^2} u = f, \qquad \partial_n u - i \frac{\omega}{c_0} u = 0
       \text{ on the boundary}, \qquad c = c_0 (1 + \delta \tanh g), \quad
       g \sim N(0, \sigma^2 (-\Delta + \tau^2)^{-\alpha})

    with the first-order absorbing condition (B. Engquist and A. Majda, Math. Comp. 31 (1977) 629-651), a source
    `f = exp(-|x - x_s|^2 / (2 w^2)) / (2 pi w^2)` at the point x_s, and a speed of the form of M. V. de Hoop, D. Z.
    Huang, E. Qian and A. M. Stuart, J. Mach. Learn. 1 (2022) 299-341, section 4.3. The input is c, the targets are the
    real and imaginary parts of u. All quantities are dimensionless.

    Second-order finite volumes: the phase drifts by about (k h)^2 / 24 of itself (k = omega / c), so the error grows as
    omega^3 and falls as n^-2; grids with fewer than 8 cells to the shortest wave are refused. SuperLU solves, on the
    CPU whatever the device of the samples.

    Args:
        omega: angular frequency; 25 puts 4 waves across the square.
        speed: c_0.
        contrast: delta, from 0 to below 1.
        tau, alpha, sigma: inverse correlation length, smoothness exponent and amplitude of g.
        source: x_s.
        width: w.
        max_mode: largest cosine mode of g on an axis.
        rtol: tolerance of the recomputed relative residual.

    Raises:
        ValueError: for parameters out of these ranges.

    >>> samples = Helmholtz(omega=10.0).sample(0, [0, 7], 32)
    >>> samples.targets.shape, float(samples.discretisation_error.max()) < 0.1
    (torch.Size([2, 2, 32, 32]), True)
    """

    omega: float = 25.0
    speed: float = 1.0
    contrast: float = 0.25
    tau: float = 3.0
    alpha: float = 3.0
    sigma: float = 50.0
    source: tuple[float, float] = (0.5, 0.2)
    width: float = 0.05
    max_mode: int = 32
    rtol: float = 1e-9

    equation: ClassVar[str] = (
        "-Lap u - (omega / c)^2 u = f on (0,1)^2, du/dn = i (omega / c_0) u on the boundary; c random, f a bump"
    )
    input_names: ClassVar[tuple[str, ...]] = ("c",)
    target_names: ClassVar[tuple[str, ...]] = ("u_real", "u_imaginary")
    units: ClassVar[dict[str, str]] = dict.fromkeys(
        (
            "x", "c", "u_real", "u_imaginary", "omega", "speed", "contrast", "tau", "alpha", "sigma", "source", "width",
            "max_mode",
        ),
        "1",
    )  # fmt: skip
    solver: ClassVar[str] = "cell-centred finite volumes (order 2), complex; SuperLU on the CPU"
    error_method: ClassVar[str] = (
        "4/3 of the relative L2 difference to the means over 2 x 2 cells of the solution at twice the resolution. "
        "Against solutions at 256^2 (8 samples; omega = 12 at 32^2 and 64^2, 25 at 64^2) the median of estimate "
        "/ true error is 1.02 to 1.07"
    )
    method: ClassVar[LinearSolver] = DirectSolver()
    on_cpu: ClassVar[bool] = True  # SuperLU knows no other device

    def __post_init__(self) -> None:
        self.check_positive("omega", "speed", "sigma", "width", "rtol")
        if not 0 <= self.contrast < 1:
            raise ValueError(f"Helmholtz.contrast: expected from 0 to below 1, found {self.contrast}")
        if len(self.source) != 2 or not all(0 <= x <= 1 for x in self.source):
            raise ValueError(f"Helmholtz.source: expected a point of the unit square, found {self.source}")
        _ = self.field  # checks tau, alpha and max_mode

    def grid(self, resolution: int) -> Grid:
        least = PER_WAVE * self.omega / (2 * pi * self.speed * (1 - self.contrast))
        if resolution < max(2, least):
            raise ValueError(
                f"Helmholtz: expected a resolution of at least {max(2, int(least) + 1)}, {PER_WAVE} cells to the "
                f"shortest wave, found {resolution}"
            )
        return square("Helmholtz", resolution, "robin")

    @property
    def field(self) -> GaussianField:
        """g."""
        return GaussianField(self.tau, self.alpha, self.sigma, max_mode=self.max_mode)

    def draw(self, seed: int, indices: Sequence[int], grid: Grid, device: torch.device | str) -> Tensor:
        g = self.field.sample(seed, indices, grid).to(device)
        return (self.speed * (1 + self.contrast * torch.tanh(g))).unsqueeze(1)

    def posed(self, inputs: Tensor, grid: Grid) -> tuple[LinearOperator, Tensor]:
        c = inputs.squeeze(1)
        x, y = grid.coordinates(device=c.device)
        distance = (x - self.source[0]) ** 2 + (y - self.source[1]) ** 2
        f = torch.exp(-distance / (2 * self.width**2)) / (2 * pi * self.width**2)
        A = Diffusion(torch.ones_like(c), grid, c=-((self.omega / c) ** 2), robin=-1j * self.omega / self.speed)
        return A, f.to(A.dtype).expand(len(c), -1, -1)

    def targets(self, u: Tensor) -> Tensor:
        return torch.stack([u.real, u.imag], 1)

    def unknowns(self, targets: Tensor) -> Tensor:
        return torch.complex(*targets.unbind(1))
