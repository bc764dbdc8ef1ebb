"""`Advection`: transport at constant speed around a periodic interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.solvers.pde.linear_periodic import LinearPeriodic
from opnet.spaces.fields.base import RandomField
from opnet.spaces.fields.sine_waves import SineWaves


@register("problem", "advection")
@dataclass(frozen=True)
class Advection(LinearPeriodic):
    r"""Transport, `u_t + beta u_x = 0` on (0, 1), periodic: `u(t, x) = u_0(x - beta t)`.

    The one-dimensional advection of PDEBench (Takamoto et al., arXiv:2210.07182: beta in .1, .2, .4, .7,
    1, 2, 4; t to 2 in steps of .01), whose published data carry the error of an upwind scheme at 1024 cells: here every
    mode is shifted exactly. The initial state is that of the paper, clean (`SineWaves`); `initial=PDEBenchWaves()`
    draws it as published, which is not quite periodic and another function on every grid: such states are shifted as
    their trigonometric interpolant. All quantities are dimensionless.

    Args:
        times: a number asks for the map from the initial state to the solution then, a tuple for trajectories.
        beta: speed.
        initial: of u.

    Raises:
        ValueError: for a speed that is not finite.

    >>> samples = Advection(times=(0.0, 0.5, 2.5), beta=0.4).sample(0, [0, 1], 64)
    >>> torch.allclose(samples.targets[:, 2], samples.inputs)  # once around
    True
    """

    times: float | tuple[float, ...] = 2.0
    beta: float = 0.4
    initial: RandomField = field(default_factory=SineWaves)

    equation: ClassVar[str] = "u_t + beta u_x = 0 on (0, 1), periodic"
    input_names: ClassVar[tuple[str, ...]] = ("u",)
    target_names: ClassVar[tuple[str, ...]] = ("u",)
    units: ClassVar[dict[str, str]] = dict.fromkeys(("x", "t", "u", "beta", "initial"), "1")

    def __post_init__(self) -> None:
        self.check(finite=("beta",))

    def propagator(self, k: Sequence[Tensor], time: float) -> list[list[Tensor]]:
        return [[torch.exp(-1j * self.beta * time * k[0])]]
