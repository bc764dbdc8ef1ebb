"""`KortewegDeVries`: solitons on a periodic interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from opnet.core.registry import register
from opnet.solvers.pde.semilinear_periodic import SemilinearPeriodic
from opnet.spaces.fields.base import RandomField
from opnet.spaces.fields.sine_waves import SineWaves


@register("problem", "korteweg_de_vries")
@dataclass(frozen=True)
class KortewegDeVries(SemilinearPeriodic):
    r"""`u_t + u u_x + u_xxx = 0` on (0, L), periodic.

    Steepening is met by dispersion: waves break up into solitons `3 c sech^2(sqrt(c) (x - c t) / 2)`, which pass
    through one another. Mass and energy, the integrals of u and u^2, are conserved. L = 128 and t = 100 as in
    Brandstetter, Welling and Worrall, arXiv:2202.07643, whose initial states are the default: ten sine waves of modes 1
    and 2, which is what their code draws, without their random lengths and final times. All quantities are
    dimensionless.

    Args:
        times: a number asks for the map from the initial state to the solution then, a tuple for trajectories.
        length: L.
        initial: of u.
        nodes, step: see `SemilinearPeriodic`.

    Raises:
        ValueError: unless length, nodes and step are positive.

    >>> samples = KortewegDeVries(times=5.0).sample(0, [0], 128)
    >>> float(samples.diagnostics["energy_drift"]) < 1e-6
    True
    """

    times: float | tuple[float, ...] = 100.0
    length: float = 128.0
    initial: RandomField = field(default_factory=lambda: SineWaves(max_mode=2, waves=10, amplitude=0.5))
    nodes: int = 256
    step: float = 0.02

    equation: ClassVar[str] = "u_t + u u_x + u_xxx = 0 on (0, L), periodic"
    input_names: ClassVar[tuple[str, ...]] = ("u",)
    target_names: ClassVar[tuple[str, ...]] = ("u",)
    units: ClassVar[dict[str, str]] = dict.fromkeys(("x", "t", "u", "length", "initial", "nodes", "step"), "1")
    diagnostics: ClassVar[dict[str, str]] = {
        **SemilinearPeriodic.diagnostics,
        "mass_drift": "largest change of the mean of u since the start, relative to the root of its first mean square",
        "energy_drift": "largest relative change of the mean of u^2 since the start",
    }

    def __post_init__(self) -> None:
        self.check("length", "nodes", "step")

    @property
    def extent(self) -> tuple[tuple[float, float], ...]:
        return ((0.0, self.length),)

    def symbols(self, k: Sequence[Tensor]) -> list[Tensor]:
        return [1j * k[0] ** 3]

    def nonlinear(self, u: Tensor) -> Tensor:
        return u * u

    def weight(self, k: Sequence[Tensor]) -> Tensor:
        return -0.5j * k[0]

    def monitored(self, states: Tensor) -> dict[str, Tensor]:
        mass, energy = states.mean((2, 3)), states.square().mean((2, 3))
        return {
            "mass_drift": (mass - mass[:, :1]).abs().amax(1) / energy[:, 0].sqrt(),
            "energy_drift": (energy / energy[:, :1] - 1).abs().amax(1),
        }
