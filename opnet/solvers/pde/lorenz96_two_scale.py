"""`Lorenz96TwoScale`: slow sites, each with fast ones of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.solvers.pde.evolution import HORIZON, HORIZON_TEXT
from opnet.solvers.pde.lorenz96 import advection
from opnet.solvers.pde.lorenz_sites import LorenzSites


@register("problem", "lorenz96_two_scale")
@dataclass(frozen=True)
class Lorenz96TwoScale(LorenzSites):
    r"""K slow variables X, each coupled to J fast ones Y, on two circles.

    .. math:: X_k' &= X_{k-1} (X_{k+1} - X_{k-2}) - X_k + F - \frac{h c}{b} \sum_{j=1}^{J} Y_{j,k} \\
       Y_{j,k}' &= c b \, Y_{j+1,k} (Y_{j-1,k} - Y_{j+2,k}) - c Y_{j,k} + \frac{h c}{b} X_k

    where the Y follow each other around one circle of K J places, `Y_{j+J,k} = Y_{j,k+1}`. E. N. Lorenz,
    *Predictability: a problem partly solved*, ECMWF seminar 1996, eqs. (2) and (3), whose K = 36, J = 10, b = c = 10,
    h = 1 and F = 10 are the defaults. The quadratic parts and the couplings conserve the energy, the sum of the
    squares. All quantities are dimensionless.

    Channels are X and Y_1 to Y_J at the K sites. Inputs are states of the attractor, as for `Lorenz96`.

    Args:
        times: a number asks for the map from the state at 0 to that then, a tuple for trajectories.
        sites: K, the resolution.
        fast: J.
        forcing, h, b, c: F, the coupling, the ratio of amplitudes, the ratio of times.
        spin_up, rtol: see `Lorenz96`.

    Raises:
        ValueError: unless sites and J are at least 4, b and c positive, spin_up not negative, all
            finite, and rtol lies between 1e-11 and 1.

    >>> samples = Lorenz96TwoScale(times=0.1, sites=4, fast=4, spin_up=1.0).sample(0, [0], 4)
    >>> samples.targets.shape, float(samples.discretisation_error) < 1e-6
    (torch.Size([1, 5, 4]), True)
    """

    times: float | tuple[float, ...] = tuple(0.1 * i for i in range(11))
    sites: int = 36
    fast: int = 10
    forcing: float = 10.0
    h: float = 1.0
    b: float = 10.0
    c: float = 10.0
    spin_up: float = 5.0
    rtol: float = 1e-9

    equation: ClassVar[str] = (
        "X_k' = X_(k-1) (X_(k+1) - X_(k-2)) - X_k + F - (h c / b) sum_j Y_jk, "
        "Y_jk' = c b Y_(j+1)k (Y_(j-1)k - Y_(j+2)k) - c Y_jk + (h c / b) X_k; F = forcing"
    )
    diagnostics: ClassVar[dict[str, str]] = {HORIZON: HORIZON_TEXT}

    def __post_init__(self) -> None:
        self.check()
        if self.fast < 4:
            raise ValueError(f"Lorenz96TwoScale.fast: expected at least 4, found {self.fast}")
        for name, least in (("b", 0.0), ("c", 0.0), ("forcing", -torch.inf), ("h", -torch.inf)):
            if not least < getattr(self, name) < torch.inf:
                kind = "positive finite" if least == 0 else "finite"
                raise ValueError(f"Lorenz96TwoScale.{name}: expected a {kind} number, found {getattr(self, name)}")

    @property
    def target_names(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("X", *(f"Y{j}" for j in range(1, self.fast + 1)))

    @property
    def input_names(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.target_names

    @property
    def units(self) -> dict[str, str]:  # type: ignore[override]
        return dict.fromkeys(("t", *self.target_names, *(f.name for f in fields(self) if f.name != "times")), "1")

    def draw(self, seed: int, indices: Sequence[int]) -> Tensor:
        noise = self.noise(seed, indices, (1 + self.fast, self.sites))
        return torch.cat([self.forcing + noise[:, :1], noise[:, 1:] / self.b], 1)

    def change(self, t: Tensor, state: Tensor) -> Tensor:
        X, Y = state[..., :1, :], state[..., 1:, :]
        coupling = self.h * self.c / self.b
        slow = advection(X) - X + self.forcing - coupling * Y.sum(-2, keepdim=True)
        circle = Y.mT.flatten(-2).flip(-1)  # the fast ones run the other way round
        carried = advection(circle).flip(-1).unflatten(-1, (self.sites, self.fast)).mT
        return torch.cat([slow, self.c * (self.b * carried - Y) + coupling * X], -2)
