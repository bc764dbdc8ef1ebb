"""`BiCGStab`: stabilised bi-conjugate gradients, for any square operator in a fixed amount of memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.core.status import Status
from opnet.linops.base import LinearOperator
from opnet.solvers.linear.base import LinearSolver, SolverState
from opnet.solvers.linear.krylov import Krylov, KrylovState
from opnet.solvers.linear.monitor import Monitor
from opnet.solvers.linear.vectors import divisor, dots, norms, spread


@register("solver", "BiCGStab")
@dataclass(frozen=True)
class BiCGStab(Krylov):
    """Stabilised bi-conjugate gradients for any square A, preconditioned from the right by any fixed solver.

    H. A. van der Vorst, *SIAM J. Sci. Stat. Comput.* 13 (1992) 631-644. One iteration applies A and the preconditioner
    twice; eight vectors whatever the number of iterations. The residual may rise in between, and spectra far off the
    real axis stop it: then `GMRES`. An element whose shadow residual has become orthogonal to its residual starts the
    recursion again from where it is.

    Args:
        preconditioner: any solver whose `apply` is one fixed linear map; None for none.

    >>> from opnet.linops.dense import Dense
    >>> from opnet.solvers.linear.solve import solve_linear
    >>> A = Dense(torch.tensor([[2.0, 1.0], [0.0, 3.0]], dtype=torch.float64))
    >>> solve_linear(A, torch.tensor([3.0, 3.0], dtype=torch.float64), BiCGStab()).value.round(decimals=6)
    tensor([1., 1.], dtype=torch.float64)
    """

    preconditioner: LinearSolver | None = None

    def bind(self, operator: LinearOperator, preconditioner: SolverState | None) -> BiCGStabState:
        return BiCGStabState(self, operator, preconditioner)


class BiCGStabState(KrylovState):
    def iterate(self, b: Tensor, x: Tensor, target: Tensor, max_iterations: int) -> tuple[Tensor, Monitor]:
        A = self.operator
        r = b - A.apply(x)
        norm = norms(r, A)
        monitor = Monitor(norm, target)
        eps = torch.finfo(norm.dtype).eps
        shadow = r
        rho = alpha = omega = torch.ones_like(dots(r, r, A))
        p, v = torch.zeros_like(r), torch.zeros_like(r)
        for _ in range(max_iterations):
            if monitor.done:
                break
            rho_new = dots(shadow, r, A)
            lost = rho_new.abs() <= eps * norms(shadow, A) * norm  # as after omega = 0
            shadow = torch.where(spread(lost, A), r, shadow)
            rho_new = torch.where(lost, dots(r, r, A), rho_new)
            beta = torch.where(lost, 0.0, rho_new / divisor(rho) * alpha / divisor(omega))
            p = torch.where(spread(lost, A), r, r + spread(beta, A) * (p - spread(omega, A) * v))
            rho = rho_new
            p_hat = self.precondition(p)
            v = A.apply(p_hat)
            slope = dots(shadow, v, A)
            monitor.fail(~torch.isfinite(slope), Status.NON_FINITE)
            monitor.fail(slope == 0, Status.BREAKDOWN)
            alpha = rho / divisor(slope)
            half = r - spread(alpha, A) * v
            half_hat = self.precondition(half)
            t = A.apply(half_hat)
            omega = dots(t, half, A) / divisor(dots(t, t, A))
            step = spread(alpha, A) * p_hat + spread(omega, A) * half_hat
            x = torch.where(spread(monitor.active, A), x + step, x)
            r = half - spread(omega, A) * t
            norm = norms(r, A)
            monitor.advance(norm)
        return x, monitor
