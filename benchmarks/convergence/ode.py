"""Observed order of every registered stepper on smooth problems, at the end and between steps, by equal steps.

    python benchmarks/convergence/ode.py --quick --out ode.json

Each method is measured on the most general field it takes, from 16 random starts, forward and backward in time, on
three problems chosen by what they are: nonlinear and autonomous (van der Pol's equation), non-autonomous (a driven,
damped pendulum), oscillatory (a fast, damped rotation with a nonlinear part). Fields are given as they are, split (a
share of each component in either part), or semilinear; for a state of place and momentum, the problems are separable
ones of the same three kinds. An error is the root mean square over starts and over times: ends of steps that all step
sizes share ("steps"), or many times between them ("dense"). A continuous extension of order d has a local error of
order d + 1, so that order min(p, d + 1) is expected of it beside a method of order p. The reference is SciPy's DOP853
at the limit of its precision: other steps change it by at most 4e-13.

The rule: numbers of steps grow by factors near the square root of 2, up to `LIMITS`; errors between 1e-11, where
rounding and reference are below some per cent, and 1e-1 are kept; `slope` is that between the finest two. `order` is
the median of the six slopes of a method (three problems, two directions; three slopes with --quick), and `low` and
`high` are the least and greatest: of six independent slopes they enclose the median of their distribution with
probability .97. Fewer than two errors to keep, on any problem, are a miss. All errors kept are recorded.

What was seen before the rule was set: the separable problems were tried for all methods first. They are not damped, and
the leading error of a method of even order then changes little but the phase, while energy drifts at the next order and
shifts the phase ever faster: DOP853 showed 8.4 over 4 units of time and 9.4 over 32. Hence damped problems for all but
the symplectic methods (two others of them blew up backward in time). Tsit5 and DOP853, whose leading errors are small
by design, come near their orders only just above rounding: by least squares over the finest three errors instead of
two, Tsit5 shows 5.22. Only Euler's method needs errors above 1e-3.

Orders of stochastic methods are measured elsewhere, over paths.

Exit status 1 where an order misses its value by more than .2.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

import opnet  # noqa: F401  (registers all steppers)
from opnet.core.registry import lookup, names
from opnet.evaluation.records import Record, record, write_results
from opnet.linops.dense import Dense
from opnet.solvers.ode.fields import SDE, Field, Semilinear, Separable, Split, VectorField
from opnet.solvers.ode.solve import solve_ode
from opnet.solvers.ode.stepper import Method, Stepper

SPAN, STARTS = 4.0, 16
ENDS, BETWEEN = np.array([0.0, 0.5, 1.0]) * SPAN, np.linspace(0.005, 0.995, 199) * SPAN
TIMES = np.union1d(ENDS, BETWEEN)
FINEST, COARSEST, TOLERANCE = 1e-11, 1e-1, 0.2
SCHEMES = ("euler", "midpoint", "heun2", "heun3", "rk4")
LIMITS = {1: 4096, 2: 512, 3: 256, 4: 256, 5: 512, 6: 512, 8: 512}  # steps, by order: errors are asymptotic before
SHARE = torch.tensor([0.7, 0.4], dtype=torch.float64)  # of each component in the implicit part of a split field


@dataclass(frozen=True)
class Problem:
    """`y' = linear y + rest(t, y)` for y of (batch, 2); and one of its kind for (q, p), each (batch, 1)."""

    linear: tuple[tuple[float, float], tuple[float, float]]
    rest: Callable[[Tensor, Tensor], Tensor]
    velocity: Callable[[Tensor, Tensor], Tensor]
    force: Callable[[Tensor, Tensor], Tensor]

    @property
    def matrix(self) -> Tensor:
        return torch.tensor(self.linear, dtype=torch.float64)

    def whole(self, t: Tensor, y: Tensor) -> Tensor:
        return y @ self.matrix.T + self.rest(t, y)

    def pair(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.cat([self.velocity(t, y[:, 1:]), self.force(t, y[:, :1])], 1)

    def field(self, form: str) -> VectorField:
        if form == "plain":
            return Field(self.whole)
        if form == "split":
            return Split(lambda t, y: (1 - SHARE) * self.whole(t, y), lambda t, y: SHARE * self.whole(t, y))
        if form == "semilinear":
            return Semilinear(Dense(self.matrix), self.rest)
        return Separable(self.velocity, self.force)


def columns(a: Tensor, b: Tensor) -> Tensor:
    return torch.cat([a, b], -1)


def cubic(t: Tensor, y: Tensor) -> Tensor:
    u, v = y.split(1, -1)
    return columns(torch.zeros_like(u), -u * u * v)


def driven(t: Tensor, y: Tensor) -> Tensor:
    u = y[..., :1]
    return columns(torch.zeros_like(u), 4 * (u - torch.sin(u)) + torch.cos(3 * t))


def mixing(t: Tensor, y: Tensor) -> Tensor:
    u, v = y.split(1, -1)
    return columns(torch.sin(u * v), torch.cos(u + v))


FORMS = ("plain", "split", "semilinear", "separable")
PROBLEMS = {
    "nonlinear": Problem(  # van der Pol; Lotka and Volterra in logarithms
        ((0.0, 1.0), (-1.0, 1.0)),
        cubic,
        lambda t, p: 1 - torch.exp(p),
        lambda t, q: torch.exp(q) - 1,
    ),
    "non-autonomous": Problem(
        ((0.0, 1.0), (-4.0, -0.5)),
        driven,
        lambda t, p: p * (1 + 0.3 * torch.cos(2 * t)),
        lambda t, q: -4 * torch.sin(q) + torch.cos(3 * t),
    ),
    "oscillatory": Problem(
        ((-0.2, 4.0), (-4.0, -0.2)),
        mixing,
        lambda t, p: 4 * p / torch.sqrt(1 + p * p / 4),
        lambda t, q: -4 * q - q * q / 2,
    ),
}


def methods() -> Iterator[tuple[str, Method, str]]:
    """Every registered stepper in the form that takes equal steps, and the form of the fields it takes."""
    for name in names("stepper"):
        cls = lookup("stepper", name)
        if name == "TorchDiffEq":
            yield from ((f"TorchDiffEq {scheme}", cls(scheme), "plain") for scheme in SCHEMES)
            continue
        method = cls(adaptive=False) if "adaptive" in {field.name for field in fields(cls)} else cls()
        form = form_of(method)
        if form is None:
            print(f"{name}: stochastic, left out", flush=True)
        else:
            yield name, method, form


def form_of(method: Method) -> str | None:
    """The first form of a field that the method takes; None for methods of stochastic equations."""
    for form in FORMS:
        try:
            solve("nonlinear", form, method, 2, backward=False)
            return form
        except ValueError as error:
            if "needs the structure of" not in str(error):
                raise
            if f"structure of {SDE.__name__}(" in str(error):
                return None
    raise ValueError(f"expected a method of one of the forms {', '.join(FORMS)}, found {method}")


@cache
def starts() -> Tensor:
    """(batch, 2)."""
    return 0.2 + 0.8 * torch.rand(STARTS, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@cache
def reference(name: str, separable: bool, backward: bool) -> np.ndarray:
    """(time, batch, 2) at `TIMES`, from the start at the first time, or at the last."""
    whole = PROBLEMS[name].pair if separable else PROBLEMS[name].whole

    def f(t: float, y: np.ndarray) -> np.ndarray:
        rows = torch.from_numpy(y).reshape(STARTS, 2)
        return whole(torch.tensor(t, dtype=torch.float64), rows).reshape(-1).numpy()

    times = TIMES[::-1] if backward else TIMES
    options = {"t_eval": times, "rtol": 3e-14, "atol": 1e-15, "max_step": 0.02}
    solution = solve_ivp(f, (times[0], times[-1]), starts().reshape(-1).numpy(), "DOP853", **options)
    if not solution.success:
        raise ArithmeticError(f"{name}: {solution.message}")
    values = solution.y.T.reshape(-1, STARTS, 2)
    return values[::-1] if backward else values


def solve(name: str, form: str, method: Method, steps: int, *, backward: bool) -> dict[str, float]:
    """Errors at ends of steps, and between them if the method has a continuous extension; NaN where it fails."""
    y0 = (starts()[:, :1], starts()[:, 1:]) if form == "separable" else starts()
    ends = ENDS[::-1].copy() if backward else ENDS
    dense = isinstance(method, Stepper) and method.dense_order > 0
    solution = solve_ode(
        PROBLEMS[name].field(form), y0, torch.from_numpy(ends), method, step=SPAN / steps, dense=dense, throw=False
    )
    exact = reference(name, form == "separable", backward)

    def error(state: Any, times: np.ndarray) -> float:
        values = torch.cat(state, -1) if isinstance(state, tuple) else state
        wanted = exact[np.searchsorted(TIMES, times)]
        with np.errstate(over="ignore"):  # steps too long for an explicit method
            return float(np.sqrt(np.square(values.numpy() - wanted).mean()))

    found = {"steps": error(solution.ys, ends)}
    if solution.dense is not None:
        found["dense"] = error(solution.dense(torch.from_numpy(BETWEEN)), BETWEEN)
    return found


def curves(name: str, form: str, method: Method, backward: bool) -> dict[str, list[tuple[int, float]]]:
    """By part, number of steps and error, of the errors that are kept."""
    kept: dict[str, list[tuple[int, float]]] = {}
    for half_octave in range(2, 30):
        steps = 2 * round(2 ** (half_octave / 2))
        if steps > LIMITS[round(method.order)]:
            break
        errors = solve(name, form, method, steps, backward=backward)
        for part, error in errors.items():
            rows = kept.setdefault(part, [])
            if FINEST < error < COARSEST:
                rows.append((steps, error))
            elif not error <= FINEST:  # too coarse, and so was what came before; or NaN
                rows.clear()
        if errors["steps"] <= FINEST:
            break
    return kept


def slope(curve: list[tuple[int, float]]) -> float:
    """Order by the finest two errors; NaN of fewer."""
    if len(curve) < 2:
        return math.nan
    steps, errors = np.diff(np.log(curve[-2:]), axis=0)[0]
    return -float(errors / steps)


def study(label: str, method: Method, form: str, directions: tuple[bool, ...]) -> tuple[list[Record], int, int]:
    """Records of one method, how many orders were measured, and how many of them missed."""
    expected = {"steps": float(method.order)}
    if isinstance(method, Stepper) and method.dense_order > 0:
        expected["dense"] = float(min(method.order, method.dense_order + 1))
    found = {(name, back): curves(name, form, method, back) for name in PROBLEMS for back in directions}
    rows, missed = [], 0
    for part, theory in expected.items():
        slopes = []
        for (name, back), parts in found.items():
            labels = {"case": label, "part": part, "problem": name, "mode": "backward" if back else "forward"}
            slopes.append(slope(parts[part]))
            if math.isfinite(slopes[-1]):
                rows.append(record("slope", slopes[-1], **labels))
            rows += [record("error", error, n=steps, **labels) for steps, error in parts[part]]
        order, low, high = (float(f(slopes)) for f in (np.median, np.min, np.max))
        good = abs(order - theory) <= TOLERANCE  # false of NaN, where a slope is
        missed += not good
        if math.isfinite(order):
            rows.append(
                record("order", order, low=low, high=high, expected=theory, tolerance=TOLERANCE, case=label, part=part)
            )
        verdict = "" if good else "  MISSED"
        print(f"{label} ({form}), {part}: {order:.3f} [{low:.2f}, {high:.2f}], theory {theory:g}{verdict}", flush=True)
    return rows, len(expected), missed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="forward in time only")
    parser.add_argument("--out", type=Path, help="results file (JSON)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[Record] = []
    count, missed, begin = 0, 0, time.perf_counter()
    for label, method, form in methods():
        found, orders, failures = study(label, method, form, (False,) if arguments.quick else (False, True))
        rows, count, missed = rows + found, count + orders, missed + failures
    print(f"{missed} of {count} orders missed ({time.perf_counter() - begin:.0f} s)")
    rows.append(record("failures", missed, test="ode_order", of=count))
    if arguments.out:
        write_results(arguments.out, rows, seed=0)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
