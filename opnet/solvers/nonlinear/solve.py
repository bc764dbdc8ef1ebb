"""`solve_nonlinear` and `fixed_point`: F(x) = 0 and x = g(x) by any method, verified and differentiable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from opnet.core.expect import expect, found, integer
from opnet.core.status import raise_for_status
from opnet.solvers.linear.base import LinearSolver
from opnet.solvers.nonlinear.base import NonlinearSolver, Residual, iterate
from opnet.solvers.nonlinear.implicit import differentiable_root
from opnet.solvers.nonlinear.solution import NonlinearSolution


def solve_nonlinear(
    F: Callable[..., Tensor],
    x0: Tensor,
    method: NonlinearSolver,
    *,
    parameters: Sequence[Any] = (),
    batch_dims: int = 0,
    rtol: float = 1e-8,
    atol: float = 0.0,
    max_iterations: int = 200,
    adjoint: LinearSolver | None = None,
    throw: bool = True,
) -> NonlinearSolution:
    r"""Solve `F(x) = 0` to `||F(x)|| <= rtol ||F(x0)|| + atol`, every batch element on its own.

    CONVERGED means that the residual recomputed from the returned x meets the tolerance, and x is finite. Gradients of
    the value go to all tensors that F depends on, `parameters` among them, by the implicit function theorem,

    .. math:: J = \frac{\partial F}{\partial x}, \qquad J^H \lambda = \bar x, \qquad
       \bar\theta = -\Bigl(\frac{\partial F}{\partial \theta}\Bigr)^H \lambda,

    whatever the method and its iterations were; x0 gets none. There are no second derivatives.

    Args:
        F: the residual map; `F(x, *parameters)` has the shape and dtype of x, each batch element depending on its own x
            alone; for complex x holomorphic. `NewtonKrylov` and gradients differentiate it by torch.
        x0: the start, floating or complex; (*batch, *element).
        method: `Anderson()`, `Broyden()`, `NewtonKrylov()` or `Picard()`.
        parameters: further arguments of F.
        batch_dims: how many leading dimensions of x0 are batch.
        rtol: tolerance relative to the residual of the start (C. T. Kelley, *Iterative Methods for Linear and Nonlinear
            Equations*, SIAM 1995, section 5.2).
        atol: absolute tolerance of the residual, in units of F. A start that is a root to rounding needs one.
        max_iterations: for each element.
        adjoint: the linear solver of the backward pass, to `rtol`; by default that of `NewtonKrylov`, else `GMRES()`.
        throw: raise on failure; else look at `NonlinearSolution.status`.

    Raises:
        ValueError: for an argument of another kind or out of range, or an F that returns another shape or dtype.
        SolveError: naming the first element that failed, unless `throw=False`: MAX_ITERATIONS, NON_FINITE, STAGNATED
            (the least residual fell by less than 1 % in 50 iterations; also where rounding is the floor) or BREAKDOWN
            (also for divergence). In the backward pass: where the gradient of an element that failed is asked for, or
            the linear solve fails.

    >>> from opnet.solvers.nonlinear.newton_krylov import NewtonKrylov
    >>> c = torch.tensor([2.0, 9.0], dtype=torch.float64, requires_grad=True)
    >>> x = solve_nonlinear(lambda x, c: x**2 - c, torch.ones_like(c), NewtonKrylov(), parameters=(c,), batch_dims=1)
    >>> x.value.detach()
    tensor([1.4142, 3.0000], dtype=torch.float64)
    >>> x.value.sum().backward()
    >>> c.grad  # 1 / (2 sqrt(c))
    tensor([0.3536, 0.1667], dtype=torch.float64)
    """
    _check(x0, method, batch_dims, rtol, atol, max_iterations, adjoint)
    adjoint = adjoint or getattr(method, "linear", None)

    def checked(x: Tensor) -> Tensor:
        return _of_the_form("solve_nonlinear: F", F(x, *parameters), x)

    residual = Residual(checked, x0, batch_dims)
    with torch.no_grad():
        x, norm, monitor = iterate(method, residual, rtol, atol, max_iterations)
        status = monitor.status.reshape(residual.batch_shape)
    solution = NonlinearSolution(
        value=differentiable_root(residual, x, status, adjoint, rtol).reshape(x0.shape),
        status=status,
        iterations=monitor.iterations.reshape(residual.batch_shape),
        residual=norm.reshape(residual.batch_shape),
        evaluations=residual.evaluations,
        history=torch.stack(monitor.norms[: int(monitor.iterations.max()) + 1]).reshape(-1, *residual.batch_shape),
    )
    if throw:
        detail = f"largest residual {float(norm.max()):.2g}, asked at most {float(monitor.target.min()):.2g}"
        raise_for_status(f"solve_nonlinear with {type(method).__name__}", status, detail=detail)
    return solution


def fixed_point(g: Callable[..., Tensor], x0: Tensor, method: NonlinearSolver, **options: Any) -> NonlinearSolution:
    """Solve `x = g(x)`: `solve_nonlinear` for `F(x) = x - g(x)`, with the same options.

    Args:
        g: the map; `g(x, *parameters)` has the shape and dtype of x.
        x0: the start.
        method: `Anderson()` for most.
        options: those of `solve_nonlinear`.

    >>> from opnet.solvers.nonlinear.anderson import Anderson
    >>> float(fixed_point(lambda x, a: a / x / 2 + x / 2, torch.tensor(1.0), Anderson(), parameters=(4.0,)).value)
    2.0
    """

    def F(x: Tensor, *parameters: Any) -> Tensor:
        return x - _of_the_form("fixed_point: g", g(x, *parameters), x)

    return solve_nonlinear(F, x0, method, **options)


def _of_the_form(what: str, value: Any, x: Tensor) -> Tensor:
    """`value`, if it has the form of x: broadcasting and changes of dtype would go unnoticed otherwise."""
    if not isinstance(value, Tensor) or value.shape != x.shape or value.dtype != x.dtype:
        raise ValueError(f"{what}: expected {x.dtype} of shape {tuple(x.shape)}, the form of x, found {found(value)}")
    return value


def _check(
    x0: Tensor,
    method: NonlinearSolver,
    batch_dims: int,
    rtol: float,
    atol: float,
    max_iterations: int,
    adjoint: LinearSolver | None,
) -> None:
    expect("solve_nonlinear: x0", x0, Tensor, "a floating or complex Tensor")
    if not (x0.dtype.is_floating_point or x0.dtype.is_complex) or x0.numel() == 0:
        raise ValueError(
            f"solve_nonlinear: x0: expected a non-empty floating or complex tensor, found {x0.dtype} of shape "
            f"{tuple(x0.shape)}"
        )
    expect("solve_nonlinear: method", method, NonlinearSolver, "a method such as Anderson()")
    if adjoint is not None:
        expect("solve_nonlinear: adjoint", adjoint, LinearSolver, "a linear solver such as GMRES(), or None")
    if not 0 <= integer("solve_nonlinear: batch_dims", batch_dims) <= x0.ndim:
        raise ValueError(f"solve_nonlinear: batch_dims: expected 0 ... {x0.ndim}, found {batch_dims}")
    if not (0 <= rtol < 1 and 0 <= atol < float("inf") and rtol + atol > 0):
        raise ValueError(
            f"solve_nonlinear: expected 0 <= rtol < 1 and atol >= 0, not both zero, found {rtol} and {atol}"
        )
    if max_iterations < 0:
        raise ValueError(f"solve_nonlinear: max_iterations: expected at least 0, found {max_iterations}")
