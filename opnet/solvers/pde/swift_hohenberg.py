"""`SwiftHohenberg`: stripes and hexagons in a periodic box."""

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


@register("problem", "swift_hohenberg")
@dataclass(frozen=True)
class SwiftHohenberg(SemilinearPeriodic):
    r"""`u_t = r u - (1 + Lap)^2 u + g u^2 - u^3` on (0, L)^dim, periodic.

    Waves of length 2 pi grow at the rate r and saturate: stripes of amplitude `2 sqrt(r / 3)` for g = 0, hexagons for
    g of the order of sqrt(r) (J. Swift and P. C. Hohenberg, Phys. Rev. A 15 (1977) 319-328; Cross and Hohenberg, Rev.
    Mod. Phys. 65 (1993) 851-1112, section II). All quantities are dimensionless.

    Args:
        times: a number asks for the map from the initial state to the solution then, a tuple for trajectories.
        r: distance from the onset of the pattern.
        g: quadratic coefficient.
        length: L, ten wave lengths by default.
        dim: 1 or 2.
        initial: of u.
        nodes, step: see `SemilinearPeriodic`.

    Raises:
        ValueError: unless length, nodes and step are positive and dim 1 or 2.

    >>> samples = SwiftHohenberg(times=30.0).sample(0, [0], 64)
    >>> bool(samples.targets.abs().max() > 0.5)
    True
    """

    times: float | tuple[float, ...] = 50.0
    r: float = 0.3
    g: float = 0.0
    length: float = 62.83185307179586
    dim: int = 1
    initial: RandomField = field(default_factory=lambda: FourierField(12, sigma=0.1))
    nodes: int = 128
    step: float = 0.05

    equation: ClassVar[str] = "u_t = r u - (1 + Lap)^2 u + g u^2 - u^3 on (0, L)^dim, periodic"
    input_names: ClassVar[tuple[str, ...]] = ("u",)
    target_names: ClassVar[tuple[str, ...]] = ("u",)
    units: ClassVar[dict[str, str]] = dict.fromkeys(
        ("x", "t", "u", "r", "g", "length", "dim", "initial", "nodes", "step"), "1"
    )

    def __post_init__(self) -> None:
        self.check("length", "nodes", "step", finite=("r", "g"), dims=(1, 2))

    @property
    def extent(self) -> tuple[tuple[float, float], ...]:
        return ((0.0, self.length),) * self.dim

    def symbols(self, k: Sequence[Tensor]) -> list[Tensor]:
        return [self.r - (1 - squared(k)) ** 2]

    def nonlinear(self, u: Tensor) -> Tensor:
        return u * u * (self.g - u)
