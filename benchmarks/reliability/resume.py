"""Interrupt trainings by SIGKILL and SIGTERM at random instants, and by SIGKILL at every call that changes files.

    python benchmarks/reliability/resume.py --quick --out results.json

After every interruption no checkpoint may be damaged, and the training that goes on must end in the weights of the
uninterrupted one to the last byte; after SIGTERM the process must leave with status 143 within five seconds, a
checkpoint written. Three models, the data in memory and read by batch.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

import torch
from killed_training import (
    Case,
    cases,
    count_calls,
    faults_of_resuming,
    kill_after,
    kill_at_call,
    reference,
    terminate_after,
)

from opnet.evaluation.records import Record, record, write_results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="2 instants instead of 20, by batch for one model, every 29th call"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    instants, stride = (2, 29) if arguments.quick else (20, 1)
    chance = random.Random(arguments.seed)
    records = []
    with tempfile.TemporaryDirectory() as folder:
        for name, case in cases().items():
            for in_memory in (True,) if arguments.quick and name != "fno" else (True, False):
                where = "memory" if in_memory else "batches"
                done = interrupted(
                    f"{name}_{where}", dataclasses.replace(case, in_memory=in_memory), Path(folder), chance, instants
                )
                records += done
        records.append(killed_at_calls("fno_memory", cases()["fno"], Path(folder), stride))
    write_results(arguments.out, records, seed=arguments.seed)


def interrupted(name: str, case: Case, folder: Path, chance: random.Random, instants: int) -> list[Record]:
    expected, out = reference(case), folder / name
    _, seconds = count_calls(case, out)
    records = []
    for test, interrupt in (("sigkill_training", kill_after), ("sigterm_training", terminate_after)):
        moments = [chance.uniform(0, 1.05 * seconds) for _ in range(instants)]
        records.append(_count(test, name, case, out, expected, interrupt, moments))
    return records


def killed_at_calls(name: str, case: Case, folder: Path, stride: int) -> Record:
    expected, out = reference(case), folder / name
    case = dataclasses.replace(case, checkpoint_seconds=0.0)
    calls, _ = count_calls(case, out)
    return _count("sigkill_training_at_call", name, case, out, expected, kill_at_call, range(1, calls + 1, stride))


def _count(
    test: str,
    name: str,
    case: Case,
    out: Path,
    expected: str,
    interrupt: Callable[..., list[str]],
    places: Iterable[float],
) -> Record:
    failures, total = 0, 0
    for place in places:
        found = interrupt(case, out, place) + faults_of_resuming(case, out, expected)
        total += 1
        failures += bool(found)
        if found:
            print(f"{test} {name} {place}: {'; '.join(found)}", file=sys.stderr)
    print(f"{test} {name}: {failures} failures of {total}", file=sys.stderr)
    return record("failures", failures, test=test, case=name, of=total)


if __name__ == "__main__":
    main()
