"""Flip one bit of, or cut the end off, a file of a store, a checkpoint or a `.pt` file; count what passes in silence.

    python benchmarks/reliability/bit_flips.py --quick --out results.json

A damaged store or checkpoint passes in silence if it can be read at all, or if the error does not name the file. A
damaged `.pt` file passes in silence if it can be read and its values are not the original ones.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

import torch
from damage import (
    damaged_checkpoint,
    damaged_single_file,
    damaged_store,
    damaged_tensor_files,
    damaged_trajectories,
)

from opnet.evaluation.records import record, write_results

CASES = {
    "store": damaged_store,
    "trajectories": damaged_trajectories,
    "single_file": damaged_single_file,
    "checkpoint": damaged_checkpoint,
    "neuraloperator_pt": damaged_tensor_files,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a fifth of the 1500 flips and 500 truncations")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    share = 5 if arguments.quick else 1
    flips, cuts, chance = 1500 // share, 500 // share, random.Random(arguments.seed)
    records = []
    for case, damaged in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            for kind, silent in damaged(Path(folder), chance, flips=flips, cuts=cuts).items():
                for fault in (fault for fault in silent if fault):
                    print(f"{case} {kind}: {fault}", file=sys.stderr)
                failures = sum(map(bool, silent))
                print(f"{case} {kind}: {failures} failures of {len(silent)}", file=sys.stderr)
                labels = {"test": f"bit_{kind}", "case": case, "of": len(silent)}
                records.append(record("failures", failures, **labels))
    write_results(arguments.out, records, seed=arguments.seed)


if __name__ == "__main__":
    main()
