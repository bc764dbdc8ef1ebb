"""Kill a generation by SIGKILL at random instants and at every call that changes a file; count what breaks.

    python benchmarks/reliability/kill_generation.py --quick --out results.json

It makes maps and trajectories, in folders and in one file, at once and by appending, with one process, two workers and
two ranks of torchrun. After every kill h5py must open each acknowledged shard, no acknowledged sample may be missing,
no partial file may stand at a final path, and the resumed store must be byte-equal to an uninterrupted one. A launch
whose rank was killed must end, with an error, and none of its processes may be left.
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
from killed_generation import (
    RECIPE,
    STORE,
    WAYS,
    Making,
    count_calls,
    faults_after_kill,
    faults_after_killed_rank,
    kill_at_call,
)

from opnet.evaluation.records import record, write_results

SAMPLES = sum(plan.stop - plan.start for plan in RECIPE.shards)
CALLS_OF_RANKS = (60, 9)  # about as many as rank 0, which writes the manifest, and rank 1 make


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="40 random instants, every third call, 3 kills of ranks")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    chance, quick = random.Random(arguments.seed), arguments.quick
    with tempfile.TemporaryDirectory() as name:
        folder, records = Path(name), []
        for case, way in WAYS.items():
            records.append(at_calls(folder / case, case, way, 3 if quick else 1, chance))
            records.append(
                at_instants(folder / case, case, way, (22 if quick else 140) // (1 + (way != STORE)), chance)
            )
        records.append(with_workers(folder / "store", 3 if quick else 20, chance))
        records += with_ranks(folder / "store", 3 if quick else 20, chance)
    write_results(arguments.out, records, seed=arguments.seed)


def at_calls(folder: Path, case: str, way: Making, step: int, chance: random.Random) -> dict:
    """Killed at every `step`-th call."""
    folder.mkdir()
    calls = count_calls(folder / "reference", way)
    reference, out = fingerprint(folder / "reference"), folder / "killed"
    chosen = range(1 + chance.randrange(step), calls + 1, step)
    return _record(
        f"{case}_write_calls", {n: faults_after_kill(out, kill_at_call(out, n, way), reference, way) for n in chosen}
    )


def at_instants(folder: Path, case: str, way: Making, number: int, chance: random.Random) -> dict:
    whole = _seconds_whole(folder / "timed", way, 1)
    kills = [{"kill_after": chance.uniform(0, 1.05 * whole)} for _ in range(number)]
    return _killed(f"{case}_random_instants", folder, way, 1, kills)


def with_workers(folder: Path, number: int, chance: random.Random) -> dict:
    # Starting workers takes most of the time: kill as soon as a random number of samples is acknowledged instead.
    _seconds_whole(folder / "timed_workers", STORE, 2)
    least = [chance.randrange(1, SAMPLES) for _ in range(number)]
    kills = [{"kill_at": lambda done, n=n: isinstance(done, int) and done >= n} for n in least]
    return _killed("two_workers", folder, STORE, 2, kills)


def with_ranks(folder: Path, number: int, chance: random.Random) -> list[dict]:
    reference, after, slowest = fingerprint(folder / "reference"), {}, 0.0
    for n in range(number):
        victim = n % 2
        call = chance.randint(1, CALLS_OF_RANKS[victim])
        after[f"{n}, rank {victim} at call {call}"], seconds = faults_after_killed_rank(
            folder / "ranks", 2, victim, call, reference
        )
        slowest = max(slowest, seconds)
    return [
        _record("two_ranks", after),
        record("outlived", slowest, unit="s", test="kill_generation", case="two_ranks"),
    ]


def _killed(case: str, folder: Path, way: Making, workers: int, kills: list[dict]) -> dict:
    after, killed, within = {}, 0, 0
    reference, out = fingerprint(folder / "reference"), folder / "killed"
    for number, kill in enumerate(kills):
        way.prepare(out)
        outcome = run_in_fork(lambda report: way.run(out, report, workers=workers), **kill)
        killed += outcome.signal == signal.SIGKILL
        within += any(isinstance(done, int) and 0 < done < SAMPLES for done in outcome.reports)
        after[number] = faults_after_kill(out, outcome, reference, way)
    print(f"{case}: {killed} killed before the end, {within} with samples acknowledged", file=sys.stderr)
    return _record(case, after)


def _seconds_whole(out: Path, way: Making, workers: int) -> float:
    """How long a generation takes that nobody kills."""
    way.prepare(out)
    start = time.monotonic()
    outcome = run_in_fork(lambda report: way.run(out, report, workers=workers))
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
