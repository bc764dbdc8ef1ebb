"""Orders at which random graph neural differential equations approach their graphon limit, beside theory.

    python benchmarks/graphon/orders.py --quick --out orders.json

Errors are split into feature, operator, nodal and total parts (`opnet.evaluation.graphon_study.split_error`), float64,
against the true limit. Exit status 1 where a part misses its theoretical order by more than its tolerance.
"""

import argparse
import sys
import time

from opnet.evaluation.graphon_study import study_graphon
from opnet.evaluation.records import record, write_results
from opnet.graphs.graphon import EXACT
from opnet.graphs.graphons import arithmetic_mean, checkerboard, hsbm, tent

ODD, QUICK_ODD = [201, 401, 801, 1601, 3201], [201, 401, 801, 1601]
HSBM = [225, 417, 833, 1665, 3329]
ALIGNED = [224, 448, 896, 1792]
TENS = [200, 400, 800, 1600]

CELL = {"regime": "cell"}
BARE = {"keep_diagonal": False}
# case: graphon, sizes, sizes with --quick, options of the sampling
CASES = {
    "tent": (tent(), ODD, QUICK_ODD, {}),
    "tent, zero diagonal": (tent(), ODD, QUICK_ODD, BARE),
    "arithmetic mean": (arithmetic_mean(), ODD, QUICK_ODD, {}),
    "arithmetic mean, zero diagonal": (arithmetic_mean(), ODD, QUICK_ODD, BARE),
    "hsbm(5) by cell, n = 1 mod 32": (hsbm(5), HSBM, HSBM, CELL),
    "hsbm(5) by cell, n = 0 mod 32": (hsbm(5), ALIGNED, ALIGNED, CELL),
    "checkerboard(10) by cell, n = 1 mod 10": (checkerboard(10), ODD, QUICK_ODD, CELL),
    "checkerboard(10) by cell, n = 0 mod 10": (checkerboard(10), TENS, TENS, CELL),
    "tent, Bernoulli": (tent(), [200, 400, 800, 1600], [100, 200, 400], {"regime": "random"}),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer sizes: under 3 minutes")
    parser.add_argument("--out", help="results file (JSON)")
    arguments = parser.parse_args()
    rows, missed = [], 0
    for case, (W, sizes, quick_sizes, options) in CASES.items():
        random = options.get("regime") == "random"
        start = time.perf_counter()
        study = study_graphon(W, quick_sizes if arguments.quick else sizes, range(10 if random else 5), **options)
        seconds = time.perf_counter() - start
        rows += study.records(graphon=W.name, case=case)
        rows.append(record("seconds", seconds, unit="s", graphon=W.name, case=case))
        print(f"{case}  ({seconds:.1f} s)")
        for part, curve in study.curves.items():
            low, high = curve.interval
            found = "exact" if curve.exact else f"{curve.order:7.4f}  [{low:.4f}, {high:.4f}]"
            theory = {None: "", EXACT: "theory exact"}.get(curve.expected, f"theory {curve.expected}")
            verdict = {None: "", True: "agrees", False: "MISSED"}[curve.agrees]
            missed += curve.agrees is False
            print(f"  {part:9s} {found:34s} {theory:14s} {verdict}")
    if arguments.out:
        write_results(arguments.out, rows, seed=0)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
