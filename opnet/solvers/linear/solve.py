"""`solve_linear`: A x = b by any method, verified, and differentiable."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from opnet.core.expect import expect, integer
from opnet.core.status import Status
from opnet.linops.base import LinearOperator
from opnet.solvers.linear.base import LinearSolver, SolverState, remove
from opnet.solvers.linear.implicit import Implicit, System
from opnet.solvers.linear.monitor import mark
from opnet.solvers.linear.nullspace import kernel, unreachable
from opnet.solvers.linear.solution import Solution
from opnet.solvers.linear.verify import ROUNDINGS, report


def solve_linear(
    A: LinearOperator,
    b: Tensor,
    solver: LinearSolver | SolverState,
    *,
    x0: Tensor | None = None,
    rtol: float = 1e-8,
    max_iterations: int = 1000,
    nullspace: Tensor | None = None,
    throw: bool = True,
) -> Solution:
    """Solve `A x = b` to `||b - A x|| <= rtol ||b||`, every batch element on its own.

    CONVERGED means that the residual recomputed from the returned x meets the tolerance. ROUNDING_FLOOR means that it
    does not, but that x is the exact solution of a system within rounding of this one (its normwise backward error is
    within 8 unit roundoffs), so that no method can do better in this precision: accepted, with an `AccuracyWarning`.
    Everything else is a failure.

    A singular A with a kernel that A and A^H share is solved if the kernel is known, to A (`A.nullspace()`: constants
    for diffusion without a Dirichlet side) or by `nullspace`. Of the solutions the one orthogonal to the kernel is
    returned: for constants, the one of zero mean. A relative component of b in the kernel up to rtol is taken away, a
    larger one is INCONSISTENT (the value is then a least-squares solution, the residual that of the whole b).

    The value has gradients to b and to every tensor in `A.tensors`, first and higher ones, by a solve with the adjoint
    of A to the same tolerance, for which the set-up is used again. x0 has none, nor have parameters of the solver.

    Args:
        A: a square operator; its batch and that of `b` broadcast.
        b: right-hand sides; (*batch, *A.in_shape).
        solver: a method, or the state that its `setup(A)` returned, to solve again without setting up again.
        x0: where to start; zero by default.
        rtol: relative tolerance of the residual, positive.
        max_iterations: for each element.
        nullspace: vectors that span the kernel, if A does not know it; (k, *A.in_shape).
        throw: raise on failure and warn of ROUNDING_FLOOR; else look at `Solution.status`.

    Raises:
        ValueError: for an argument of another kind, wrong shapes, batches or dtypes, a state that was set up for
            another operator, vectors that are not in the kernel, or an operator with parameters outside `tensors`.
        SolveError: naming the first element that failed, unless `throw=False`; in the backward pass always.

    >>> from opnet.linops.dense import Dense
    >>> from opnet.solvers.linear.cg import CG
    >>> A = Dense(torch.diag(torch.tensor([1.0, -1.0])))
    >>> solve_linear(A, torch.ones(2), CG())
    Traceback (most recent call last):
    opnet.core.errors.SolveError: solve_linear with CG: the method broke down: ...
    >>> a = torch.tensor([2.0, 4.0], dtype=torch.float64, requires_grad=True)
    >>> solve_linear(Dense(torch.diag(a)), torch.ones(2, dtype=torch.float64), CG()).value.sum().backward()
    >>> a.grad  # of 1/a
    tensor([-0.2500, -0.0625], dtype=torch.float64)
    """
    expect("solve_linear: A", A, LinearOperator, "a LinearOperator such as Dense(matrix)")
    expect("solve_linear: solver", solver, (LinearSolver, SolverState), "a solver such as CG(), or its state")
    rows, columns = A.shape
    if A.in_shape != A.out_shape:
        raise ValueError(f"solve_linear: expected a square operator, found {rows} x {columns}")
    max_iterations = integer("solve_linear: max_iterations", max_iterations)
    if not (0 < rtol < torch.inf and max_iterations >= 0):
        raise ValueError(f"solve_linear: expected rtol > 0 and max_iterations >= 0, found {rtol} and {max_iterations}")
    _check_batches(A, b, x0)
    wanted = torch.is_grad_enabled() and _depends_on_parameters(A, b)
    with torch.no_grad():
        state = solver.setup(A) if isinstance(solver, LinearSolver) else solver
        if state.operator is not A:
            raise ValueError("solve_linear: expected a state set up for A, found one set up for another operator")
        basis = kernel(A, nullspace)
        if basis is None:
            solution = state.solve(b, x0, rtol=rtol, max_iterations=max_iterations)
        else:
            state = state.projected(basis)
            solution = state.solve(remove(b, basis), x0, rtol=rtol, max_iterations=max_iterations)
            solution = _with_unreachable(solution, unreachable(b, basis, A), rtol)
    if throw:
        method = getattr(solver, "method", solver)  # of a state
        report(f"solve_linear with {type(method).__name__}", solution, rtol)
    if not wanted:
        return solution
    system = System(state, rtol, max_iterations, basis)
    return replace(solution, value=Implicit.apply(system, solution.value, b, *A.tensors))


def _with_unreachable(solution: Solution, share: Tensor, rtol: float) -> Solution:
    """INCONSISTENT where more than the tolerance, or rounding, of b is in the kernel."""
    share = share.expand(solution.status.shape)
    bad = share > max(rtol, ROUNDINGS * torch.finfo(share.dtype).eps)
    status, residual = solution.status.clone(), solution.residual
    mark(status, bad & (status != Status.NON_FINITE), Status.INCONSISTENT)
    # The consistent part of b has the relative size sqrt(1 - share^2), and its residual is orthogonal to the rest.
    whole = torch.hypot(residual * (1 - share**2).clamp(min=0).sqrt(), share)
    return replace(solution, status=status, residual=torch.where(bad, whole, residual))


def _depends_on_parameters(A: LinearOperator, b: Tensor) -> bool:
    """Whether b or a tensor of A requires a gradient; `ValueError` if something else does, which would get none."""
    if A.self_contained:
        return b.requires_grad or any(t.requires_grad for t in A.tensors)
    if not A.apply(b).requires_grad:
        return False
    bare = A.rebuild(tuple(t.detach() for t in A.tensors))
    if bare.apply(b.detach()).requires_grad:
        raise ValueError(
            f"solve_linear: expected {type(A).__name__}.tensors to name all parameters that A depends on, found an "
            "image that requires gradients though none of them does"
        )
    return True


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
