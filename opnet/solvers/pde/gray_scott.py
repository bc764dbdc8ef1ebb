"""`GrayScott`: two species that feed on one another, and the patterns they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.solvers.pde.periodic_box import squared
from opnet.solvers.pde.semilinear_periodic import RANGE, SemilinearPeriodic, extremes
from opnet.spaces.fields.base import RandomField
from opnet.spaces.fields.bumps import Bumps
from opnet.spaces.grid import Grid

# Feed and kill rates (F, k) by the name of the pattern.
PATTERNS: dict[str, tuple[float, float]] = {
    "gliders": (0.014, 0.054),
    "bubbles": (0.098, 0.057),
    "maze": (0.029, 0.057),
    "worms": (0.058, 0.065),
    "spirals": (0.018, 0.051),
    "spots": (0.03, 0.062),
}


@register("problem", "gray_scott")
@dataclass(frozen=True)
class GrayScott(SemilinearPeriodic):
    r"""`u_t = D_u Lap u - u v^2 + F (1 - u)`, `v_t = D_v Lap v + u v^2 - (F + k) v` on (-1, 1)^2, periodic.

    P. Gray and S. K. Scott, Chem. Eng. Sci. 39 (1984) 1087-1097; the zoo of its patterns, J. E. Pearson, Science 261
    (1993) 189-192. D_u = 2e-5, D_v = 1e-5, and the six pairs (F, k) by name as in The Well (Ohana et al.,
    arXiv:2412.00568), whose trajectories run to t = 10000 in frames of 10; the default is one such frame after the
    start-up of 200. The uniform state u = 1, v = 0 is disturbed as by Pearson, to u = 1/2, v = 1/4, in smooth bumps g:
    `u = 1 - g / 2`, `v = g / 4`. Concentrations stay positive. Times are in seconds and lengths in the side's half,
    concentrations are dimensionless.

    Args:
        times: a number asks for the map from the initial state to the solution then, a tuple for trajectories.
        pattern: "gliders", "bubbles", "maze", "worms", "spirals" or "spots".
        rates: (F, k) instead of those of the pattern.
        du, dv: D_u, D_v.
        initial: g, from 0 to 1.
        nodes, step: see `SemilinearPeriodic`.

    Raises:
        ValueError: for an unknown pattern, rates other than two positive numbers, or numbers that are not positive.

    >>> samples = GrayScott(times=10.0, nodes=64).sample(0, [0], 16)
    >>> samples.targets.shape, float(samples.diagnostics["least"]) > -1e-6
    (torch.Size([1, 2, 16, 16]), True)
    """

    times: float | tuple[float, ...] = 200.0
    pattern: str = "gliders"
    rates: tuple[float, float] | None = None
    du: float = 2e-5
    dv: float = 1e-5
    initial: RandomField = field(default_factory=Bumps)
    nodes: int = 128
    step: float = 1.0

    equation: ClassVar[str] = (
        "u_t = D_u Lap u - u v^2 + F (1 - u), v_t = D_v Lap v + u v^2 - (F + k) v on (-1, 1)^2, periodic"
    )
    input_names: ClassVar[tuple[str, ...]] = ("u", "v")
    target_names: ClassVar[tuple[str, ...]] = ("u", "v")
    units: ClassVar[dict[str, str]] = {
        **dict.fromkeys(("x", "u", "v", "pattern", "initial", "nodes"), "1"),
        **dict.fromkeys(("du", "dv", "rates"), "1/s"),
        **dict.fromkeys(("t", "step"), "s"),
    }
    diagnostics: ClassVar[dict[str, str]] = {**SemilinearPeriodic.diagnostics, **RANGE}

    def __post_init__(self) -> None:
        if self.pattern not in PATTERNS:
            raise ValueError(f"GrayScott.pattern: expected one of {', '.join(PATTERNS)}, found {self.pattern!r}")
        if self.rates is not None and (len(self.rates) != 2 or not min(self.rates) > 0):
            raise ValueError(f"GrayScott.rates: expected two positive numbers (F, k), found {self.rates!r}")
        self.check("du", "dv", "nodes", "step")

    @property
    def extent(self) -> tuple[tuple[float, float], ...]:
        return ((-1.0, 1.0),) * 2

    def start(self, seed: int, indices: Sequence[int], grid: Grid, box: Grid) -> Tensor:
        g = super().start(seed, indices, grid, box)
        return torch.cat([1 - g / 2, g / 4], 1)

    def symbols(self, k: Sequence[Tensor]) -> list[Tensor]:
        feed, kill = self.rates or PATTERNS[self.pattern]
        k2 = squared(k)
        return [-feed - self.du * k2, -feed - kill - self.dv * k2]

    def nonlinear(self, u: Tensor) -> Tensor:
        feed, _ = self.rates or PATTERNS[self.pattern]
        eaten = u[:, 0] * u[:, 1] ** 2
        return torch.stack([feed - eaten, eaten], 1)

    def monitored(self, states: Tensor) -> dict[str, Tensor]:
        return extremes(states)
