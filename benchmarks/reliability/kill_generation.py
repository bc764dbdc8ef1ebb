"""Kill a generation by SIGKILL at random instants and at every call that changes a file; count what breaks.

    python benchmarks/reliability/kill_generation.py --quick --out results.json

After every kill h5py must open each acknowledged shard, no acknowledged sample may be missing, no partial file may
stand at a final path, and the resumed store must be byte-equal to an uninterrupted one.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

import torch
from fault_injection import fingerprint, run_in_fork
from killed_generation import RECIPE, count_calls, faults_after_kill, generate_and_report, kill_at_call

from opnet.data.generate import generate
from opnet.evaluation.records import record, write_results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="40 random instants, 3 of them with two workers")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        records = measure(Path(folder), arguments.seed, *((37, 3) if arguments.quick else (180, 20)))
    write_results(arguments.out, records, seed=arguments.seed)


def measure(folder: Path, seed: int, instants: int, instants_of_workers: int) -> list[dict]:
    generate(RECIPE, folder / "reference")
    reference, out, chance = fingerprint(folder / "reference"), folder / "killed", random.Random(seed)
    calls = count_calls(folder / "counted")
    records = []

    at_calls = {n: faults_after_kill(out, kill_at_call(out, n), reference) for n in range(1, calls + 1)}
    records.append(_record("every_write_call", at_calls))
    for case, workers, number in (("random_instants", 1, instants), ("two_workers", 2, instants_of_workers)):
        start = time.monotonic()
        run_in_fork(lambda report, w=workers: generate_and_report(folder / f"timed{w}", report, workers=w))
        whole = time.monotonic() - start
        after = {}
        for _ in range(number):
            instant = chance.uniform(0, 1.05 * whole)
            outcome = run_in_fork(
                lambda report, w=workers: generate_and_report(out, report, workers=w), kill_after=instant
            )
            after[instant] = faults_after_kill(out, outcome, reference)
        records.append(_record(case, after))
    return records


def _record(case: str, faults: dict) -> dict:
    for where, found in faults.items():
        if found:
            print(f"{case} {where}: {'; '.join(found)}", file=sys.stderr)
    failures = sum(bool(found) for found in faults.values())
    print(f"{case}: {failures} failures of {len(faults)}", file=sys.stderr)
    return record("failures", failures, test="kill_generation", case=case, of=len(faults))


if __name__ == "__main__":
    main()
