"""Kill a generation by SIGKILL at random instants and at every call that changes a file; count what breaks.

    python benchmarks/reliability/kill_generation.py --quick --out results.json

After every kill h5py must open each acknowledged shard, no acknowledged sample may be missing, no partial file may
stand at a final path, and the resumed store must be byte-equal to an uninterrupted one.
"""

from __future__ import annotations

import argparse
import random
import signal
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

SAMPLES = sum(plan.stop - plan.start for plan in RECIPE.shards)


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
    whole = _seconds_whole(folder / "timed", 1)
    instants = [chance.uniform(0, 1.05 * whole) for _ in range(instants)]
    records.append(_killed("random_instants", 1, out, reference, [{"kill_after": instant} for instant in instants]))

    # Starting workers takes most of the time: kill as soon as a random number of samples is acknowledged instead.
    _seconds_whole(folder / "timed_workers", 2)
    least = [chance.randrange(1, SAMPLES) for _ in range(instants_of_workers)]
    kills = [{"kill_at": lambda done, n=n: isinstance(done, int) and done >= n} for n in least]
    records.append(_killed("two_workers", 2, out, reference, kills))
    return records


def _killed(case: str, workers: int, out: Path, reference: dict, kills: list[dict]) -> dict:
    after, killed, within = {}, 0, 0
    for number, kill in enumerate(kills):
        outcome = run_in_fork(lambda report: generate_and_report(out, report, workers=workers), **kill)
        killed += outcome.signal == signal.SIGKILL
        within += any(isinstance(done, int) and 0 < done < SAMPLES for done in outcome.reports)
        after[number] = faults_after_kill(out, outcome, reference)
    print(f"{case}: {killed} killed before the end, {within} with samples acknowledged", file=sys.stderr)
    return _record(case, after)


def _seconds_whole(out: Path, workers: int) -> float:
    """How long a generation takes that nobody kills."""
    start = time.monotonic()
    outcome = run_in_fork(lambda report: generate_and_report(out, report, workers=workers))
    if outcome.reports[-1] != "done":
        raise SystemExit(f"an uninterrupted generation with {workers} workers failed: {outcome.reports[-1]}")
    return time.monotonic() - start


def _record(case: str, faults: dict) -> dict:
    for where, found in faults.items():
        if found:
            print(f"{case} {where}: {'; '.join(found)}", file=sys.stderr)
    failures = sum(bool(found) for found in faults.values())
    print(f"{case}: {failures} failures of {len(faults)}", file=sys.stderr)
    return record("failures", failures, test="kill_generation", case=case, of=len(faults))


if __name__ == "__main__":
    main()
