"""Read hostile files, and files with changed headers; count what is neither read nor refused as it should be.

    python benchmarks/reliability/hostile_files.py --quick --out results.json

Hostile are stores whose manifest is sound and whose shards are tricks of HDF5. A reader fails one if it raises anything
but a `DataError`, opens the pipe that the file points to, takes 2 s, or takes 512 MB. The same is recorded of h5py
alone where a trick leads outside the file.

Headers are changed by a few bytes in files of every form opnet reads. A reader fails one if it ends by a signal, raises
anything but a `DataError`, takes 10 s, or takes 1 GiB. Digests of opnet's own files are made right again, and other
people's files have none: so a changed number is read as it stands, and `read_otherwise` counts how often.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

import torch
from hostile_hdf5 import LEADING_OUTSIDE, TRICKS
from hostile_store import attack, read_with_h5py, read_with_opnet, write_hostile_store
from mutated_headers import LOADERS, try_mutations

from opnet.evaluation.records import Record, record, write_results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="300 changed headers a form instead of 6000")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    records = [*hostile(), *mutated(300 if arguments.quick else 6000, arguments.seed)]
    write_results(arguments.out, records, seed=arguments.seed)


def hostile() -> list[Record]:
    failed, followed, slowest, largest = [], [], 0.0, 0
    for trick in TRICKS:
        with tempfile.TemporaryDirectory() as folder:
            store = Path(folder) / "store"
            write_hostile_store(store, trick)
            found = attack(store, read_with_opnet)
            slowest, largest = max(slowest, found.seconds), max(largest, found.memory)
            refused = found.error == "DataError" and not found.opened_outside and not found.outcome.signal
            if not refused or found.seconds > 2 or found.memory > 512e6:
                failed.append(f"{trick.__name__}: {found.error} {found.message}, {found.seconds:.2f} s")
            if trick in LEADING_OUTSIDE and attack(store, read_with_h5py).opened_outside:
                followed.append(trick.__name__)
    for line in failed:
        print(line, file=sys.stderr)
    print(f"hostile_files: {len(failed)} failures of {len(TRICKS)}", file=sys.stderr)
    print(f"h5py alone follows {len(followed)} of {len(LEADING_OUTSIDE)}", file=sys.stderr)
    return [
        record("failures", len(failed), test="hostile_files", case="opnet", of=len(TRICKS)),
        record("failures", len(followed), test="hostile_files", case="h5py", of=len(LEADING_OUTSIDE)),
        record("slowest", slowest, test="hostile_files", unit="s"),
        record("peak_memory", largest, test="hostile_files", unit="B"),
    ]


def mutated(number: int, seed: int) -> list[Record]:
    records = []
    for case in LOADERS:
        with tempfile.TemporaryDirectory() as folder:
            trials = try_mutations(case, Path(folder) / case, seed, number)
        for line in trials.failures:
            print(line, file=sys.stderr)
        failures, labels = len(trials.failures), {"test": "mutated_headers", "case": case, "of": number}
        print(
            f"mutated_headers {case}: {failures} failures of {number}, {trials.refused} refused, {trials.other} read "
            "otherwise",
            file=sys.stderr,
        )
        records += [record("failures", failures, **labels), record("read_otherwise", trials.other, **labels)]
    return records


if __name__ == "__main__":
    main()
