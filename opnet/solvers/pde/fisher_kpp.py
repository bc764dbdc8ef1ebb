"""`FisherKPP`: diffusion with logistic growth on a periodic interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from opnet.core.registry import register
from opnet.solvers.pde.semilinear_periodic import RANGE, SemilinearPeriodic, extremes
from opnet.spaces.fields.base import RandomField
from opnet.spaces.fields.sine_waves import SineWaves
from opnet.spaces.fields.unit_range import UnitRange


@register("problem", "fisher_kpp")
@dataclass(frozen=True)
class FisherKPP(SemilinearPeriodic):
    r"""`u_t = nu u_xx + rho u (1 - u)` on (0, L), periodic.

    The reaction-diffusion of PDEBench (Takamoto et al., arXiv:2210.07182: L = 1, nu in .5, 1, 2, 5, rho in 1, 2, 5, 10,
    t to 1), whose initial states lie in [0, 1], and so does the solution. Here they are `SineWaves`, scaled as
    functions; as published, `initial=UnitRange(PDEBenchWaves(), nodes=None)`, another function on every grid. Fronts
    between 0 and 1, for which there is room in a long interval, move at speeds from `2 sqrt(nu rho)` on (R. A. Fisher,
    Ann. Eugenics 7 (1937) 355-369). All quantities are dimensionless.

    Args:
        times: a number asks for the map from the initial state to the solution then, a tuple for trajectories.
        nu: diffusivity.
        rho: rate of growth.
        length: L.
        initial: of u, in [0, 1]: negative values run away.
        nodes, step: see `SemilinearPeriodic`.

    Raises:
        ValueError: unless the numbers are positive.

    >>> samples = FisherKPP(rho=5.0).sample(0, [0], 64)
    >>> 0 <= float(samples.diagnostics["least"]) < float(samples.diagnostics["largest"]) <= 1
    True
    """

    times: float | tuple[float, ...] = 1.0
    nu: float = 0.5
    rho: float = 1.0
    length: float = 1.0
    initial: RandomField = field(default_factory=lambda: UnitRange(SineWaves()))
    nodes: int = 64
    step: float = 0.002

    equation: ClassVar[str] = "u_t = nu u_xx + rho u (1 - u) on (0, L), periodic"
    input_names: ClassVar[tuple[str, ...]] = ("u",)
    target_names: ClassVar[tuple[str, ...]] = ("u",)
    units: ClassVar[dict[str, str]] = dict.fromkeys(
        ("x", "t", "u", "nu", "rho", "length", "initial", "nodes", "step"), "1"
    )
    diagnostics: ClassVar[dict[str, str]] = {**SemilinearPeriodic.diagnostics, **RANGE}

    def __post_init__(self) -> None:
        self.check("nu", "rho", "length", "nodes", "step")

    @property
    def extent(self) -> tuple[tuple[float, float], ...]:
        return ((0.0, self.length),)

    def symbols(self, k: Sequence[Tensor]) -> list[Tensor]:
        return [self.rho - self.nu * k[0] ** 2]

    def nonlinear(self, u: Tensor) -> Tensor:
        return -self.rho * u * u

    def monitored(self, states: Tensor) -> dict[str, Tensor]:
        return extremes(states)
