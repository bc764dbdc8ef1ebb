"""`Burgers`: advection that steepens against viscosity, on a periodic interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi
from typing import ClassVar

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.solvers.pde.semilinear_periodic import SemilinearPeriodic
from opnet.solvers.pde.start_fields import chosen, largest_mode
from opnet.spaces.fields.base import RandomField
from opnet.spaces.fields.gaussian import GaussianField
from opnet.spaces.grid import Grid

# The initial measures N(0, sigma^2 (-Lap + tau^2)^-alpha) that were published, by name. 320 modes leave out .1 % and
# .004 % of their standard deviations.
INITIAL: dict[str, GaussianField] = {
    "fno": GaussianField(5.0, 2.0, 25.0, boundary="periodic", max_mode=320),
    "script": GaussianField(7.0, 2.5, 49.0, boundary="periodic", max_mode=320),
}


@register("problem", "burgers")
@dataclass(frozen=True)
class Burgers(SemilinearPeriodic):
    r"""`u_t + (u^2 / 2)_x = nu u_xx` on (0, L), periodic.

    The data of the FNO papers (Z. Li et al., arXiv:2010.08895, section 5.1) have nu = .1, t = 1 and u_0 from
    `N(0, 625 (-Lap + 25)^-2)` without its mean, on 8192 nodes; the papers disagree on the interval. On (0, 2 pi), the
    default, u(1) is about as large as u_0; on (0, 1), `length=1.0`, one mode of rms .01 is left of it, and there is
    little to learn. The script published with them has another variant: `Burgers(length=1.0, nu=1e-3,
    initial="script")`, u_0 from `N(0, 49^2 (-Lap + 49)^-2.5)`. PDEBench's (Takamoto et al., arXiv:2210.07182) is
    `Burgers(times, length=1.0, nu=Nu / pi, initial=PDEBenchWaves(...))`.

    The mean of u is conserved. All quantities are dimensionless.

    Args:
        times: a number asks for the map from the initial state to the solution then, a tuple for trajectories.
        length: L.
        nu: viscosity.
        initial: of u: a field, or the name of a published one, "fno" or "script".
        nodes, step: see `SemilinearPeriodic`; every mode of a `GaussianField` is kept.

    Raises:
        ValueError: unless length, nu, nodes and step are positive and the name is known.

    >>> samples = Burgers().sample(0, [0, 3], 256)
    >>> samples.targets.shape, float(samples.discretisation_error.max()) < 1e-6
    (torch.Size([2, 1, 256]), True)
    """

    times: float | tuple[float, ...] = 1.0
    length: float = 2 * pi
    nu: float = 0.1
    initial: RandomField | str = "fno"  # type: ignore[assignment]
    nodes: int = 1024
    step: float = 0.01

    equation: ClassVar[str] = "u_t + (u^2 / 2)_x = nu u_xx on (0, L), periodic"
    input_names: ClassVar[tuple[str, ...]] = ("u",)
    target_names: ClassVar[tuple[str, ...]] = ("u",)
    units: ClassVar[dict[str, str]] = dict.fromkeys(("x", "t", "u", "length", "nu", "initial", "nodes", "step"), "1")
    diagnostics: ClassVar[dict[str, str]] = {
        **SemilinearPeriodic.diagnostics,
        "mean_drift": "largest change of the mean of u, which is conserved",
    }

    def __post_init__(self) -> None:
        self.check("length", "nu", "nodes", "step", fields=())
        _ = self.initial_fields  # checks the initial field

    @property
    def initial_fields(self) -> tuple[RandomField, ...]:
        return (chosen("Burgers.initial", self.initial, INITIAL),)

    @property
    def start_modes(self) -> int:
        return largest_mode(self.initial_fields)

    @property
    def extent(self) -> tuple[tuple[float, float], ...]:
        return ((0.0, self.length),)

    def step_on(self, box: Grid) -> float:
        return self.step * min(1.0, self.nodes / box.shape[0])

    def symbols(self, k: Sequence[Tensor]) -> list[Tensor]:
        return [-self.nu * k[0] ** 2]

    def nonlinear(self, u: Tensor) -> Tensor:
        return u * u

    def weight(self, k: Sequence[Tensor]) -> Tensor:
        return -0.5j * k[0]

    def monitored(self, states: Tensor) -> dict[str, Tensor]:
        mean = states.mean((2, 3))
        return {"mean_drift": torch.abs(mean - mean[:, :1]).amax(1)}
