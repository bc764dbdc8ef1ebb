"""At which order every problem's solver approaches exact or manufactured solutions.

    python benchmarks/convergence/pde.py --quick --out pde.json

The cases are those of the tests (tests/pde_orders): smooth ones are held to the order stated, within .2 (in L1 for
limited schemes, in time alone for exponential integrators); shocks and jumping coefficients are reported without one.
Exit status 1 where an order is missed.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from pde_orders.all_cases import CASES
from pde_orders.case import OrderCase

from opnet.evaluation.records import Record, record, write_results
from opnet.solvers.pde.threads import one_thread


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="leave out the slow cases")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    records: list[Record] = []
    missed = 0
    with one_thread():
        for case in CASES:
            if not (arguments.quick and case.slow):
                measured, held = measure(case)
                records += measured
                missed += not held
    write_results(arguments.out, records, seed=0)
    if missed:
        raise SystemExit(f"{missed} orders missed")


def measure(case: OrderCase) -> tuple[list[Record], bool]:
    begin = time.process_time()
    order, errors = case.measure()
    held = case.expected is None or abs(order - case.expected) <= case.tolerance
    labels = {"problem": case.problem, "case": case.what}
    wanted = {} if case.expected is None else {"expected": case.expected, "tolerance": case.tolerance}
    print(
        f"{case.problem:28} {case.what:60} {order:6.2f} "
        f"{'reported' if case.expected is None else f'{case.expected:g}':>8} {'' if held else 'MISSED':6} "
        f"{time.process_time() - begin:5.1f} s",
        file=sys.stderr,
    )
    rows = [record("observed_order", order, **labels, **wanted)]
    unit = f"relative {case.norm}"
    rows += [record("error", e, unit=unit, n=n, **labels) for n, e in zip(case.sizes, errors, strict=True)]
    return rows, held


if __name__ == "__main__":
    main()
