"""`AllenCahn`: phases that separate in a periodic box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from opnet.core.registry import register
from opnet.solvers.pde.periodic_box import squared
from opnet.solvers.pde.semilinear_periodic import SemilinearPeriodic
from opnet.spaces.fields.base import RandomField
from opnet.spaces.fields.fourier import FourierField


@register("problem", "allen_cahn")
@dataclass(frozen=True)
class AllenCahn(SemilinearPeriodic):
    r"""`u_t = D Lap u + r (u - u^3)` on (-1, 1)^dim, periodic.

    Every point is drawn to one of the phases -1 and 1; between them remain fronts tanh(s / w) of width
    `w = sqrt(2 D / r)`, which then move by their curvature (S. M. Allen and J. W. Cahn, Acta Metall. 27 (1979)
    1085-1095). D = 1e-4, r = 5 and t to 1 as in Raissi, Perdikaris and Karniadakis, J. Comput. Phys. 378 (2019)
    686-707: w = .0063 takes some 1000 modes to resolve, so take D = 1e-3 or more in two dimensions. Values that start
    within [-1, 1] remain there. All quantities are dimensionless.

    Args:
        times: a number asks for the map from the initial state to the solution then, a tuple for trajectories.
        diffusivity: D.
        rate: r.
        dim: 1 or 2.
        initial: of u.
        nodes, step: see `SemilinearPeriodic`.

    Raises:
        ValueError: unless the numbers are positive and dim 1 or 2.

    >>> samples = AllenCahn(times=0.5, diffusivity=1e-3).sample(0, [0], 64)
    >>> bool(samples.targets.abs().mean() > samples.inputs.abs().mean())
    True
    """

    times: float | tuple[float, ...] = 1.0
    diffusivity: float = 1e-4
    rate: float = 5.0
    dim: int = 1
    initial: RandomField = field(default_factory=lambda: FourierField(4, sigma=0.5))
    nodes: int = 128
    step: float = 0.01

    equation: ClassVar[str] = "u_t = D Lap u + r (u - u^3) on (-1, 1)^dim, periodic"
    input_names: ClassVar[tuple[str, ...]] = ("u",)
    target_names: ClassVar[tuple[str, ...]] = ("u",)
    units: ClassVar[dict[str, str]] = dict.fromkeys(
        ("x", "t", "u", "diffusivity", "rate", "dim", "initial", "nodes", "step"), "1"
    )

    def __post_init__(self) -> None:
        self.check("diffusivity", "rate", "nodes", "step", dims=(1, 2))

    @property
    def extent(self) -> tuple[tuple[float, float], ...]:
        return ((-1.0, 1.0),) * self.dim

    def symbols(self, k: Sequence[Tensor]) -> list[Tensor]:
        return [self.rate - self.diffusivity * squared(k)]

    def nonlinear(self, u: Tensor) -> Tensor:
        return -self.rate * u**3
