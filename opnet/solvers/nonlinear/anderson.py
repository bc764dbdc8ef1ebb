"""`Anderson`: the fixed-point iteration accelerated by its own history."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.solvers.linear.monitor import Monitor
from opnet.solvers.nonlinear.base import Iteration, NonlinearSolver, Residual, check_damping, check_memory


@register("nonlinear", "Anderson")
@dataclass(frozen=True)
class Anderson(NonlinearSolver):
    r"""Anderson acceleration: the damped fixed-point step after the best combination of the last iterates.

    With r = F(x), and the last changes of x and r as columns of :math:`\Delta X` and :math:`\Delta R`,

    .. math:: x \leftarrow x - \beta r - (\Delta X - \beta \Delta R) \gamma,
       \qquad \gamma = \arg\min_\gamma \lVert r - \Delta R\, \gamma \rVert

    (D. G. Anderson, *J. ACM* 12 (1965) 547-560; in this form H. F. Walker and P. Ni, *SIAM J. Numer. Anal.* 49 (2011)
    1715-1735, section 2). For affine F with memory enough it takes about as many iterations as GMRES, also where the
    fixed-point iteration itself diverges; a nonlinear F has to start near enough. Nearly dependent changes are left out
    of the least squares.

    Args:
        memory: changes kept, at least 1.
        damping: beta, positive.

    >>> from opnet.solvers.nonlinear.solve import fixed_point
    >>> solution = fixed_point(torch.cos, torch.tensor(1.0, dtype=torch.float64), Anderson())
    >>> solution.value, int(solution.iterations) < 8
    (tensor(0.7391, dtype=torch.float64), True)
    """

    memory: int = 5
    damping: float = 1.0

    def __post_init__(self) -> None:
        check_memory(self, self.memory)
        check_damping(self, self.damping)

    def start(self, F: Residual, target: Tensor) -> AndersonIteration:
        return AndersonIteration(F, self.memory, self.damping)


class AndersonIteration(Iteration):
    """Holds the changes dx and dr, (batch, memory, n); slots not yet used, and those of ended elements, are zero."""

    def __init__(self, F: Residual, memory: int, damping: float) -> None:
        self.F, self.damping = F, damping
        self.dx, self.dr = F.start.new_zeros(2, len(F.start), memory, F.start.shape[-1])
        self.previous: tuple[Tensor, Tensor] | None = None
        self.slot = 0

    def step(self, x: Tensor, r: Tensor, monitor: Monitor) -> tuple[Tensor, Tensor]:
        if self.previous is not None:
            for kept, new, old in ((self.dx, x, self.previous[0]), (self.dr, r, self.previous[1])):
                kept[:, self.slot] = torch.where(monitor.active[:, None], new - old, 0)
            self.slot = (self.slot + 1) % self.dx.shape[1]
        self.previous = x, r
        gamma = least_squares(self.dr.mT, r)
        x = x - self.damping * r - ((self.dx - self.damping * self.dr).mT @ gamma[..., None]).squeeze(-1)
        return x, self.F(x)


def least_squares(A: Tensor, b: Tensor) -> Tensor:
    """The smallest y that minimises ||b - A y||, columns of A scaled alike; zero and dependent columns are harmless.

    Equations of which rounding leaves less than half the digits (singular values below sqrt(eps) of the largest) are
    left out. By QR and the singular values of R, which every device computes.

    # shape: (batch, n, k), (batch, n) -> (batch, k)
    """
    size = torch.linalg.vector_norm(A, dim=-2, keepdim=True)
    scale = 1 / torch.where(size > 0, size, 1.0)
    Q, R = torch.linalg.qr(A * scale)
    y = torch.linalg.pinv(R, rtol=torch.finfo(A.dtype).eps ** 0.5) @ (Q.mH @ b[..., None])
    return y.squeeze(-1) * scale.squeeze(-2)
