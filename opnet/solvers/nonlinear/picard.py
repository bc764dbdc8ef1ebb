"""`Picard`: the damped fixed-point iteration."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from opnet.core.registry import register
from opnet.solvers.linear.monitor import Monitor
from opnet.solvers.nonlinear.base import Iteration, NonlinearSolver, Residual, check_damping


@register("nonlinear", "Picard")
@dataclass(frozen=True)
class Picard(NonlinearSolver):
    """`x <- x - damping F(x)`, which for F(x) = x - g(x) is `x <- (1 - damping) x + damping g(x)`.

    Converges linearly if I - damping F'(x) is a contraction, as it is where g is one and damping is 1 (J. M. Ortega and
    W. C. Rheinboldt, *Iterative Solution of Nonlinear Equations in Several Variables*, Academic Press 1970, section
    12.1).

    Args:
        damping: positive.

    >>> import torch
    >>> from opnet.solvers.nonlinear.solve import fixed_point
    >>> fixed_point(torch.cos, torch.tensor(1.0, dtype=torch.float64), Picard()).value
    tensor(0.7391, dtype=torch.float64)
    """

    damping: float = 1.0

    def __post_init__(self) -> None:
        check_damping(self, self.damping)

    def start(self, F: Residual, target: Tensor) -> PicardIteration:
        return PicardIteration(F, self.damping)


class PicardIteration(Iteration):
    def __init__(self, F: Residual, damping: float) -> None:
        self.F, self.damping = F, damping

    def step(self, x: Tensor, r: Tensor, monitor: Monitor) -> tuple[Tensor, Tensor]:
        x = x - self.damping * r
        return x, self.F(x)
