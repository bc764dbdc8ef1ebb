"""Orders at which gradients of graph neural differential equations approach their limits, beside theory.

    python benchmarks/graphon/adjoint.py --quick --out adjoint.json

As graphs grow: the adjoint at the start, n dJ/dX_i(0), and the gradient of the weights against those of the true
graphon limit (`opnet.evaluation.adjoint_study.adjoint_error`), for weighted graphs in n and for random graphs in
alpha n. As explicit Euler steps grow in number: discretise-then-optimise against optimise-then-discretise
(`opnet.evaluation.euler_gradients.dto_otd_differences`). All in float64, with random models. Exit status 1 where a part
misses its theoretical order by more than its tolerance.
"""

import argparse
import sys
import time
from functools import partial

from opnet.evaluation.adjoint_study import study_adjoint
from opnet.evaluation.euler_gradients import study_dto_otd
from opnet.evaluation.records import record, write_results
from opnet.graphs.graphons import arithmetic_mean, hsbm, tent

SIZES, QUICK_SIZES = [200, 400, 800, 1600, 3200], [200, 400, 800, 1600]
SPARSE, QUICK_SPARSE = [900, 1800, 3600, 7200, 14400, 28800], [900, 1800, 3600, 7200]  # alpha n = 30 ... 170
GRAPHS_EACH = 20  # by ten the order of the weights' gradient is known to .05 only
STEPS = [16, 32, 64, 128, 256, 512]

RANDOM = {"regime": "random"}
# case: graphon, sizes, sizes with --quick, options of the sampling
GRAPHS = {
    "tent": (tent(), SIZES, QUICK_SIZES, {}),
    "tent, zero diagonal": (tent(), SIZES, QUICK_SIZES, {"keep_diagonal": False}),
    "arithmetic mean": (arithmetic_mean(), SIZES, QUICK_SIZES, {}),
    "tent, Bernoulli": (tent(), SIZES, QUICK_SIZES, RANDOM),
    "arithmetic mean, Bernoulli": (arithmetic_mean(), SIZES, QUICK_SIZES, RANDOM),
    "tent, Bernoulli, alpha = n^-1/2": (tent(), SPARSE, QUICK_SPARSE, {**RANDOM, "sparsity": 0.5}),
}
EULER = {"tent, Euler steps": tent(), "hsbm(5), Euler steps": hsbm(5)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer sizes: under 3 minutes")
    parser.add_argument("--out", help="results file (JSON)")
    arguments = parser.parse_args()
    studies = {}
    for case, (W, sizes, quick_sizes, options) in GRAPHS.items():
        chosen, seeds = quick_sizes if arguments.quick else sizes, range(GRAPHS_EACH if "regime" in options else 5)
        studies[case] = (W, partial(study_adjoint, W, chosen, seeds, **options))
    for case, W in EULER.items():
        studies[case] = (W, partial(study_dto_otd, W, STEPS, n=64))
    rows, missed = [], 0
    for case, (W, study_of) in studies.items():
        start = time.perf_counter()
        study = study_of()
        seconds = time.perf_counter() - start
        rows += study.records(graphon=W.name, case=case)
        rows.append(record("seconds", seconds, unit="s", graphon=W.name, case=case))
        print(f"{case}  ({seconds:.1f} s)")
        for part, curve in study.curves.items():
            low, high = curve.interval
            missed += not curve.agrees
            verdict = "agrees" if curve.agrees else "MISSED"
            print(f"  {part:19s} {curve.order:7.4f}  [{low:.4f}, {high:.4f}]  theory {curve.expected}  {verdict}")
    if arguments.out:
        write_results(arguments.out, rows, seed=0)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
