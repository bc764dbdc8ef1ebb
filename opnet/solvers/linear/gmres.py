"""`GMRES`: generalised minimal residuals, restarted and flexible."""

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
from opnet.solvers.linear.vectors import divisor, flat, norms, spread

GAIN = 1e-3  # what a whole cycle must take off the residual for another one to be worth it


@register("solver", "GMRES")
@dataclass(frozen=True)
class GMRES(Krylov):
    r"""Minimal residuals for any square A over a growing Krylov space, begun again every `restart` iterations.

    Y. Saad and M. H. Schultz, *SIAM J. Sci. Stat. Comput.* 7 (1986) 856-869, in the flexible form of Y. Saad, *SIAM J.
    Sci. Comput.* 14 (1993) 461-469, algorithm 2.2: preconditioned from the right by maps that may differ from step to
    step, so that the residual minimised is b - A x itself. Gram-Schmidt is the classical one, done twice. An element
    that a whole cycle hardly improves ends as STAGNATED: a longer `restart` or a better preconditioner is needed.

    Args:
        preconditioner: any solver, also a Krylov method or `Learned(network)`; None for none.
        restart: iterations of a cycle; `2 restart + 1` vectors (`restart + 1` without preconditioner) are kept.

    >>> from opnet.linops.dense import Dense
    >>> from opnet.solvers.linear.solve import solve_linear
    >>> A = Dense(torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64))
    >>> solve_linear(A, torch.tensor([1.0, 2.0], dtype=torch.float64), GMRES()).value.round(decimals=6)
    tensor([-2.,  1.], dtype=torch.float64)
    """

    preconditioner: LinearSolver | None = None
    restart: int = 30

    def __post_init__(self) -> None:
        super().__post_init__()
        if integer("GMRES.restart", self.restart) < 1:
            raise ValueError(f"GMRES.restart: expected at least 1 iteration, found {self.restart}")

    def bind(self, operator: LinearOperator, preconditioner: SolverState | None) -> GMRESState:
        return GMRESState(self, operator, preconditioner)


class GMRESState(KrylovState):
    method: GMRES

    def iterate(self, b: Tensor, x: Tensor, target: Tensor, max_iterations: int) -> tuple[Tensor, Monitor]:
        A, restart = self.operator, min(self.method.restart, self.operator.shape[0])
        r = b - A.apply(x)
        norm = norms(r, A)
        monitor = Monitor(norm, target)
        while not monitor.done and monitor.taken < max_iterations:
            steps = min(restart, max_iterations - monitor.taken)
            x_new = x + self._cycle(r, norm, monitor, steps)
            r_new = b - A.apply(x_new)
            norm_new = norms(r_new, A)
            if steps == restart:
                monitor.fail(~(norm_new <= (1 - GAIN) * norm), Status.STAGNATED)
            # With useless corrections rounding may make the residual grow, which exact arithmetic cannot.
            better = norm_new < norm
            x, r = (torch.where(spread(better, A), new, old) for new, old in ((x_new, x), (r_new, r)))
            norm = torch.where(better, norm_new, norm)
        return x, monitor

    def _cycle(self, r: Tensor, norm: Tensor, monitor: Monitor, steps: int) -> Tensor:
        """The correction after at most `steps` iterations from a residual r of this norm."""
        A, k = self.operator, r.ndim - len(self.operator.in_shape)
        batch = r.shape[:k]
        V = r.new_zeros(*batch, steps + 1, A.shape[0])
        Z = V if self.preconditioner is None else torch.zeros_like(V)
        V[..., 0, :] = flat(r / spread(divisor(norm), A), A)
        R = torch.eye(steps, dtype=r.dtype, device=r.device).expand(*batch, steps, steps).clone()
        # The rotations so far as one unitary matrix, Q H = R; its image of ||r|| e_1 is (g, rest).
        Q = torch.eye(steps + 1, dtype=r.dtype, device=r.device).expand(*batch, steps + 1, steps + 1).clone()
        g = r.new_zeros(*batch, steps)
        rest = norm.to(r.dtype)
        for j in range(steps):
            if monitor.done:
                break
            v = V[..., j, :].reshape(r.shape)
            z = self.precondition(v)
            if Z is not V:
                Z[..., j, :] = flat(z, A)
            w, h = _orthogonalise(flat(A.apply(z), A), V[..., : j + 1, :])
            length = torch.linalg.vector_norm(w, dim=-1)
            V[..., j + 1, :] = w / divisor(length).unsqueeze(-1)
            column = torch.cat([h, length.to(h.dtype).unsqueeze(-1)], -1)
            column = (Q[..., : j + 2, : j + 2] @ column.unsqueeze(-1)).squeeze(-1)
            monitor.fail(~torch.isfinite(torch.linalg.vector_norm(column, dim=-1)), Status.NON_FINITE)
            a = column[..., j]
            size = torch.hypot(a.abs(), length)
            monitor.fail(size == 0, Status.BREAKDOWN)  # A is singular on the space searched
            taking = monitor.active
            cosine, sine = a / divisor(size), length / divisor(size)
            rotation = torch.stack([cosine.conj(), sine.to(r.dtype), -sine.to(r.dtype), cosine], -1).unflatten(
                -1, (2, 2)
            )
            Q[..., j : j + 2, :] = rotation @ Q[..., j : j + 2, :]
            # Elements at rest keep a column of the identity in R and a zero in g: their correction stays as it is.
            column = torch.cat([column[..., :j], size.to(r.dtype).unsqueeze(-1)], -1)
            R[..., : j + 1, j] = torch.where(taking.unsqueeze(-1), column, R[..., : j + 1, j])
            g[..., j] = torch.where(taking, cosine.conj() * rest, 0.0)
            rest = torch.where(taking, -sine * rest, rest)
            monitor.advance(rest.abs())
        y = torch.linalg.solve_triangular(R, g.unsqueeze(-1), upper=True)
        return (y.mT @ Z[..., :steps, :]).squeeze(-2).reshape(r.shape)


def _orthogonalise(w: Tensor, V: Tensor) -> tuple[Tensor, Tensor]:
    """w without its components h in the orthonormal rows of V, and h; twice is enough."""
    h = torch.zeros((), dtype=w.dtype, device=w.device)
    for _ in range(2):  # as rows times matrices, which batched products do several times faster than columns
        part = (w.unsqueeze(-2) @ V.mH).squeeze(-2)
        w = w - (part.unsqueeze(-2) @ V).squeeze(-2)
        h = h + part
    return w, h
