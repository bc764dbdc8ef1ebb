"""`DarcyMultiscale`: steady flow through a medium of six scales."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.linops.base import LinearOperator
from opnet.linops.diffusion import Diffusion
from opnet.solvers.pde.elliptic import Elliptic, square
from opnet.spaces.grid import Grid
from opnet.spaces.streams import stream


@register("problem", "darcy_multiscale")
@dataclass(frozen=True)
class DarcyMultiscale(Elliptic):
    r"""Darcy flow with a multiscale trigonometric coefficient, `-div(a grad u) = 1` on (0,1)^2, u = 0 on the boundary.

    .. math:: a(x) = \prod_{k=1}^{K} \left(1 + \tfrac{1}{2} \cos(a_k \pi (x_1 + x_2))\right)
       \left(1 + \tfrac{1}{2} \sin(a_k \pi (x_2 - 3 x_1))\right), \qquad a_k \sim U(2^{k-1}, 1.5 \cdot 2^{k-1})

    with K = 6 scales: X. Liu, B. Xu, S. Cao and L. Zhang, *Mitigating spectral bias for the multiscale operator
    learning*, arXiv:2210.10890, on the form of H. Owhadi, SIAM Rev. 59 (2017) 99-149; also a test of MgNO
    (arXiv:2310.19809). The finest waves are .013 long, their products shorter: u is about 4 % off at 128 x 128, 1.3 %
    at 256 x 256 and .3 % at 512 x 512. All quantities are dimensionless.

    Args:
        scales: K.
        rtol: tolerance of the recomputed relative residual.

    Raises:
        ValueError: unless there are 1 to 10 scales and rtol is positive.

    >>> samples = DarcyMultiscale(scales=3).sample(0, [0, 7], 64)
    >>> samples.targets.shape, float(samples.discretisation_error.max()) < 0.05
    (torch.Size([2, 1, 64, 64]), True)
    """

    scales: int = 6
    rtol: float = 1e-10

    equation: ClassVar[str] = "-div(a grad u) = 1 on (0,1)^2, u = 0 on the boundary; a a product of waves of six scales"
    input_names: ClassVar[tuple[str, ...]] = ("a",)
    target_names: ClassVar[tuple[str, ...]] = ("u",)
    units: ClassVar[dict[str, str]] = dict.fromkeys(("x", "a", "u", "scales"), "1")
    solver: ClassVar[str] = (
        "cell-centred finite volumes, harmonic face coefficients (order 2 where the finest waves are resolved); "
        "conjugate gradients preconditioned by multigrid"
    )
    error_method: ClassVar[str] = (
        "4/3 of the relative L2 difference to the means over 2 x 2 cells of the solution at twice the resolution. "
        "Against solutions at 2048^2 (3 samples each at 128^2 to 512^2, six scales) the median of estimate / true "
        "error is .95 to 1.06"
    )

    def __post_init__(self) -> None:
        self.check_positive("rtol")
        if not 1 <= self.scales <= 10:
            raise ValueError(f"DarcyMultiscale.scales: expected 1 to 10, found {self.scales}")

    def grid(self, resolution: int) -> Grid:
        return square("DarcyMultiscale", resolution)

    def coefficient(self, seed: int, indices: Sequence[int], grid: Grid) -> Tensor:
        """a at the nodes of any grid.  # shape: (sample, *grid)"""
        lows = 2.0 ** np.arange(self.scales)
        waves = torch.from_numpy(np.stack([stream(seed, index).uniform(lows, 1.5 * lows) for index in indices]))
        x, y = grid.coordinates()
        a = torch.ones(len(waves), *grid.shape, dtype=torch.float64)
        for wave in waves.T[:, :, None, None]:
            a *= (1 + 0.5 * torch.cos(wave * pi * (x + y))) * (1 + 0.5 * torch.sin(wave * pi * (y - 3 * x)))
        return a

    def draw(self, seed: int, indices: Sequence[int], grid: Grid, device: torch.device | str) -> Tensor:
        return self.coefficient(seed, indices, grid).to(device).unsqueeze(1)

    def posed(self, inputs: Tensor, grid: Grid) -> tuple[LinearOperator, Tensor]:
        a = inputs.squeeze(1)
        return Diffusion(a, grid), torch.ones_like(a)
