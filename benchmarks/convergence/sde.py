"""Strong orders of the stochastic methods, by regression with bootstrap intervals over paths, beside theory.

    python benchmarks/convergence/sde.py --quick --out sde.json

Two equations of Ito with exact solutions on each path, diagonal noise, t = 0 to 1, float64:

- geometric Brownian motion, dX = 3/2 X dt + X dW, X(0) = 1/2: X = 1/2 exp(t + W);
- arc tangent, dX = -sin X cos^3 X dt + cos^2 X dW, X(0) = 1/5: X = arctan(W + tan 1/5), whose coefficients are bounded
  with their derivatives, as theory asks (Kloeden and Platen, Numerical Solution of Stochastic Differential Equations,
  section 4.4);

and dX = 2 cos(3 X) dt + dW, X(0) = 1, with additive noise, against the same path at far smaller steps. (A linear drift
would show a higher order than theory promises.)

`order` is the least-squares slope of the log of the mean error along a path against the log of the step. Its interval
is the 95 % percentile interval over resampled paths, the same paths at all steps. Exit status 1 where the interval, or
the order itself, is further than .2 from the strong order.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from opnet.evaluation.records import Record, record, write_results
from opnet.solvers.ode.brownian import BrownianPath
from opnet.solvers.ode.fields import SDE
from opnet.solvers.ode.methods.stochastic import SRIW1, EulerMaruyama, Milstein, Stochastic
from opnet.solvers.ode.solve import solve_ode
from opnet.spaces.streams import stream

SEED, TOLERANCE, RESAMPLES = 0, 0.2, 2000
SIZES = [16, 32, 64, 128]
BOOTSTRAP = 0x736465  # tells the resampling stream from others
FINEST = 8  # how many times smaller than the smallest step those of the reference for additive noise are

# case: the equation, its start, its solution of W(1) where there is one
CASES: dict[str, tuple[SDE, float, Callable[[Tensor], Tensor] | None]] = {
    "geometric": (
        SDE(lambda t, y: 1.5 * y, lambda t, y: y, seed=SEED),
        0.5,
        lambda W: 0.5 * torch.exp(1 + W),
    ),
    "arc tangent": (
        SDE(lambda t, y: -torch.sin(y) * torch.cos(y) ** 3, lambda t, y: torch.cos(y) ** 2, seed=SEED),
        0.2,
        lambda W: torch.atan(W + math.tan(0.2)),
    ),
    "additive": (
        SDE(lambda t, y: 2 * torch.cos(3 * y), lambda t, y: torch.ones_like(y), noise="additive", seed=SEED),
        1.0,
        None,
    ),
}
METHODS: dict[str, Stochastic] = {
    "EulerMaruyama": EulerMaruyama(),
    "Milstein": Milstein(),
    "SRIW1": SRIW1(adaptive=False),
}
ADDITIVE = {"EulerMaruyama": 1.0, "Milstein": 1.0, "SRIW1": 1.5}


def end(sde: SDE, start: float, method: Stochastic, steps: int, paths: int) -> Tensor:
    y0 = torch.full((paths, 1), start, dtype=torch.float64)
    return solve_ode(sde, y0, torch.tensor([0.0, 1.0], dtype=torch.float64), method, step=1 / steps).ys[-1, :, 0]


def slope(sizes: list[int], errors: np.ndarray) -> np.ndarray:
    """Order of errors (..., size) at 1 / size."""
    x = -np.log(sizes)
    x = x - x.mean()
    return np.log(errors) @ x / (x @ x)


def study(case: str, paths: int) -> tuple[list[Record], bool]:
    sde, start, solution = CASES[case]
    if solution is None:
        exact = end(sde, start, METHODS["SRIW1"], SIZES[-1] * FINEST, paths)
    else:
        exact = solution(BrownianPath(SEED, paths, 1)(1.0))[:, 0]
    records, fine = [], True
    for name, method in METHODS.items():
        expected = ADDITIVE[name] if sde.noise == "additive" else method.order
        errors = torch.stack([(end(sde, start, method, n, paths) - exact).abs() for n in SIZES], 1).numpy()
        draws = stream(SEED, BOOTSTRAP, paths)
        resampled = [errors[draws.integers(paths, size=paths)].mean(0) for _ in range(RESAMPLES)]
        low, high = np.quantile(slope(SIZES, np.array(resampled)), [0.025, 0.975])
        order = float(slope(SIZES, errors.mean(0)))
        good = abs(order - expected) <= TOLERANCE and low - TOLERANCE <= expected <= high + TOLERANCE
        fine &= good
        labels = {"expected": expected, "tolerance": TOLERANCE, "model": name, "case": case, "of": paths}
        records.append(record("order", order, low=float(low), high=float(high), **labels))
        for n, error in zip(SIZES, errors.mean(0), strict=True):
            records.append(record("mean_error", float(error), model=name, case=case, n=n, of=paths))
        verdict = "agrees" if good else "MISSED"
        print(f"{case:20s} {name:14s} {order:.3f} [{low:.3f}, {high:.3f}]  theory {expected}  {verdict}", flush=True)
    return records, fine


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="1000 paths instead of 4000")
    parser.add_argument("--out", type=Path, help="results file (JSON)")
    arguments = parser.parse_args()
    paths = 1000 if arguments.quick else 4000
    records, fine = [], True
    for case in CASES:
        found, kept = study(case, paths)
        records, fine = records + found, fine and kept
    if arguments.out:
        write_results(arguments.out, records, seed=SEED)
    return int(not fine)


if __name__ == "__main__":
    sys.exit(main())
