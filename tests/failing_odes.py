"""Ordinary differential equations that must fail, and what is wrong with how a method takes them.

Each is posed alone, and for one element of a batch of three whose others are y' = -y. A method is at fault if

- the failure has no status, or one that is not that of its kind, names another element, or a time outside the interval
  in which it must be noticed;
- `throw=True` does not raise the same as a `SolveError`;
- values up to the time reached are not finite, or values beyond it are;
- a healthy element of the batch does not end as it does in good company: at the same values, to rounding where elements
  have steps of their own or equal ones, to the accuracy of the solution where one step serves the batch;
- another exception comes out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, nan
from typing import Any

import torch
from ode_forms import form_name, is_adaptive, solve
from torch import Tensor

from opnet.core.errors import SolveError
from opnet.core.status import Status
from opnet.solvers.ode.control import PID
from opnet.solvers.ode.methods.esdirk import DiagonallyImplicit
from opnet.solvers.ode.methods.rosenbrock import Rosenbrock
from opnet.solvers.ode.methods.torchdiffeq import TorchDiffEq
from opnet.solvers.ode.stepper import Method

BAD = 1  # the element of a batch that is
TIMES = 5


@dataclass(frozen=True)
class Failing:
    """y' = f(t, y), which must fail.

    Attributes:
        f: of (xp, t, y), with the functions of xp: torch, numpy or jax.numpy.
        y0: the start.
        span: first and last time.
        seen: when the failure must be noticed at the earliest and the latest, by a method that chooses its steps.
        late: when at the latest by one of equal steps, which sees no singularity between two stages.
    """

    f: Callable[[Any, Any, Any], Any]
    y0: float
    span: tuple[float, float]
    seen: tuple[float, float]
    late: float


def _after(value: float) -> Callable[[Any, Any, Any], Any]:
    return lambda xp, t, y: xp.where(t > 0.5, xp.full_like(y, value), -y)


SPACING = "step below float spacing"
# Steps of 1/64 meet t = 0.5, and t = 1 of the first.
STEP = 1 / 64
PROBLEMS = {
    "blow-up": Failing(lambda xp, t, y: y**2, 1.0, (0, 2), (0.99, 1.001), 1.7),
    "NaN after t = 0.5": Failing(_after(nan), 1.0, (0, 1), (0.499, 0.5), 0.52),
    "Inf after t = 0.5": Failing(_after(inf), 1.0, (0, 1), (0.499, 0.5), 0.52),
    "NaN at t0": Failing(lambda xp, t, y: xp.where(t <= 0, xp.full_like(y, nan), -y), 1.0, (0, 1), (0, 0), 0),
    "NaN y0": Failing(lambda xp, t, y: -y, nan, (0, 1), (0, 0), 0),
    "Inf y0": Failing(lambda xp, t, y: -y, inf, (0, 1), (0, 0), 0),
    "root of a negative": Failing(lambda xp, t, y: -1 - xp.sqrt(y), 1.0, (0, 2), (0.6, 0.62), 0.7),
    "pole": Failing(lambda xp, t, y: 1 / (t - 0.5) + 0 * y, 1.0, (0, 1), (0.499, 0.5), 0.52),
    SPACING: Failing(lambda xp, t, y: -y, 1.0, (1e17, 1e17 + 64), (1e17, 1e17), 1e17),
    "overflow of exp": Failing(lambda xp, t, y: xp.exp(y), 1.0, (0, 1), (0.36, 0.37), 0.8),
}
MEMBER = "one bad element"  # the eleventh: each of these in a batch
CONTROL = "stiff control"
STIFF = Failing(lambda xp, t, y: -1e6 * (y - xp.cos(t)), 0.0, (0, 1), (0, 1), 1)  # to be solved, or to fail as above
STIFF_STEP = 1 / 256  # large enough for an unstable method to overflow


def unseen(method: Method, name: str) -> str | None:
    """Why a method need not see a failure; None if it must."""
    if isinstance(method, Rosenbrock) and not method.adaptive and name in ("blow-up", "overflow of exp"):
        return "a linearly implicit step leads across a pole of the solution at finite values"
    return None


def not_posed(method: Method, name: str, joint: bool, backward: bool, in_batch: bool) -> str | None:
    """Why a problem cannot be posed to a method; None if it can."""
    if backward and form_name(method) == "SDE":
        return "a stochastic equation runs forward in time"
    if in_batch and method == TorchDiffEq():
        return "torchdiffeq's adaptive methods fail as a whole batch"
    if in_batch and name == SPACING and (joint or isinstance(method, TorchDiffEq)):
        return "one step for the batch means one set of times"
    return None


def options_of(method: Method, joint: bool) -> dict[str, Any]:
    """How to solve."""
    step = None if is_adaptive(method) else STEP
    rtol = 1e-3 if method.order <= 2 else 1e-5  # what a method of its order takes some hundred steps for
    return {"step": step, "control": PID(joint=joint), "rtol": rtol, "atol": rtol / 100, "max_steps": 2000}


def fault_alone(method: Method, name: str, dtype: torch.dtype, joint: bool, backward: bool) -> str | None:
    """What is wrong with how a method takes a failing problem by itself; None if nothing is."""
    problem, options = PROBLEMS[name], options_of(method, joint)
    f, ts = direct(problem, backward), times(problem.span, backward)
    y0 = torch.full((2,), problem.y0, dtype=dtype)

    def run(throw: bool) -> Any:
        return solve(method, f, y0, ts, throw=throw, **options)

    return _fault(problem, run, 0, 1, method, backward, ts)


def fault_in_batch(method: Method, name: str, dtype: torch.dtype, joint: bool, backward: bool) -> str | None:
    """What is wrong with how a method takes a batch in which one element fails; None if nothing is."""
    problem, options = PROBLEMS[name], options_of(method, joint)
    bad = torch.zeros(3, 1, dtype=dtype)
    y0 = torch.tensor([[1.0, 0.5], [problem.y0, problem.y0], [-0.7, 2.0]], dtype=dtype)
    fine = y0.clone()
    fine[BAD] = 1.0
    f, ts = beside_healthy(problem.f, backward), times(problem.span, backward)
    clean_ts = ts
    if name == SPACING:  # the others need times of their own
        options["step"] = None if is_adaptive(method) else 1.0
        clean_ts, ts = (times((0, 1), backward).repeat(3, 1) for _ in range(2))
        clean_ts[BAD] = times((0, 1 if is_adaptive(method) else 64), backward)
        ts[BAD] = times(problem.span, backward)
    flags = bad.clone()
    flags[BAD] = 1

    def run(throw: bool) -> Any:
        return solve(method, f, y0, ts, args=(flags,), throw=throw, **options)

    if found := _fault(problem, run, BAD, 3, method, backward, ts[BAD] if ts.ndim > 1 else ts):
        return found
    solution, ys = run(False)
    clean, expected = solve(method, f, fine, clean_ts, args=(bad,), **options)
    healthy = [0, 2]
    if solution.status[healthy].any():
        return f"healthy elements harmed: {solution.status.tolist()}"
    if not torch.equal(solution.reached[healthy], clean.reached[healthy]):
        return f"healthy elements reached {solution.reached.tolist()}"
    together = is_adaptive(method) and (joint or isinstance(method, TorchDiffEq))
    rtol = 10 * options["rtol"] if together else 1e-12 if dtype == torch.float64 else 1e-5
    difference = (ys - expected)[:, healthy].abs().max() / expected[:, healthy].abs().max()
    return None if difference <= rtol else f"healthy elements changed by {float(difference):.1e}"


def fault_of_control(method: Method, dtype: torch.dtype, joint: bool, backward: bool) -> str | None:
    """What is wrong with how a method takes the stiff problem, which it may solve or refuse."""
    options = options_of(method, joint)
    if not is_adaptive(method):
        options["step"] = STIFF_STEP
    ts = times(STIFF.span, backward)
    y0 = torch.full((2,), STIFF.y0, dtype=dtype)
    solution, ys = solve(method, direct(STIFF, backward), y0, ts, throw=False, **options)
    if Status(int(solution.status)).ok:
        errors = (ys[1:] - torch.cos(ts[1:, None])).abs().amax(1)
        if errors[-1] < 1e-3 and errors.max() < 5e-3:  # within a step no estimate controls the error
            return None
        return f"{Status(int(solution.status)).name} with errors of {errors.tolist()}"
    return _consistent(solution, ys[:, None], 0, ts)


def times(span: tuple[float, float], backward: bool) -> Tensor:
    ts = torch.linspace(*span, TIMES, dtype=torch.float64)
    return -ts if backward else ts


def direct(problem: Failing, backward: bool) -> Callable[..., Tensor]:
    """f, or the same in -t."""
    return (lambda t, y: -problem.f(torch, -t, y)) if backward else (lambda t, y: problem.f(torch, t, y))


def beside_healthy(f: Callable[[Any, Any, Any], Any], backward: bool) -> Callable[..., Tensor]:
    """y' = f(t, y) for elements with a flag, y' = -y for the others, at which f is not looked."""
    sign = -1 if backward else 1

    def mixed(t: Tensor, y: Tensor, flag: Tensor) -> Tensor:
        bad = flag > 0
        own = f(torch, torch.where(bad, sign * t, 0.25), torch.where(bad, y, 1.0))
        return sign * torch.where(bad, own, -y)

    return mixed


def _fault(
    problem: Failing, run: Callable[[bool], Any], index: int, count: int, method: Method, backward: bool, ts: Tensor
) -> str | None:
    try:
        solution, ys = run(False)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    status = Status(int(solution.status[index]))
    if status not in kinds(method):
        return f"{status.name}"
    reached = float(solution.reached[index]) * (-1 if backward else 1)
    least, latest = window(problem, method)
    latest += torch.finfo(ys.dtype).eps * abs(latest)  # f sees times rounded to the precision of y
    if not least <= reached <= latest:
        return f"{status.name} at t = {reached:g}, which is not between {least:g} and {latest:g}"
    if count > 1:  # where the index says something
        try:
            run(True)
        except SolveError as error:
            if (error.status, error.index, error.time) != (status, index, float(solution.reached[index])):
                return f"{status.name} of {index} at {float(solution.reached[index])}, but raised {error}"
        else:
            return "not raised"
    return _consistent(solution, ys if count > 1 else ys[:, None], index, ts)


def kinds(method: Method) -> set[Status]:
    """What a failure may be called."""
    found = {Status.NON_FINITE, Status.STEP_UNDERFLOW}
    if isinstance(method, DiagonallyImplicit) and not method.adaptive:
        found.add(Status.MAX_ITERATIONS)  # of the stage equations: no smaller step can be tried
    if is_adaptive(method) and form_name(method) == "SDE":
        found.add(Status.MAX_STEPS)  # its steps shrink slowly
    return found


def window(problem: Failing, method: Method) -> tuple[float, float]:
    """Between which times a method must notice the failure."""
    (least, latest), span = problem.seen, problem.span
    if isinstance(method, TorchDiffEq):  # knows the time to an interval of ts, or a stage
        gap = (span[1] - span[0]) / (TIMES - 1)
        return (span[0], span[0]) if least == span[0] else (max(span[0], least - gap), problem.late + gap)
    if is_adaptive(method):
        return (least, latest) if form_name(method) != "SDE" else (span[0], latest + 0.02)
    return (min(least, span[0] + 0.75 * (least - span[0])), problem.late)


def _consistent(solution: Any, ys: Tensor, index: int, ts: Tensor) -> str | None:
    """Whether values are finite up to the time reached, and nowhere else."""
    sign = -1 if ts[-1] < ts[0] else 1
    passed = sign * ts[1:] <= sign * solution.reached[index]
    if solution.steps is None and ys[1:, index].isnan().all():  # torchdiffeq's adaptive methods give nothing then
        return None
    if torch.equal(ys[1:, index].isfinite().all(-1), passed) and torch.equal(ys[1:, index].isnan().all(-1), ~passed):
        return None
    return f"values up to t = {float(solution.reached[index]):g} and no further: {ys[:, index].tolist()}"
