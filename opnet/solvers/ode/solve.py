"""`solve_ode`: an initial value problem by any method, with typed failures."""

from __future__ import annotations

from itertools import pairwise
from math import isfinite

import torch
from torch import Tensor

from opnet.core.expect import expect
from opnet.core.status import raise_for_status
from opnet.solvers.ode.runge_kutta import Dopri5
from opnet.solvers.ode.stepper import Direct, ODESolution, Request, Stepper, VectorField


def solve_ode(
    f: VectorField,
    y0: Tensor,
    ts: Tensor,
    method: Stepper | None = None,
    *,
    rtol: float = 1e-5,
    atol: float = 1e-7,
    step: float | None = None,
    adjoint: Direct | None = None,
    max_steps: int = 20_000,
    throw: bool = True,
) -> ODESolution:
    """Solve `y'(t) = f(t, y)`, `y(ts[0]) = y0`, and give y at `ts`.

    Args:
        f: the vector field; `f(t, y)` has the shape and dtype of y; t is a tensor without dimensions, of y's dtype.
        y0: the start, of a floating dtype. Of a state with two dimensions or more the leading one is the batch, and
            each of its elements has a status of its own; a smaller state is one element.
        ts: times, shape (time,), strictly increasing or strictly decreasing, in the unit of time that f implies.
        method: a stepper, `Dopri5()` by default.
        rtol, atol: tolerances of the local error, for adaptive methods.
        step: the step (each interval of `ts` is cut into equal steps no longer than this; one step an interval by
            default) for fixed-step methods; the first step to try for adaptive ones.
        adjoint: how to differentiate; `Direct()` by default, which costs nothing where no gradient is wanted.
        max_steps: steps tried at most.
        throw: raise on failure; else look at `ODESolution.status`: elements that failed are NaN from there on, and the
            others were carried to the end.

    Raises:
        ValueError: for times that are not monotone, a dtype that is not floating, an f that returns another shape or
            dtype, or tolerances and steps out of range.
        SolveError: naming the batch element and the time reached, for a NaN or Inf in y0, f or y, a step below what the
            precision resolves (as at a singularity), or the step limit. A fixed-step method can only report what it
            evaluates: it may step across a pole between two of its stages.

    >>> ts = torch.tensor([0.0, 1.0], dtype=torch.float64)
    >>> sol = solve_ode(lambda t, y: -y, torch.ones(1, dtype=torch.float64), ts, rtol=1e-8, atol=1e-10)
    >>> abs(float(sol.ys[-1]) - 0.36787944117) < 1e-8
    True
    >>> solve_ode(lambda t, y: y**2, torch.ones(1, dtype=torch.float64), 2 * ts)
    Traceback (most recent call last):
    opnet.core.errors.SolveError: solve_ode: the step size fell below ... (batch element 0 of 1 at t = 1)
    """
    method = Dopri5() if method is None else method
    expect("method", method, Stepper, "a stepper such as Dopri5()")
    if adjoint is not None:
        expect("adjoint", adjoint, Direct, "Direct()")
    if not (rtol >= 0 and atol >= 0 and rtol + atol > 0):
        raise ValueError(f"rtol, atol: expected non-negative tolerances, not both zero, found {rtol} and {atol}")
    if step is not None and not (step > 0 and isfinite(step)):
        raise ValueError(f"step: expected a positive number, found {step}")
    if max_steps < 1:
        raise ValueError(f"max_steps: expected at least 1, found {max_steps}")
    request = Request(_checked(f), _state(y0), _times(ts), rtol, atol, step, max_steps)
    solution = method.integrate(request, ts)
    if throw:
        raise_for_status("solve_ode", solution.status, solution.reached)
    return solution


def _state(y0: Tensor) -> Tensor:
    expect("y0", y0, Tensor, "a floating Tensor")
    if not y0.dtype.is_floating_point or y0.numel() == 0:
        raise ValueError(f"y0: expected a non-empty floating tensor, found {y0.dtype} of shape {tuple(y0.shape)}")
    return y0


def _times(ts: Tensor) -> tuple[float, ...]:
    expect("ts", ts, Tensor, "a floating Tensor of shape (time,)")
    if ts.ndim != 1 or len(ts) == 0 or not ts.dtype.is_floating_point:
        raise ValueError(f"ts: expected a floating tensor of shape (time,), found {ts.dtype} of {tuple(ts.shape)}")
    times = tuple(ts.detach().to(torch.float64).tolist())
    gaps = [b - a for a, b in pairwise(times)]
    if not all(map(isfinite, times)) or not (all(g > 0 for g in gaps) or all(g < 0 for g in gaps)):
        raise ValueError(f"ts: expected finite, strictly increasing or decreasing times, found {_short(times)}")
    return times


def _short(times: tuple[float, ...]) -> str:
    return ", ".join(f"{t:g}" for t in times[:6]) + (", ..." if len(times) > 6 else "")


def _checked(f: VectorField) -> VectorField:
    """f, looked at on its first call: a broadcast or a silent change of dtype would go unnoticed otherwise."""
    seen = False

    def field(t: Tensor, y: Tensor) -> Tensor:
        nonlocal seen
        value = f(t, y)
        if not seen:
            if not isinstance(value, Tensor) or value.shape != y.shape or value.dtype != y.dtype:
                found = f"{value.dtype} of {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
                raise ValueError(f"f: expected {y.dtype} of {tuple(y.shape)}, the form of y, found {found}")
            seen = True
        return value

    return field
