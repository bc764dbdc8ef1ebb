"""The computed a-priori bound of the distance between graph neural differential equations and their graphon limit.

    python benchmarks/graphon/bound.py --quick --out bound.json

For random models (widths [2, 4, 2], K = 3, tanh, H = A + B sin 2 pi t), graphons, sizes and seeds: the error observed,
and the three forms of `opnet.evaluation.graphon_bound.a_priori_bound` with their ratios to it. float64. Random features
show the bound of the whole; x0 = 1, which steps represent exactly, that of the operator's part alone. Exit status 1
where observed <= residual form <= bound <= fully a priori fails anywhere, or where the residual form is more than 5
times the error in the cases so marked.
"""

import argparse
import sys
import time

import numpy as np
import torch

from opnet.evaluation.graphon_bound import a_priori_bound
from opnet.evaluation.graphon_study import UntrainedGNDE
from opnet.evaluation.records import record, write_results
from opnet.graphs.fractals.carpet import sierpinski_carpet
from opnet.graphs.fractals.hexaflake import hexaflake
from opnet.graphs.graphons import (
    arithmetic_mean,
    checkerboard,
    exponential_of_powers,
    hoelder_tent,
    hsbm,
    sigmoid_of_squares,
    square_and_root,
    stochastic_block,
    tent,
    weierstrass,
)

CELL, RANDOM = {"regime": "cell"}, {"regime": "random"}
SIZES, ODD, HSBM = [100, 200, 400, 800, 1600], [101, 201, 401, 801, 1601], [225, 417, 833, 1665]
# case: graphon, sizes, options of the sampling, and the size at which the residual form must be within CLOSE
CASES = {
    "tent": (tent(), SIZES, {}, 400),
    "tent, zero diagonal": (tent(), SIZES, {"keep_diagonal": False}, None),
    "arithmetic mean": (arithmetic_mean(), SIZES, {}, None),
    "square and root": (square_and_root(), SIZES, {}, None),
    "exponential of powers": (exponential_of_powers(), SIZES, {}, None),
    "sigmoid of squares": (sigmoid_of_squares(), SIZES, {}, None),
    "hoelder tent, a = 1/2": (hoelder_tent(0.5), [25, 50, 100], {}, None),
    "weierstrass, a = 1/2": (weierstrass(0.5), SIZES, {}, None),
    "stochastic block": (stochastic_block([[0.9, 0.2], [0.2, 0.4]], [0.3, 0.7]), ODD, {}, None),
    "hsbm(5) by cell, n = 1 mod 32": (hsbm(5), HSBM, CELL, 417),
    "hsbm(5) by cell, n = 0 mod 32": (hsbm(5), [224, 416, 832, 1664], CELL, None),
    "checkerboard(10) by cell, n = 1 mod 10": (checkerboard(10), ODD, CELL, None),
    "hexaflake(2) by cell": (hexaflake(2), [51, 101, 201, 401], CELL, None),
    "sierpinski_carpet(3) by cell": (sierpinski_carpet(3), [100, 199, 397, 793], CELL, None),
    "tent, Bernoulli": (tent(), SIZES, RANDOM, None),
    "tent, Bernoulli, density 0.1": (tent(), SIZES, {**RANDOM, "density": 0.1}, None),
}
CLOSE = 5.0
# Run with x0 = 1 too; aligned blocks would leave no error at all.
CONSTANT = ["tent", "arithmetic mean", "weierstrass, a = 1/2", "hsbm(5) by cell, n = 1 mod 32"]
CONSTANT += ["hexaflake(2) by cell", "tent, Bernoulli"]
MODELS = UntrainedGNDE(
    features=(2, 4, 2), taps=3, time_basis={"kind": "fourier", "terms": 2, "horizon": 1.0}, modes=3, times=9, steps=16
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="three seeds and few sizes: under 3 minutes")
    parser.add_argument("--out", help="results file (JSON)")
    arguments = parser.parse_args()
    rows, missed = [], 0
    cases = {**CASES, **{f"{case}, x0 = 1": (*CASES[case][:3], None) for case in CONSTANT}}
    for case, (W, sizes, options, marked) in cases.items():
        start = time.perf_counter()
        print(case)
        for n in sizes[: 3 if marked else 2] if arguments.quick else sizes:
            bounds = []
            for seed in range(3 if arguments.quick else 5):
                gnde, x0, ts = MODELS.draw(seed)
                x0 = ones if case.endswith("x0 = 1") else x0
                bound = a_priori_bound(gnde, W, n, x0, ts, seed=seed, **options)
                rows += bound.records(graphon=W.name, case=case, n=n, seed=seed)
                bounds.append(bound)
                missed += broken(bound.curves, f"n = {n}, seed {seed}")
            ratios = {name: [bound.ratios[name] for bound in bounds] for name in bounds[0].ratios}
            largest = ", ".join(f"{name} {max(values):.3g}" for name, values in ratios.items())
            observed = np.exp(np.mean([np.log(bound.observed) for bound in bounds]))
            print(f"  n = {n:5d}  observed {observed:.2e}, at most times it: {largest}")
            if n == marked and max(ratios["residual form"]) > CLOSE:
                print(f"  MISSED: expected the residual form within {CLOSE} times the error")
                missed += 1
        seconds = time.perf_counter() - start
        rows.append(record("seconds", seconds, unit="s", graphon=W.name, case=case))
    if arguments.out:
        write_results(arguments.out, rows, seed=0)
    return int(missed > 0)


def ones(u: torch.Tensor) -> torch.Tensor:
    """x0 = 1."""
    return u.new_ones(1, len(u), MODELS.features[0])


def broken(curves: dict[str, float], where: str) -> int:
    """How many of the error and its bounds, least first, exceed the next (beyond rounding)."""
    names, values = list(curves), list(curves.values())
    wrong = [i for i in range(len(values) - 1) if values[i] > values[i + 1] * (1 + 1e-12)]
    for i in wrong:
        print(f"  MISSED at {where}: {names[i]} {values[i]:.6e} above {names[i + 1]} {values[i + 1]:.6e}")
    return len(wrong)


if __name__ == "__main__":
    sys.exit(main())
