"""`KolmogorovFlow`: a fluid driven by shear waves, which they do not stay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import pi
from typing import ClassVar

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.solvers.pde.vorticity import Vorticity
from opnet.spaces.fields.base import RandomField
from opnet.spaces.fields.gaussian import GaussianField


@register("problem", "kolmogorov")
@dataclass(frozen=True)
class KolmogorovFlow(Vorticity):
    r"""`w_t + v . grad w = Lap w / Re - n cos n y` on (0, 2 pi)^2, periodic, with n = 4.

    The force is `sin n y` along x. Re = 500 and `w_0 ~ N(0, 7^1.5 (-Lap + 49)^-2.5)` of mean 0 are those of Z. Li et
    al., *Physics-Informed Neural Operator*, arXiv:2111.03794, section 4. Beyond Re of some tens the flow is chaotic;
    the horizon says how long a sample follows from its input. w_0 has modes up to 64, whatever the resolution. All
    quantities are dimensionless.

    Args:
        times: a number asks for the map from the initial state to the solution then, a tuple for trajectories.
        reynolds: Re.
        wave: n, an integer.
        initial: of w: a field of mean 0, or the name of the published one, "pino".
        nodes, step: see `SemilinearPeriodic`; steps are shorter where the flow is fast.

    Raises:
        ValueError: unless the numbers are positive and the name is known.

    >>> field = GaussianField(7.0, 2.5, 7**0.75, boundary="periodic", max_mode=8)
    >>> samples = KolmogorovFlow(0.5, reynolds=40.0, initial=field, nodes=32, step=0.05).sample(0, [0], 16)
    >>> samples.targets.shape, bool(samples.diagnostics["mean_vorticity"] < 1e-12)
    (torch.Size([1, 1, 16, 16]), True)
    """

    times: float | tuple[float, ...] = tuple(map(float, range(11)))
    reynolds: float = 500.0
    wave: int = 4
    initial: RandomField | str = "pino"
    nodes: int = 256
    step: float = 0.01

    equation: ClassVar[str] = (
        "w_t + v . grad w = Lap w / Re - n cos n y on (0, 2 pi)^2, periodic; w = curl v, div v = 0"
    )
    units: ClassVar[dict[str, str]] = dict.fromkeys(
        ("x", "y", "t", "w", "reynolds", "wave", "initial", "nodes", "step"), "1"
    )
    published: ClassVar[Mapping[str, RandomField]] = {
        "pino": GaussianField(7.0, 2.5, 7.0**0.75, boundary="periodic", max_mode=64)
    }

    def __post_init__(self) -> None:
        self.check("reynolds", "wave", "nodes", "step", fields=())
        if self.wave != int(self.wave):
            raise ValueError(f"KolmogorovFlow.wave: expected a positive integer, found {self.wave}")
        _ = self.initial_fields  # checks the initial field

    @property
    def extent(self) -> tuple[tuple[float, float], ...]:
        return ((0.0, 2 * pi), (0.0, 2 * pi))

    @property
    def viscosity(self) -> float:
        return 1 / self.reynolds

    def force(self, x: Tensor, y: Tensor) -> Tensor:
        return -self.wave * torch.cos(self.wave * y) + 0 * x
