"""`Lorenz96`: an atmosphere in one line, chaotic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import ClassVar

from torch import Tensor

from opnet.core.registry import register
from opnet.solvers.pde.evolution import HORIZON, HORIZON_TEXT
from opnet.solvers.pde.lorenz_sites import LorenzSites


@register("problem", "lorenz96")
@dataclass(frozen=True)
class Lorenz96(LorenzSites):
    r"""`X_k' = X_{k-1} (X_{k+1} - X_{k-2}) - X_k + F` for K sites on a circle.

    E. N. Lorenz, *Predictability: a problem partly solved*, ECMWF seminar 1996, eq. (1); K = 40 and F = 8 of Lorenz and
    Emanuel, J. Atmos. Sci. 55 (1998) 399-414, where errors double in .42 units of time (2.1 days, of .2 each). The
    quadratic part conserves the energy, the sum of X_k^2 / 2. All quantities are dimensionless.

    Inputs are states of the attractor: each is reached from `X_k = F + N(0, 1)` in `spin_up` units of time.

    Args:
        times: a number asks for the map from the state at 0 to that then, a tuple for trajectories.
        sites: K, the resolution.
        forcing: F.
        spin_up: before time 0.
        rtol: tolerance of a step, relative and absolute.

    Raises:
        ValueError: unless there are 4 sites or more, F is finite, rtol lies between 1e-11 and 1, and spin_up is not
            negative.

    >>> samples = Lorenz96(times=(0.0, 0.5, 1.0), sites=8).sample(0, [0], 8)
    >>> samples.targets.shape, float(samples.discretisation_error) < 1e-6
    (torch.Size([1, 3, 1, 8]), True)
    """

    times: float | tuple[float, ...] = tuple(0.5 * i for i in range(11))
    sites: int = 40
    forcing: float = 8.0
    spin_up: float = 10.0
    rtol: float = 1e-9

    equation: ClassVar[str] = "X_k' = X_(k-1) (X_(k+1) - X_(k-2)) - X_k + F, k modulo K; F = forcing, K = sites"
    input_names: ClassVar[tuple[str, ...]] = ("X",)
    target_names: ClassVar[tuple[str, ...]] = ("X",)
    units: ClassVar[dict[str, str]] = dict.fromkeys(("t", "X", "sites", "forcing", "spin_up", "rtol"), "1")
    diagnostics: ClassVar[dict[str, str]] = {HORIZON: HORIZON_TEXT}

    def __post_init__(self) -> None:
        self.check()
        if not isfinite(self.forcing):
            raise ValueError(f"Lorenz96.forcing: expected a finite number, found {self.forcing}")

    def change(self, t: Tensor, state: Tensor) -> Tensor:
        return advection(state) - state + self.forcing

    def draw(self, seed: int, indices: Sequence[int]) -> Tensor:
        return self.forcing + self.noise(seed, indices, (1, self.sites))


def advection(X: Tensor) -> Tensor:
    """`X_{k-1} (X_{k+1} - X_{k-2})` along the last axis, which is a circle."""
    return X.roll(1, -1) * (X.roll(-1, -1) - X.roll(2, -1))
