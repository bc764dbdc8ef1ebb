"""`solve_ode`: an initial value problem by any method, with typed failures."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

import torch
from torch import Tensor

from opnet.core.expect import expect
from opnet.core.status import raise_for_status
from opnet.solvers.ode.adjoint import Adjoint, Direct
from opnet.solvers.ode.compiled import run_compiled
from opnet.solvers.ode.control import PID
from opnet.solvers.ode.events import Event
from opnet.solvers.ode.fields import Field, Function, VectorField
from opnet.solvers.ode.integrate import Integration
from opnet.solvers.ode.joint import Ending
from opnet.solvers.ode.layout import Layout, State
from opnet.solvers.ode.methods.explicit import Dopri5
from opnet.solvers.ode.methods.torchdiffeq import TorchDiffEq
from opnet.solvers.ode.observer import Observer
from opnet.solvers.ode.problem import Problem
from opnet.solvers.ode.solution import Dense, ODESolution
from opnet.solvers.ode.stepper import Method, Stepper


def solve_ode(
    f: VectorField | Function,
    y0: State,
    ts: Tensor,
    method: Method | None = None,
    *,
    rtol: float = 1e-5,
    atol: float = 1e-7,
    step: float | None = None,
    control: PID | None = None,
    adjoint: Adjoint | None = None,
    events: Sequence[Event] = (),
    dense: bool = False,
    compiled: bool = False,
    max_steps: int = 20_000,
    throw: bool = True,
) -> ODESolution:
    """Solve `y'(t) = f(t, y)`, `y(ts[0]) = y0`, and give y at `ts`.

    Args:
        f: the vector field: a function of (t, y) giving a derivative of the form of y, or a value that says more of
            it: `Field` (Jacobian, sparsity, mass matrix, parameters with one row an element), `Split`, `Semilinear`,
            `Separable`, `SDE`. t broadcasts against y: it has no dimensions under joint control or for a state without
            a batch, and is (batch or 1, 1, ..., 1) otherwise.
        y0: the start: a floating tensor, or a tuple or dict of them. Where all have the same leading dimension, and
            some another behind it, it is the batch: independent samples, each with steps and a status of its own.
            Any other state is one element.
        ts: times, (time,), or (batch, time) for times of each element's own; strictly increasing or decreasing, in the
            unit of time that f implies.
        method: `Dopri5()` by default.
        rtol, atol: tolerances of the local error, for adaptive methods.
        step: the longest step (each interval of `ts` is cut into equal steps no longer than this; one step an interval
            by default) for methods of equal steps; the first step to try for adaptive ones.
        control: how steps are chosen, `PID()` by default; `PID(joint=True)` for one step for the batch, which a state
            whose leading dimension is no batch needs, and which costs less where elements are alike.
        adjoint: how to differentiate; `Direct()` by default, which costs nothing where no gradient is wanted.
        events: what to look out for; see `Event`.
        dense: keep the continuous solution, `ODESolution.dense`.
        compiled: run the whole loop compiled, without gradients (explicit Runge-Kutta methods; `Rodas4` and `Rodas5P`
            for at most 8 entries an element; f must be traceable by `torch.compile`): seconds to half a minute for the
            first call of each f, shape and method, several times faster from then on.
        max_steps: steps tried at most, by each element.
        throw: raise on failure; else look at `ODESolution.status`: elements that failed are NaN from there on, and the
            others were carried to the end.

    Raises:
        ValueError: for times that are not monotone, a dtype that is not floating, an f that returns another form or
            dtype or changes y in place, elements that depend on each other without joint control, tolerances and steps
            out of range, and a method that does not fit f.
        SolveError: naming the batch element and the time reached, for a NaN or Inf in y0, f or y, a step below what the
            precision resolves (as at a singularity), or the step limit. A method of equal steps can only report what it
            evaluates: it may step across a pole between two of its stages.

    >>> import torch
    >>> ts = torch.tensor([0.0, 1.0], dtype=torch.float64)
    >>> sol = solve_ode(lambda t, y: -y, torch.ones(1, dtype=torch.float64), ts, rtol=1e-8, atol=1e-10)
    >>> abs(float(sol.ys[-1]) - 0.36787944117) < 1e-8
    True
    >>> solve_ode(lambda t, y: y**2, torch.ones(1, dtype=torch.float64), 2 * ts)
    Traceback (most recent call last):
    opnet.core.errors.SolveError: solve_ode: the step size fell below ... (batch element 0 of 1 at t = 1)

    Chaos: two solutions of Lorenz' equations (1963), started 1e-9 apart, part exponentially; the largest Lyapunov
    exponent is 0.9 (Sprott 2003, Chaos and Time-Series Analysis: 0.9056). With one step for both, their
    errors are alike and do not count:

    >>> def lorenz(t, y):
    ...     a, b, c = y.unbind(-1)
    ...     return torch.stack([10 * (b - a), a * (28 - c) - b, a * b - 8 / 3 * c], -1)
    >>> start = torch.tensor([[1.0, 1.0, 20.0], [1.0, 1.0, 20.0 + 1e-9]], dtype=torch.float64)
    >>> ts = torch.linspace(0, 20, 201, dtype=torch.float64)
    >>> sol = solve_ode(lorenz, start, ts, rtol=1e-7, control=PID(joint=True))
    >>> gap = (sol.ys[:, 1] - sol.ys[:, 0]).norm(dim=1).log()[:, None]
    >>> rate = torch.linalg.lstsq(torch.stack([ts, torch.ones_like(ts)], 1), gap).solution[0]
    >>> round(float(rate), 1)
    0.9

    Stiffness: Robertson's reactions (Hairer, Wanner II, section IV.1, eq. 1.4), whose rates differ by a factor of
    1e9, to t = 4e5 in some hundred steps of an implicit method:

    >>> from opnet.solvers.ode.methods.rosenbrock import Rodas5P
    >>> def robertson(t, y):
    ...     a, b, c = y.unbind(-1)
    ...     slow, fast, back = 0.04 * a, 3e7 * b**2, 1e4 * b * c
    ...     return torch.stack([back - slow, slow - back - fast, fast], -1)
    >>> start, ts = torch.tensor([1.0, 0, 0]).double(), torch.tensor([0, 40, 4e5]).double()
    >>> sol = solve_ode(robertson, start, ts, Rodas5P(), rtol=1e-6, atol=1e-10)
    >>> sol.ys[1:, 0].round(decimals=5), bool(sol.steps < 200)
    (tensor([0.7158, 0.0049], dtype=torch.float64), True)

    For one where events end elements, see `Event`.
    """
    method = Dopri5() if method is None else method
    expect("method", method, Method, "a stepper such as Dopri5()")
    control = PID() if control is None else control
    expect("control", control, PID, "PID()")
    adjoint = Direct() if adjoint is None else adjoint
    expect("adjoint", adjoint, Adjoint, "an adjoint such as Direct()")
    for name, value in (("rtol", rtol), ("atol", atol), ("max_steps", max_steps)):
        expect(name, value, (int, float), "a number")
    if not (rtol >= 0 and atol >= 0 and rtol + atol > 0):
        raise ValueError(f"rtol, atol: expected non-negative tolerances, not both zero, found {rtol} and {atol}")
    if step is not None and not (step > 0 and isfinite(step)):
        raise ValueError(f"step: expected a positive number, found {step}")
    if max_steps < 1:
        raise ValueError(f"max_steps: expected at least 1, found {max_steps}")
    layout = Layout.of(y0)
    times = _times(ts, layout.rows(y0).shape[0] if layout.batched else None)
    field = f if isinstance(f, VectorField) else Field(f)
    if isinstance(method, TorchDiffEq):
        if len(times) > 1 or events or dense or compiled or not isinstance(adjoint, Direct) or adjoint.estimates:
            raise ValueError("method: TorchDiffEq expects shared times, Direct(), and no events, dense or compiled")
        problem = Problem(field, y0, joint=True, rtol=rtol, atol=atol, keep=False, estimates=False)
        ys, members = method.integrate(problem, times[0], step, max_steps)
        solution = ODESolution(layout.state(ys), ts, members.status, members.reached, None, None, problem.evaluations)
    else:
        assert isinstance(method, Stepper)
        if events and not isinstance(adjoint, Direct):
            raise ValueError(f"events: expected adjoint=Direct(), found {type(adjoint).__name__}(...)")
        integration = Integration(
            field, method, control, rtol, atol, step, max_steps, dense, adjoint.estimates, events=events
        )
        if compiled and times.shape[1] > 1:
            if events or dense or not isinstance(adjoint, Direct) or adjoint.estimates:
                raise ValueError("compiled: expected Direct(), and no events, dense or estimates")
            solution = _plain(ts, *run_compiled(integration, y0, times))
        else:
            solution = _solution(ts, *adjoint.solve(integration, y0, times))
    if throw:
        raise_for_status("solve_ode", solution.status, solution.reached)
    return solution


def _solution(ts: Tensor, ys: Tensor, problem: Problem, observer: Observer, ending: Ending) -> ODESolution:
    dense = observer.dense
    return ODESolution(
        ys=problem.layout.state(ys),
        ts=ts,
        status=ending.status,
        reached=ending.reached,
        steps=ending.steps,
        rejected=ending.rejected,
        evaluations=problem.evaluations,
        dense=None if dense is None else Dense(problem, ts if ts.ndim == 2 else ts[None], dense),
        estimates=None if observer.log is None else observer.log.stack(problem.y0),
        events=() if observer.watch is None else observer.watch.occurrences(),
    )


def _plain(ts: Tensor, ys: Tensor, problem: Problem, ending: Ending) -> ODESolution:
    return ODESolution(
        problem.layout.state(ys), ts, ending.status, ending.reached, ending.steps, ending.rejected, problem.evaluations
    )


def _times(ts: Tensor, batch: int | None) -> Tensor:
    """ts as (1, time), or (batch, time)."""
    expect("ts", ts, Tensor, "a floating Tensor of shape (time,)")
    forms = "(time,)" if batch is None else f"(time,) or ({batch}, time)"
    shared = ts.ndim == 1
    if not (shared or (ts.ndim == 2 and ts.shape[0] == batch)) or ts.numel() == 0 or not ts.dtype.is_floating_point:
        raise ValueError(f"ts: expected a floating tensor of shape {forms}, found {ts.dtype} of {tuple(ts.shape)}")
    times = (ts[None] if shared else ts).to(torch.float64)
    gaps = times.detach().diff()
    if not bool(times.isfinite().all()) or not bool((gaps > 0).all() | (gaps < 0).all()):
        raise ValueError(f"ts: expected finite, strictly increasing or decreasing times, found {_short(ts)}")
    return times


def _short(ts: Tensor) -> str:
    times = ts.detach().reshape(-1, ts.shape[-1])[0].tolist()
    return ", ".join(f"{t:g}" for t in times[:6]) + (", ..." if len(times) > 6 or ts.ndim > 1 else "")
