"""`Wave`: waves in a periodic box, as a system of first order."""

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
from opnet.spaces.grid import Grid

ENERGY_DRIFT = "largest relative change of the energy, the integral of v^2 / 2 + c^2 |grad u|^2 / 2, since the start"


@register("problem", "wave")
@dataclass(frozen=True)
class Wave(LinearPeriodic):
    r"""Waves, `u_tt = c^2 Lap u` on the periodic unit box, as the system `u_t = v, v_t = c^2 Lap u`.

    The mode of wave number k turns as

    .. math:: \hat u(t) = \cos(c |k| t) \hat u_0 + \frac{\sin(c |k| t)}{c |k|} \hat v_0, \qquad
       \hat v(t) = -c |k| \sin(c |k| t) \hat u_0 + \cos(c |k| t) \hat v_0

    and the energy is conserved. All quantities are dimensionless.

    Args:
        times: a number asks for the map from the initial state to the solution then, a tuple for trajectories.
        c: speed of the waves.
        dim: 1 or 2.
        initial: of u.
        initial_velocity: of v.

    Raises:
        ValueError: unless c is positive and dim 1 or 2.

    >>> samples = Wave(times=2.0).sample(0, [0], 64)  # a period of every mode, in one dimension
    >>> torch.allclose(samples.targets, samples.inputs)
    True
    """

    times: float | tuple[float, ...] = 0.7
    c: float = 1.0
    dim: int = 1
    initial: RandomField = field(default_factory=lambda: FourierField(8, decay=2.0))
    initial_velocity: RandomField = field(default_factory=lambda: FourierField(8, decay=1.0))

    equation: ClassVar[str] = "u_t = v, v_t = c^2 Lap u on (0, 1)^dim, periodic"
    input_names: ClassVar[tuple[str, ...]] = ("u", "v")
    target_names: ClassVar[tuple[str, ...]] = ("u", "v")
    units: ClassVar[dict[str, str]] = dict.fromkeys(
        ("x", "t", "u", "v", "c", "dim", "initial", "initial_velocity"), "1"
    )
    diagnostics: ClassVar[dict[str, str]] = {**LinearPeriodic.diagnostics, "energy_drift": ENERGY_DRIFT}

    def __post_init__(self) -> None:
        self.check("c", fields=("initial", "initial_velocity"), dims=(1, 2))

    @property
    def extent(self) -> tuple[tuple[float, float], ...]:
        return ((0.0, 1.0),) * self.dim

    @property
    def initial_fields(self) -> tuple[RandomField, ...]:
        return (self.initial, self.initial_velocity)

    def propagator(self, k: Sequence[Tensor], time: float) -> list[list[Tensor]]:
        omega = self._omega(k)
        cos, sin = torch.cos(omega * time), torch.sin(omega * time)
        grown = torch.where(omega == 0, time, sin / torch.where(omega == 0, 1.0, omega))
        return [[cos, grown], [-omega * sin, cos]]

    def monitored(self, modes: Tensor, k: Sequence[Tensor], box: Grid) -> dict[str, Tensor]:
        axes = tuple(range(-self.dim, 0))
        steep = torch.stack([self._omega(k) * modes[:, :, 0], modes[:, :, 1]], 2)  # c |grad u|, v: Parseval
        energy = torch.fft.irfftn(steep, box.shape, axes).square().flatten(2).sum(2)
        return {"energy_drift": ((energy - energy[:, :1]).abs() / energy[:, :1]).amax(1)}

    def _omega(self, k: Sequence[Tensor]) -> Tensor:
        return self.c * squared(k).sqrt()
