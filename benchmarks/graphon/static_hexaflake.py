"""How the mean degree and the Hilbert-Schmidt norm of graphs sampled by cell from a very deep hexaflake fall with n.

    python benchmarks/graphon/static_hexaflake.py --quick --out static_hexaflake.json

Of hexaflake(10), whose smallest pieces are below every cell, n <= 4000 cells a side see boundary alone, of dimension
b = log 7 / log 3: a share n^-(2 - b) of the cells meets the set, and the Hilbert-Schmidt norm of the graph's integral
operator (whose limit has next to none) is the root of that share. No solve, no seed. Exit status 1 where a slope
misses theory by more than its tolerance.
"""

import argparse
import sys
import time

from opnet.evaluation.convergence import ConvergenceStudy, measure_convergence
from opnet.evaluation.records import Record, record, write_results
from opnet.graphs.fractals.hexaflake import Hexaflake

DEPTH = 10
SIZES = [250, 354, 500, 707, 1000, 1414, 2000, 2828, 4000]
QUICK_SIZES = [250, 500, 1000, 2000, 4000]
EXPECTED = {
    "mean degree": -(2 - Hexaflake.boundary_dimension),
    "Hilbert-Schmidt norm": -(1 - Hexaflake.boundary_dimension / 2),
}
TOLERANCE = {"mean degree": 0.01, "Hilbert-Schmidt norm": 0.005}


def static_study(sizes: list[int]) -> ConvergenceStudy:
    """Slopes of mean degree / n and of the Hilbert-Schmidt norm of A / n against 0, by cell."""
    W = Hexaflake(DEPTH)

    def error_at(n: int, seed: int) -> dict[str, float]:
        share = int(W.cells(n).total.sum()) / n**2
        return {"mean degree": share, "Hilbert-Schmidt norm": share**0.5}

    return measure_convergence(error_at, sizes, [0], EXPECTED, tolerance=TOLERANCE)


def static_records(quick: bool = False) -> tuple[list[Record], int]:
    """Records of the study, and how many slopes miss theory by more than the tolerance."""
    start = time.perf_counter()
    study = static_study(QUICK_SIZES if quick else SIZES)
    labels = {"graphon": f"hexaflake({DEPTH})", "case": f"hexaflake({DEPTH}) by cell, static"}
    seconds = record("seconds", time.perf_counter() - start, unit="s", **labels)
    for part, curve in study.curves.items():
        low, high = curve.interval
        verdict = "agrees" if curve.agrees else "MISSED"
        print(f"{part:22s} {curve.order:7.4f}  [{low:.4f}, {high:.4f}]  theory {curve.expected:.4f}  {verdict}")
    return [*study.records(**labels), seconds], sum(curve.agrees is False for curve in study.curves.values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer sizes")
    parser.add_argument("--out", help="results file (JSON)")
    arguments = parser.parse_args()
    rows, missed = static_records(arguments.quick)
    if arguments.out:
        write_results(arguments.out, rows, seed=0)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
