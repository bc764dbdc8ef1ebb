"""What `import opnet` costs beyond `import torch`, in processor seconds and in wall-clock seconds.

    python benchmarks/speed/import_time.py --out results.json

Fresh processes, in turn; medians.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from opnet.evaluation.records import record, write_results

STATEMENTS = {"torch": "import torch", "opnet": "import torch; import opnet"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="5 repeats instead of 15")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    repeats = 5 if arguments.quick else 15
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in STATEMENTS}
    for _ in range(1 + repeats):  # the first fills the caches and is not counted
        for name, statement in STATEMENTS.items():
            seconds[name].append(_time(statement))
    records = []
    for i, clock in enumerate(("cpu", "wall")):
        medians = {name: statistics.median(pair[i] for pair in pairs[1:]) for name, pairs in seconds.items()}
        records += [
            record("import_seconds", value, case=f"{name} {clock}", unit="s") for name, value in medians.items()
        ]
        beyond = medians["opnet"] - medians["torch"]
        records.append(record("import_seconds_beyond_torch", beyond, case=clock, unit="s", expected=0.3))
        print(f"{clock}: torch {medians['torch']:.2f} s, opnet beyond it {beyond:.2f} s")
    write_results(arguments.out, records)


def _time(statement: str) -> tuple[float, float]:
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


if __name__ == "__main__":
    main()
