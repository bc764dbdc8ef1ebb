"""Observed order of every registered stepper on smooth problems, at the end and between steps, by equal steps.

    python benchmarks/convergence/ode.py --quick --out ode.json

Every method is measured on the most general field it takes: a pendulum that is driven and damped in time, so that
nothing cancels, as it is, split, semilinear, or (for a state of place and momentum) separable; forward and backward in
time. Errors are root mean squares over a batch of random starts, other ones for each seed, and over times: ends of
steps that all step sizes share ("steps"), and many between them ("dense"). A continuous extension of order d has a
local error of order d + 1, so that order min(p, d + 1) is expected of it beside a method of order p. The reference is
SciPy's DOP853 at the limit of its precision; errors below 1e-12 are rounding and left out. Orders of stochastic methods
are measured elsewhere, over paths. The drive is one for which the methods of orders 5 and 8, whose leading error terms
are small by design, are asymptotic before rounding is reached.

Exit status 1 where an order misses its value by more than .2.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

import opnet  # noqa: F401  (registers all steppers)
from opnet.core.registry import lookup, names
from opnet.evaluation.convergence import measure_convergence
from opnet.evaluation.records import Record, record, write_results
from opnet.linops.dense import Dense
from opnet.solvers.ode.fields import SDE, Field, Semilinear, Separable, Split, VectorField
from opnet.solvers.ode.solve import solve_ode
from opnet.solvers.ode.stepper import Method, Stepper

SPAN, STARTS = 6.0, 8
ENDS = np.linspace(0, 1, 7) * SPAN
BETWEEN = np.linspace(0.01, 0.99, 200) * SPAN
ROUNDING, TOLERANCE = 1e-12, 0.2
SEEDS, QUICK_SEEDS = range(3), range(1)
# Numbers of steps by order, multiples of the number of ends: asymptotic, and above rounding.
SIZES = {
    1: (1920, 3840, 7680),
    2: (240, 480, 960, 1920),
    3: (120, 240, 480, 960),
    4: (120, 240, 480, 960),
    5: (318, 420, 480, 636),
    6: (72, 108, 156, 240),
    8: (30, 36, 48, 60),
}


def drive(t: Tensor, v: Tensor) -> Tensor:
    return torch.cos(2 * t + 0.5) * (1 + 0.5 * v)


def pendulum(t: Tensor, y: Tensor) -> Tensor:
    u, v = y[..., :1], y[..., 1:]
    return torch.cat([v, -4 * torch.sin(u) + drive(t, v)], -1)


def swing(t: Tensor, y: Tensor) -> Tensor:
    return torch.cat([y[..., 1:], -4 * torch.sin(y[..., :1])], -1)


def push(t: Tensor, y: Tensor) -> Tensor:
    return torch.cat([torch.zeros_like(y[..., :1]), drive(t, y[..., 1:])], -1)


def remainder(t: Tensor, y: Tensor) -> Tensor:
    u, v = y[..., :1], y[..., 1:]
    return torch.cat([torch.zeros_like(u), 4 * (u - torch.sin(u)) + drive(t, v)], -1)


def velocity(t: Tensor, p: Tensor) -> Tensor:
    return p * (1 + 0.3 * torch.cos(2 * t))


def force(t: Tensor, q: Tensor) -> Tensor:
    return -4 * torch.sin(q) + torch.cos(3 * t)


def of_pair(t: Tensor, y: Tensor) -> Tensor:
    return torch.cat([velocity(t, y[..., 1:]), force(t, y[..., :1])], -1)


@dataclass(frozen=True)
class Case:
    """A field, and the same as one function of states (batch, 2)."""

    field: VectorField
    whole: Callable[[Tensor, Tensor], Tensor]

    def state(self, y: Tensor) -> Any:
        """(batch, 2) in the form that the field takes."""
        return (y[:, :1], y[:, 1:]) if isinstance(self.field, Separable) else y


CASES = {
    "plain": Case(Field(pendulum), pendulum),
    "split": Case(Split(push, swing), pendulum),
    "semilinear": Case(Semilinear(Dense(torch.tensor([[0.0, 1.0], [-4.0, 0.0]]).double()), remainder), pendulum),
    "separable": Case(Separable(velocity, force), of_pair),
}


def methods() -> Iterator[tuple[str, Method]]:
    """Every registered stepper in the form that takes equal steps."""
    for name in names("stepper"):
        cls = lookup("stepper", name)
        if name == "TorchDiffEq":
            for scheme in ("euler", "midpoint", "heun2", "heun3", "rk4"):
                yield f"TorchDiffEq {scheme}", cls(scheme)
        else:
            yield name, cls(adaptive=False) if "adaptive" in {field.name for field in fields(cls)} else cls()


def case_of(method: Method) -> str | None:
    """The first case whose structure the method takes; None for methods of stochastic equations."""
    for name, case in CASES.items():
        y0, ts = starts(0), torch.tensor([0.0, 0.1], dtype=torch.float64)
        try:
            solve_ode(case.field, case.state(y0), ts, method)
            return name
        except ValueError as error:
            if "needs the structure of" not in str(error):
                raise
            if f"structure of {SDE.__name__}(" in str(error):
                return None
    raise ValueError(f"expected a case for {method}, found {', '.join(CASES)}")


@cache
def starts(seed: int) -> Tensor:
    """(batch, 2)."""
    return torch.rand(STARTS, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.5


@cache
def reference(case: str, seed: int, backward: bool) -> np.ndarray:
    """(time, batch, 2) at all ends and times between, ascending."""

    def f(t: float, y: np.ndarray) -> np.ndarray:
        return CASES[case].whole(torch.tensor(t, dtype=torch.float64), torch.from_numpy(y)).numpy()

    span = (SPAN, 0.0) if backward else (0.0, SPAN)
    times = np.sort(np.append(ENDS, BETWEEN))
    options = {"t_eval": times[::-1] if backward else times, "rtol": 3e-14, "atol": 1e-15, "max_step": 0.02}
    values = np.stack([solve_ivp(f, span, y0.numpy(), "DOP853", **options).y.T for y0 in starts(seed)], 1)
    return values[::-1] if backward else values


def errors(method: Method, case: str, backward: bool, steps: int, seed: int) -> dict[str, float]:
    """At ends of steps, and between them if the method has a continuous extension."""
    problem, times = CASES[case], np.sort(np.append(ENDS, BETWEEN))
    ts = torch.from_numpy(ENDS[::-1].copy() if backward else ENDS)
    dense = isinstance(method, Stepper) and method.dense_order > 0
    solution = solve_ode(problem.field, problem.state(starts(seed)), ts, method, step=SPAN / steps, dense=dense)

    def error(state: Any, ts: Any) -> float:
        values = torch.cat(state, -1) if isinstance(state, tuple) else state
        wanted = reference(case, seed, backward)[np.searchsorted(times, ts)]
        return float(np.sqrt(np.square(values.numpy() - wanted).mean()))

    found = {"steps": error(solution.ys, ts.numpy())}
    if solution.dense is not None:
        found["dense"] = error(solution.dense(torch.from_numpy(BETWEEN)), BETWEEN)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one seed instead of three")
    parser.add_argument("--out", type=Path, help="results file (JSON)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[Record] = []
    missed, count, begin = 0, 0, time.perf_counter()
    for name, method in methods():
        case = case_of(method)
        if case is None:
            print(f"{name}: stochastic, left out", flush=True)
            continue
        order = round(method.order)
        expected = {"steps": -method.order}
        if isinstance(method, Stepper):
            expected["dense"] = -min(method.order, method.dense_order + 1)
        for backward in (False, True):
            study = measure_convergence(
                partial(errors, method, case, backward),
                SIZES[order],
                QUICK_SEEDS if arguments.quick else SEEDS,
                expected,
                tolerance=TOLERANCE,
                rounding=ROUNDING,
            )
            label = f"{name}, {'backward' if backward else 'forward'}"
            for part, curve in study.curves.items():
                count += 1
                good = bool(curve.agrees) and not curve.exact
                missed += not good
                local = " ".join(f"{slope:.2f}" for slope in curve.local_orders)
                verdict = "" if good else f"  MISSED {expected[part]:g}"
                print(f"{label}, {part}: {curve.order:.3f}, locally {local}{verdict}", flush=True)
            rows += study.records(case=label, problem=case)
    print(f"{missed} of {count} orders missed ({time.perf_counter() - begin:.0f} s)")
    rows.append(record("failures", missed, test="ode_order", of=count))
    if arguments.out:
        write_results(arguments.out, rows, seed=0)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
