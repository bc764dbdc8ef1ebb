"""`CG`: preconditioned conjugate gradients."""

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
from opnet.solvers.linear.vectors import dots, norms, spread


@register("solver", "CG")
@dataclass(frozen=True)
class CG(Krylov):
    """Conjugate gradients for Hermitian positive definite A, preconditioned by any symmetric solver.

    M. R. Hestenes and E. Stiefel, *J. Res. Natl. Bur. Stand.* 49 (1952) 409-436; the preconditioned form is Y. Saad,
    *Iterative Methods for Sparse Linear Systems*, 2nd ed., SIAM 2003, algorithm 9.1. Every batch element has its own
    step lengths and rests once it has converged.

    Args:
        preconditioner: a solver whose state is symmetric, such as `Multigrid()` or `Jacobi()`; None for none.

    >>> from opnet.linops.dense import Dense
    >>> from opnet.solvers.linear.solve import solve_linear
    >>> A = Dense(torch.tensor([[2.0, 1.0], [1.0, 3.0]], dtype=torch.float64))
    >>> solve_linear(A, torch.tensor([3.0, 4.0], dtype=torch.float64), CG()).value
    tensor([1.0000, 1.0000], dtype=torch.float64)
    """

    preconditioner: LinearSolver | None = None
    definite: ClassVar[bool] = True

    def bind(self, operator: LinearOperator, preconditioner: SolverState | None) -> CGState:
        return CGState(self, operator, preconditioner)


class CGState(KrylovState):
    def iterate(self, b: Tensor, x: Tensor, target: Tensor, max_iterations: int) -> tuple[Tensor, Monitor]:
        A = self.operator
        if self.preconditioner is not None:
            fused = self.preconditioner.fused_cg(b, x, target, max_iterations)
            if fused is not None:
                return fused
        r = b - A.apply(x)
        norm = norms(r, A)
        monitor = Monitor(norm, target)
        x, p, rz = x.clone(), torch.zeros_like(r), torch.ones_like(norm)
        for _ in range(max_iterations):
            if monitor.done:
                break
            z = self.precondition(r)
            rz_new = dots(r, z, A).real
            p.mul_(spread(torch.where(monitor.active, rz_new / rz, 0.0), A)).add_(z)
            rz = rz_new
            q = A.apply(p)
            curvature = dots(p, q, A).real
            monitor.fail(~(torch.isfinite(curvature) & torch.isfinite(rz)), Status.NON_FINITE)
            monitor.fail(~((curvature > 0) & (rz > 0)), Status.BREAKDOWN)
            step = spread(torch.where(monitor.active, rz / curvature, 0.0), A)
            x.addcmul_(step, p)
            r.addcmul_(step, q, value=-1)
            monitor.advance(norms(r, A))
        return x, monitor
