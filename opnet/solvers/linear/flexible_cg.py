"""`FlexibleCG`: conjugate gradients whose preconditioner may be anything, such as a trained network."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from opnet.core.expect import integer
from opnet.core.registry import register
from opnet.core.status import Status
from opnet.linops.base import LinearOperator
from opnet.solvers.linear.base import LinearSolver, SolverState
from opnet.solvers.linear.krylov import Krylov, KrylovState
from opnet.solvers.linear.monitor import Monitor
from opnet.solvers.linear.vectors import dots, norms, spread


@register("solver", "FlexibleCG")
@dataclass(frozen=True)
class FlexibleCG(Krylov):
    r"""Conjugate gradients for Hermitian positive definite A with a preconditioner that may change from step to step.

    Every correction z = M(r) is made A-orthogonal to the last `memory` directions p_j explicitly,

    .. math:: p = z - \sum_j \frac{\langle A p_j, z \rangle}{\langle p_j, A p_j \rangle} p_j, \qquad
       x \leftarrow x + \frac{\langle p, r \rangle}{\langle p, A p \rangle} p,

    Y. Notay, *SIAM J. Sci. Comput.* 22 (2000) 1444-1460, algorithm FCG(m). Each step minimises the energy norm of the
    error along p, so that no preconditioner makes it grow. A correction that is not finite, underflows or does not
    point downhill (the cosine of its angle to r is below a thousandth) is replaced by r itself, and counted in
    `Solution.rejected`: with a network that is always wrong this is the method without preconditioner.

    Args:
        preconditioner: any solver, or `Learned(network)`; None for none.
        memory: directions kept, at least 1; each costs two vectors. More help if M is far from one fixed symmetric map.

    >>> from opnet.linops.dense import Dense
    >>> from opnet.solvers.linear.learned import Learned
    >>> from opnet.solvers.linear.solve import solve_linear
    >>> A = Dense(torch.diag(torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)))
    >>> uphill = FlexibleCG(preconditioner=Learned(torch.neg))
    >>> solution = solve_linear(A, torch.ones(3, dtype=torch.float64), uphill)
    >>> solution.value, int(solution.iterations), int(solution.rejected)
    (tensor([1.0000, 0.5000, 0.2500], dtype=torch.float64), 3, 3)
    """

    preconditioner: LinearSolver | None = None
    memory: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if integer("FlexibleCG.memory", self.memory) < 1:
            raise ValueError(f"FlexibleCG.memory: expected at least 1 direction, found {self.memory}")

    def bind(self, operator: LinearOperator, preconditioner: SolverState | None) -> FlexibleCGState:
        return FlexibleCGState(self, operator, preconditioner)


class FlexibleCGState(KrylovState):
    method: FlexibleCG

    def iterate(self, b: Tensor, x: Tensor, target: Tensor, max_iterations: int) -> tuple[Tensor, Monitor]:
        A, memory = self.operator, self.method.memory
        x, r = x.clone(), b - A.apply(x)
        norm = norms(r, A)
        monitor, tiny = Monitor(norm, target), torch.finfo(norm.dtype).tiny
        directions: list[tuple[Tensor, Tensor, Tensor]] = []  # p, A p, <p, A p>
        for _ in range(max_iterations):
            if monitor.done:
                break
            z = self.precondition(r)
            size = norms(z, A)
            # NaN compares as False. A thousandth rather than 0: rounding decides the sign of a smaller product.
            useful = (dots(r, z, A).real > 1e-3 * norm * size) & (size**2 > tiny) & torch.isfinite(size)
            monitor.rejected += monitor.active & ~useful
            p = torch.where(spread(useful, A), z, r)
            for d, Ad, energy in directions:
                p = p - spread(torch.where(monitor.active, dots(Ad, p, A) / energy, 0.0), A) * d
            q = A.apply(p)
            curvature = dots(p, q, A).real
            monitor.fail(~torch.isfinite(curvature), Status.NON_FINITE)
            monitor.fail(curvature <= 0, Status.BREAKDOWN)
            step = spread(torch.where(monitor.active, dots(p, r, A) / curvature, 0.0), A)
            x.addcmul_(step, p)
            r.addcmul_(step, q, value=-1)
            norm = norms(r, A)
            monitor.advance(norm)
            directions = [*directions, (p, q, curvature)][-memory:]
        return x, monitor
