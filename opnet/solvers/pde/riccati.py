"""`Riccati`: the simplest nonlinear operator of an ordinary differential equation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from opnet.core.registry import register
from opnet.solvers.pde.driven_ode import DrivenODE
from opnet.spaces.fields.base import RandomField
from opnet.spaces.fields.rbf import RBFField


@register("problem", "riccati")
@dataclass(frozen=True)
class Riccati(DrivenODE):
    """`s' = -s^2 + u`, s(0) = 0 on (0, length): the map from u to s.

    L. Lu, P. Jin and G. E. Karniadakis, *DeepONet*, arXiv:1910.03193, section 4.1.2. Where u stays below about -2.5, s
    has a pole before x = 1: such a sample raises, and is not replaced. All quantities are dimensionless.

    Args:
        length: of the interval.
        input: the distribution of u.
        steps: at least, of the whole interval.

    Raises:
        ValueError: unless length and steps are positive.

    >>> samples = Riccati().sample(0, [0, 1], 100)
    >>> samples.targets.shape, float(samples.discretisation_error.max()) < 1e-8
    (torch.Size([2, 1, 100]), True)
    """

    length: float = 1.0
    input: RandomField = field(default_factory=lambda: RBFField(0.2))
    steps: int = 400

    equation: ClassVar[str] = "s' = -s^2 + u(x), s(0) = 0, x in (0, length)"
    target_names: ClassVar[tuple[str, ...]] = ("s",)
    units: ClassVar[dict[str, str]] = dict.fromkeys(("x", "u", "s", "length", "input", "steps"), "1")

    def __post_init__(self) -> None:
        self.check("length", "steps")

    def change(self, s: list[Tensor], u: Tensor) -> list[Tensor]:
        return [u - s[0] * s[0]]
