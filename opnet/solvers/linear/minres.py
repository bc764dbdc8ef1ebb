"""`MINRES`: minimal residuals for symmetric operators, definite or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.core.status import Status
from opnet.linops.base import LinearOperator
from opnet.solvers.linear.base import LinearSolver, SolverState
from opnet.solvers.linear.krylov import Krylov, KrylovState
from opnet.solvers.linear.monitor import Monitor
from opnet.solvers.linear.vectors import divisor, dots, norms, spread


@register("solver", "MINRES")
@dataclass(frozen=True)
class MINRES(Krylov):
    """Minimal residuals for Hermitian A, which may be indefinite, preconditioned by any symmetric solver.

    C. C. Paige and M. A. Saunders, *SIAM J. Numer. Anal.* 12 (1975) 617-629; the preconditioned form is H. C. Elman,
    D. J. Silvester and A. J. Wathen, *Finite Elements and Fast Iterative Solvers*, 2nd ed., Oxford 2014, algorithm 4.1.
    It minimises the residual in the norm of the preconditioner, so that with one the residual's own norm may rise on
    the way.

    Args:
        preconditioner: a solver whose state is symmetric (positive definite, though A is not); None for none.

    >>> from opnet.linops.dense import Dense
    >>> from opnet.solvers.linear.solve import solve_linear
    >>> A = Dense(torch.tensor([[1.0, 2.0], [2.0, 1.0]], dtype=torch.float64))  # eigenvalues 3 and -1
    >>> solve_linear(A, torch.tensor([3.0, 0.0], dtype=torch.float64), MINRES()).value.round(decimals=6)
    tensor([-1.,  2.], dtype=torch.float64)
    """

    preconditioner: LinearSolver | None = None
    definite: ClassVar[bool] = True

    def bind(self, operator: LinearOperator, preconditioner: SolverState | None) -> MINRESState:
        return MINRESState(self, operator, preconditioner)


class MINRESState(KrylovState):
    def iterate(self, b: Tensor, x: Tensor, target: Tensor, max_iterations: int) -> tuple[Tensor, Monitor]:
        # Letters of the source: v Lanczos vectors, z = M v, gamma their length in the norm of M, (c, s) rotations.
        A = self.operator
        r = b - A.apply(x)
        monitor = Monitor(norms(r, A), target)
        v, z = r.clone(), self.precondition(r)
        gamma = self._length(v, z, monitor)
        v_last, w, w_last = torch.zeros_like(r), torch.zeros_like(r), torch.zeros_like(r)
        c, c_last, gamma_last = torch.ones_like(gamma), torch.ones_like(gamma), torch.ones_like(gamma)
        s, s_last = torch.zeros_like(gamma), torch.zeros_like(gamma)
        eta = gamma
        for _ in range(max_iterations):
            if monitor.done:
                break
            scale = divisor(gamma)
            z = z / spread(scale, A)
            image = A.apply(z)
            delta = dots(z, image, A).real
            v_new = image - spread(delta / scale, A) * v - spread(gamma / gamma_last, A) * v_last
            z_new = self.precondition(v_new)
            gamma_new = self._length(v_new, z_new, monitor)
            a0 = c * delta - c_last * s * gamma
            a1 = torch.hypot(a0, gamma_new)
            a2 = s * delta + c_last * c * gamma
            a3 = s_last * gamma
            monitor.fail(a1 == 0, Status.BREAKDOWN)  # A is singular on the space searched, and r is not reached
            c, c_last, s, s_last = a0 / divisor(a1), c, gamma_new / divisor(a1), s
            w, w_last = (z - spread(a3, A) * w_last - spread(a2, A) * w) / spread(divisor(a1), A), w
            x = torch.where(spread(monitor.active, A), x + spread(c * eta, A) * w, x)
            eta = -s * eta
            # r = V Q^H e eta, and the last column of Q^H follows its own two-term recursion.
            r = spread(s**2, A) * r + spread(c * eta / divisor(gamma_new), A) * v_new
            v, v_last, z, gamma, gamma_last = v_new, v, z_new, gamma_new, scale
            monitor.advance(norms(r, A))
        return x, monitor

    def _length(self, v: Tensor, z: Tensor, monitor: Monitor) -> Tensor:
        square = dots(v, z, self.operator).real
        monitor.fail(~torch.isfinite(square), Status.NON_FINITE)
        monitor.fail(square < 0, Status.BREAKDOWN)  # the preconditioner is not positive definite
        return square.clamp(min=0).sqrt()
