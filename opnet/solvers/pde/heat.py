"""`Heat`: diffusion in a periodic box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.solvers.pde.linear_periodic import LinearPeriodic
from opnet.solvers.pde.periodic_box import squared
from opnet.spaces.fields.base import RandomField
from opnet.spaces.fields.fourier import FourierField


@register("problem", "heat")
@dataclass(frozen=True)
class Heat(LinearPeriodic):
    r"""Diffusion, `u_t = nu Lap u` on the periodic unit box.

    The mode of wave number k decays as `exp(-nu |k|^2 t)`: at the defaults, nu = .01 and t = 1, the first keeps two
    thirds, the third 3 % of its amplitude. All quantities are dimensionless.

    Args:
        times: a number asks for the map from the initial state to the solution then, a tuple for trajectories.
        nu: diffusivity.
        dim: 1 or 2.
        initial: of u, of mean 0 by default.

    Raises:
        ValueError: unless nu is positive and dim 1 or 2.

    >>> samples = Heat(dim=2).sample(0, [0, 1], 32)
    >>> samples.targets.shape, bool((samples.targets.norm() < samples.inputs.norm()).all())
    (torch.Size([2, 1, 32, 32]), True)
    """

    times: float | tuple[float, ...] = 1.0
    nu: float = 0.01
    dim: int = 1
    initial: RandomField = field(default_factory=lambda: FourierField(8, decay=1.0))

    equation: ClassVar[str] = "u_t = nu Lap u on (0, 1)^dim, periodic"
    input_names: ClassVar[tuple[str, ...]] = ("u",)
    target_names: ClassVar[tuple[str, ...]] = ("u",)
    units: ClassVar[dict[str, str]] = dict.fromkeys(("x", "t", "u", "nu", "dim", "initial"), "1")

    def __post_init__(self) -> None:
        self.check("nu", dims=(1, 2))

    @property
    def extent(self) -> tuple[tuple[float, float], ...]:
        return ((0.0, 1.0),) * self.dim

    def propagator(self, k: Sequence[Tensor], time: float) -> list[list[Tensor]]:
        return [[torch.exp(-self.nu * time * squared(k))]]
