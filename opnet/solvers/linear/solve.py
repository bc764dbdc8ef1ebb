"""`solve_linear`: A x = b by any method, verified."""

from __future__ import annotations

import torch
from torch import Tensor

from opnet.core.expect import expect
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

    CONVERGED means that the residual recomputed from the returned x meets the tolerance. An element whose x is as good
    as the precision allows (its normwise backward error is within 8 unit roundoffs, or its iteration met the tolerance
    only in rounded arithmetic) but whose residual misses the tolerance ends as ROUNDING_FLOOR, a failure like others:
    ask for less, use float64, or take the solution by `throw=False`.

    Args:
        A: a square operator; its batch and that of `b` broadcast.
        b: right-hand sides; (*batch, *A.in_shape).
        solver: a method, or the state that its `setup(A)` returned, to solve again without setting up again.
        x0: where to start; zero by default.
        rtol: relative tolerance of the residual, positive.
        max_iterations: for each element.
        throw: raise on failure; else look at `Solution.status`.

    Raises:
        ValueError: for an argument of another kind, wrong shapes, batches or dtypes, or a state that was set up for
            another operator.
        SolveError: naming the first element that failed, unless `throw=False`.

    >>> from opnet.linops.dense import Dense
    >>> from opnet.solvers.linear.cg import CG
    >>> A = Dense(torch.diag(torch.tensor([1.0, -1.0])))
    >>> solve_linear(A, torch.ones(2), CG())
    Traceback (most recent call last):
    opnet.core.errors.SolveError: solve_linear with CG: the method broke down: ...
    """
    expect("solve_linear: A", A, LinearOperator, "a LinearOperator such as Dense(matrix)")
    expect("solve_linear: solver", solver, (LinearSolver, SolverState), "a solver such as CG(), or its state")
    rows, columns = A.shape
    if A.in_shape != A.out_shape:
        raise ValueError(f"solve_linear: expected a square operator, found {rows} x {columns}")
    if not (rtol > 0 and max_iterations >= 0):
        raise ValueError(f"solve_linear: expected rtol > 0 and max_iterations >= 0, found {rtol} and {max_iterations}")
    _check_batches(A, b, x0)
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


def _check_batches(A: LinearOperator, b: Tensor, x0: Tensor | None) -> None:
    batch = A.batch_shape
    for name, value in (("b", b), ("x0", x0)):
        if value is None:
            continue
        expect(f"solve_linear: {name}", value, Tensor, "a Tensor")
        A.check_argument(value)
        own = tuple(value.shape[: value.ndim - len(A.in_shape)])
        try:
            joint = torch.broadcast_shapes(own, batch)
        except RuntimeError:
            joint = None
        # x0 is a start for the systems there are; it makes no new ones.
        if joint is None or (name == "x0" and joint != torch.Size(batch)):
            raise ValueError(f"solve_linear: {name}: expected a batch that broadcasts with {tuple(batch)}, found {own}")
        batch = tuple(joint)
