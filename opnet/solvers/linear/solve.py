"""`solve_linear`: A x = b by any method, verified."""

from __future__ import annotations

import torch
from torch import Tensor

from opnet.core.status import raise_for_status
from opnet.linops.base import LinearOperator
from opnet.solvers.linear.base import LinearSolver, SolverState
from opnet.solvers.linear.solution import Solution


def solve_linear(
    A: LinearOperator,
    b: Tensor,
    solver: LinearSolver | SolverState,
    *,
    x0: Tensor | None = None,
    rtol: float = 1e-8,
    max_iterations: int = 1000,
    throw: bool = True,
) -> Solution:
    """Solve `A x = b` to `||b - A x|| <= rtol ||b||`, every batch element on its own.

    The residual that decides is recomputed from the returned x. Where rounding stops it above the tolerance, an element
    counts as converged if its normwise backward error is within 8 unit roundoffs, and as ROUNDING_FLOOR if not.

    Args:
        A: a square operator; its batch and that of `b` broadcast.
        b: right-hand sides; (*batch, *A.in_shape).
        solver: a method, or the state that its `setup(A)` returned, to solve again without setting up again.
        x0: where to start; zero by default.
        rtol: relative tolerance of the residual, positive.
        max_iterations: for each element.
        throw: raise on failure; else look at `Solution.status`.

    Raises:
        ValueError: for wrong shapes or dtypes, or a state that was set up for another operator.
        SolveError: naming the first element that failed, unless `throw=False`.

    >>> from opnet.linops.dense import Dense
    >>> from opnet.solvers.linear.cg import CG
    >>> A = Dense(torch.diag(torch.tensor([1.0, -1.0])))
    >>> solve_linear(A, torch.ones(2), CG())
    Traceback (most recent call last):
    opnet.core.errors.SolveError: solve_linear with CG: the method broke down: ...
    """
    rows, columns = A.shape
    if A.in_shape != A.out_shape:
        raise ValueError(f"solve_linear: expected a square operator, found {rows} x {columns}")
    if not (rtol > 0 and max_iterations >= 0):
        raise ValueError(f"solve_linear: expected rtol > 0 and max_iterations >= 0, found {rtol} and {max_iterations}")
    # Asking the image catches every parameter an operator may hold.
    if torch.is_grad_enabled() and A.apply(b).requires_grad:
        raise ValueError(
            "solve_linear: gradients through a solve are not built yet; expected A and b without requires_grad"
        )
    with torch.no_grad():
        state = solver.setup(A) if isinstance(solver, LinearSolver) else solver
        if state.operator is not A:
            raise ValueError("solve_linear: expected a state set up for A, found one set up for another operator")
        solution = state.solve(b, x0, rtol=rtol, max_iterations=max_iterations)
    if throw:
        worst = float(solution.residual.max()) if solution.residual.numel() else 0.0
        detail = f"largest relative residual {worst:.2g}, asked {rtol:.2g}"
        raise_for_status(f"solve_linear with {type(solver).__name__}", solution.status, detail=detail)
    return solution
