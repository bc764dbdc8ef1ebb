"""`Pendulum`: a pendulum pushed by its input."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.solvers.pde.driven_ode import DrivenODE
from opnet.spaces.fields.base import RandomField
from opnet.spaces.fields.rbf import RBFField


@register("problem", "pendulum")
@dataclass(frozen=True)
class Pendulum(DrivenODE):
    """`s_1' = s_2, s_2' = -k sin s_1 + u`, at rest at 0: the map from the force u to angle and angular velocity.

    L. Lu, P. Jin and G. E. Karniadakis, *DeepONet*, arXiv:1910.03193, section 4.2, with k = 1 and t in (0, 1). The
    angle is in radians, all else dimensionless.

    Args:
        length: of the interval of time.
        k: gravity over length of the pendulum.
        input: the distribution of u.
        steps: at least, of the whole interval.

    Raises:
        ValueError: unless length, k and steps are positive.

    >>> samples = Pendulum().sample(0, [0, 1], 100)
    >>> samples.targets.shape, float(samples.discretisation_error.max()) < 1e-8
    (torch.Size([2, 2, 100]), True)
    """

    length: float = 1.0
    k: float = 1.0
    input: RandomField = field(default_factory=lambda: RBFField(0.2))
    steps: int = 400

    equation: ClassVar[str] = "s_1' = s_2, s_2' = -k sin s_1 + u(t), s(0) = 0, t in (0, length)"
    target_names: ClassVar[tuple[str, ...]] = ("angle", "velocity")
    units: ClassVar[dict[str, str]] = {
        "angle": "rad",
        **dict.fromkeys(("t", "u", "velocity", "length", "k", "input", "steps"), "1"),
    }

    def __post_init__(self) -> None:
        self.check("length", "k", "steps")

    def change(self, s: list[Tensor], u: Tensor) -> list[Tensor]:
        angle, velocity = s
        return [velocity, u - self.k * torch.sin(angle)]
