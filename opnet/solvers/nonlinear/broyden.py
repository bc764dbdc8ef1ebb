"""`Broyden`: the secant method in several dimensions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.core.status import Status
from opnet.solvers.linear.monitor import Monitor
from opnet.solvers.nonlinear.base import Iteration, NonlinearSolver, Residual, check_damping, check_memory, lengths


@register("nonlinear", "Broyden")
@dataclass(frozen=True)
class Broyden(NonlinearSolver):
    r"""Broyden's (first, "good") method: Newton steps with a Jacobian corrected by rank one after each.

    .. math:: B_{k+1}^{-1} = \Bigl(I + \frac{s_{k+1} s_k^T}{\lVert s_k \rVert^2}\Bigr) B_k^{-1},
       \qquad s_{k+1} = -B_{k+1}^{-1} F(x_{k+1}), \qquad B_0 = I / \text{damping}

    C. G. Broyden, *Math. Comp.* 19 (1965) 577-593; only the steps s are stored (C. T. Kelley, *Iterative Methods for
    Linear and Nonlinear Equations*, SIAM 1995, section 7.3). Superlinear from a start near the root, if F' there is
    near B_0: for F(x) = x - g(x) it is where g' is small. BREAKDOWN is a singular B.

    Args:
        memory: steps kept, at least 1; then the method starts again from where it is.
        damping: of the first step, positive.

    >>> from opnet.solvers.nonlinear.solve import fixed_point
    >>> solution = fixed_point(torch.cos, torch.tensor(1.0, dtype=torch.float64), Broyden())
    >>> solution.value, int(solution.iterations) < 8
    (tensor(0.7391, dtype=torch.float64), True)
    """

    memory: int = 20
    damping: float = 1.0

    def __post_init__(self) -> None:
        check_memory(self, self.memory)
        check_damping(self, self.damping)

    def start(self, F: Residual, target: Tensor) -> BroydenIteration:
        return BroydenIteration(F, self.memory, self.damping)


class BroydenIteration(Iteration):
    """Holds the steps s, (batch, n) each; those of ended elements are zero."""

    def __init__(self, F: Residual, memory: int, damping: float) -> None:
        self.F, self.memory, self.damping = F, memory, damping
        self.steps: list[Tensor] = []

    def step(self, x: Tensor, r: Tensor, monitor: Monitor) -> tuple[Tensor, Tensor]:
        if len(self.steps) > self.memory:
            self.steps = []
        s = -self.damping * r
        for last, following in zip(self.steps[:-1], self.steps[1:], strict=True):
            s = s + _along(last, s) * following
        if self.steps:
            along = _along(self.steps[-1], s)
            rest = 1 - along
            eps = torch.finfo(x.dtype).eps
            monitor.fail((rest.abs() <= 8 * eps * (1 + along.abs())).squeeze(-1), Status.BREAKDOWN)
            s = s / rest
        s = torch.where(monitor.active[:, None], s, 0)
        self.steps.append(s)
        x = x + s
        return x, self.F(x)


def _along(s: Tensor, z: Tensor) -> Tensor:
    """s^H z / ||s||^2, and 0 where s = 0.  # shape: (batch, n), (batch, n) -> (batch, 1)"""
    size = lengths(s)
    unit = s / torch.where(size > 0, size, 1.0)[:, None]
    return (torch.linalg.vecdot(unit, z) / torch.where(size > 0, size, 1.0))[:, None]
