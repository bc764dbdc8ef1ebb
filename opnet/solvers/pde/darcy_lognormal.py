"""`DarcyLognormal`: steady flow through a medium whose logarithm is Gaussian."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.linops.base import LinearOperator
from opnet.linops.diffusion import Diffusion
from opnet.solvers.pde.elliptic import Elliptic, square
from opnet.spaces.fields.gaussian import GaussianField
from opnet.spaces.grid import Grid


@register("problem", "darcy_lognormal")
@dataclass(frozen=True)
class DarcyLognormal(Elliptic):
    r"""Darcy flow with a lognormal coefficient, `-div(a grad u) = f` on (0,1)^2 with u = 0 on the boundary.

    .. math:: a = e^g, \qquad g \sim N(0, \sigma^2 (-\Delta + \tau^2)^{-\alpha})

    with the Neumann cosine basis, the constant mode left out; K. Bhattacharya, B. Hosseini, N. B. Kovachki and A. M.
    Stuart, *Model Reduction and Neural Networks for Parametric PDEs*, SMAI J. Comput. Math. 7 (2021), section 4.1. At
    the defaults g has a standard deviation of about .8: a varies by factors of 10 to 100 within a sample. Conservative
    finite volumes with harmonic faces. All quantities are dimensionless.

    Args:
        tau, alpha, sigma: inverse correlation length, smoothness exponent and amplitude of g.
        forcing: f, a constant other than 0.
        max_mode: largest cosine mode of g on an axis.
        rtol: tolerance of the recomputed relative residual.

    Raises:
        ValueError: for parameters out of these ranges.

    >>> samples = DarcyLognormal().sample(0, [0, 7], 32)
    >>> samples.targets.shape, float(samples.discretisation_error.max()) < 0.05
    (torch.Size([2, 1, 32, 32]), True)
    """

    tau: float = 3.0
    alpha: float = 3.0
    sigma: float = 50.0
    forcing: float = 1.0
    max_mode: int = 64
    rtol: float = 1e-10

    equation: ClassVar[str] = "-div(a grad u) = f on (0,1)^2, u = 0 on the boundary; log a Gaussian, f constant"
    input_names: ClassVar[tuple[str, ...]] = ("a",)
    target_names: ClassVar[tuple[str, ...]] = ("u",)
    units: ClassVar[dict[str, str]] = dict.fromkeys(
        ("x", "a", "u", "tau", "alpha", "sigma", "forcing", "max_mode"), "1"
    )
    solver: ClassVar[str] = (
        "cell-centred finite volumes, harmonic face coefficients (order 2); conjugate gradients preconditioned by "
        "multigrid"
    )
    error_method: ClassVar[str] = (
        "4/3 of the relative L2 difference to the means over 2 x 2 cells of the solution at twice the resolution. "
        "Against solutions at 1024^2 (20 samples each at 32^2 to 128^2, default parameters) estimate / true error is "
        "1.00 to 1.02"
    )

    def __post_init__(self) -> None:
        self.check_positive("sigma", "rtol")
        if self.forcing == 0 or not abs(self.forcing) < torch.inf:
            raise ValueError(f"DarcyLognormal.forcing: expected a finite number other than 0, found {self.forcing}")
        _ = self.field  # checks tau, alpha and max_mode

    def grid(self, resolution: int) -> Grid:
        return square("DarcyLognormal", resolution)

    @property
    def field(self) -> GaussianField:
        """log a."""
        return GaussianField(self.tau, self.alpha, self.sigma, max_mode=self.max_mode)

    def coefficient(self, seed: int, indices: Sequence[int], grid: Grid) -> Tensor:
        """a at the nodes of any grid.  # shape: (sample, *grid)"""
        return self.field.sample(seed, indices, grid).exp()

    def draw(self, seed: int, indices: Sequence[int], grid: Grid, device: torch.device | str) -> Tensor:
        return self.coefficient(seed, indices, grid).to(device).unsqueeze(1)

    def posed(self, inputs: Tensor, grid: Grid) -> tuple[LinearOperator, Tensor]:
        a = inputs.squeeze(1)
        return Diffusion(a, grid), torch.full_like(a, self.forcing)
