"""`NavierStokes`: a viscous fluid on the unit torus, stirred by a fixed force."""

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


def _initial(variance: float) -> GaussianField:
    return GaussianField(7.0, 2.5, variance**0.5, boundary="periodic", max_mode=64)


@register("problem", "navier_stokes")
@dataclass(frozen=True)
class NavierStokes(Vorticity):
    r"""`w_t + v . grad w = nu Lap w + f` on (0,1)^2, periodic, `f = .1 (sin 2 pi (x + y) + cos 2 pi (x + y))`.

    The flow of the FNO papers (Z. Li et al., arXiv:2010.08895, section 5.3), in vorticity w = curl v of mean 0, whose
    nu and last times are 1e-3 and 50 (the default), 1e-4 and 30, 1e-5 and 20, with a frame at every unit of time. Their
    w_0 comes from `N(0, c (-Lap + 49)^-2.5)` with three values of c: 7^3 in the code (rms .19), 7^1.5 in the paper (rms
    .043), 2 x 7^3 in an older script, here by name. They draw every mode of a grid of 256^2 nodes; this is one function
    at every resolution, with modes up to 64, which leaves out .1 % of its standard deviation. All quantities are
    dimensionless.

    Args:
        times: a number asks for the map from the initial state to the solution then, a tuple for trajectories.
        nu: viscosity.
        forcing: amplitude of f.
        initial: of w: a field of mean 0, or the name of a published one: "code", "paper", "script".
        nodes, step: see `SemilinearPeriodic`; steps are shorter where the flow is fast.

    Raises:
        ValueError: unless nu, nodes and step are positive and the name is known.

    >>> field = GaussianField(7.0, 2.5, 7**1.5, boundary="periodic", max_mode=8)
    >>> samples = NavierStokes((0.0, 0.5, 1.0), initial=field, nodes=32, step=0.05).sample(0, [0], 16)
    >>> samples.targets.shape, samples.diagnostics["predictability_horizon"].tolist()
    (torch.Size([1, 3, 1, 16, 16]), [1.0])
    """

    times: float | tuple[float, ...] = tuple(map(float, range(51)))
    nu: float = 1e-3
    forcing: float = 0.1
    initial: RandomField | str = "code"
    nodes: int = 256
    step: float = 0.02

    equation: ClassVar[str] = (
        "w_t + v . grad w = nu Lap w + .1 (sin 2 pi (x + y) + cos 2 pi (x + y)) on (0,1)^2, periodic; w = curl v, "
        "div v = 0"
    )
    units: ClassVar[dict[str, str]] = dict.fromkeys(
        ("x", "y", "t", "w", "nu", "forcing", "initial", "nodes", "step"), "1"
    )
    published: ClassVar[Mapping[str, RandomField]] = {
        "code": _initial(7.0**3),
        "paper": _initial(7.0**1.5),
        "script": _initial(2 * 7.0**3),
    }

    def __post_init__(self) -> None:
        self.check("nu", "nodes", "step", finite=("forcing",), fields=())
        _ = self.initial_fields  # checks the initial field

    @property
    def extent(self) -> tuple[tuple[float, float], ...]:
        return ((0.0, 1.0), (0.0, 1.0))

    @property
    def viscosity(self) -> float:
        return self.nu

    def force(self, x: Tensor, y: Tensor) -> Tensor:
        phase = 2 * pi * (x + y)
        return self.forcing * (torch.sin(phase) + torch.cos(phase))
