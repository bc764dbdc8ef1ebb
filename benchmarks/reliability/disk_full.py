"""Fill the disk under `opnet generate` at many points; count what is lost, what lies, and what ends by a signal.

    python benchmarks/reliability/disk_full.py --quick --out disk_full.json

The disk is a small tmpfs where mounting is allowed, else a limit on what the process may write to a file
(RLIMIT_FSIZE); the record says which. At each of the sizes the command must fail with exit code 1 and a sentence that
names the disk or the file, no signal; everything acknowledged must be readable; nothing partial may stand at a final
path; and once there is room, the same command must finish to the bytes of a store made at once. Stores in a folder and
in one file.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from fault_injection import fingerprint

from opnet.core.errors import DataError
from opnet.data.generate import generate
from opnet.data.recipe import DataRecipe
from opnet.data.store import MANIFEST, Store
from opnet.evaluation.records import Record, record, write_results
from opnet.solvers.pde.advection import Advection

RECIPE = """
name = "full"
[data]
problem = "advection"
times = [0.0, 0.5, 1.0]
n_train = 96
n_test = 8
train_resolution = 64
"""
POINTS = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="10 sizes of the disk instead of 50")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_results(arguments.out, measure(Path(folder), 10 if arguments.quick else POINTS), seed=0)


def measure(folder: Path, points: int) -> list[Record]:
    (folder / "recipe.toml").write_text(RECIPE)
    recipe = DataRecipe(
        problem=Advection(times=(0.0, 0.5, 1.0)), n_train=96, n_test=8, train_resolution=64, name="full"
    )
    kind = "tmpfs" if _may_mount(folder) else "file_size"
    records = []
    for case, name in (("folder", "store"), ("one_file", "store.h5")):
        reference = folder / "reference" / name
        reference.parent.mkdir(exist_ok=True)
        generate(recipe, reference)
        expected = _contents(reference)
        files = [path for path in reference.rglob("*") if path.is_file()] or [reference]
        sizes = [path.stat().st_size for path in files]
        most = sum(sizes) if kind == "tmpfs" else max(sizes)
        failures = 0
        for point in range(points):
            size = max(1, most * point // points)
            for fault in _faults(folder, name, size, kind, expected):
                print(f"{case}, {size} bytes of {most}: {fault}", file=sys.stderr)
                failures += 1
        print(f"{case} ({kind}): {failures} failures at {points} sizes", file=sys.stderr)
        records.append(record("failures", failures, test="disk_full", case=f"{case}, {kind}", of=points))
    return records


def _faults(folder: Path, name: str, size: int, kind: str, expected: dict[str, str]) -> list[str]:
    faults: list[str] = []
    with _disk(folder, size, kind) as (where, prepare):
        out = where / name
        command = [sys.executable, "-m", "opnet", "generate", str(folder / "recipe.toml"), "--out", str(out), "--quiet"]
        first = subprocess.run(command, preexec_fn=prepare, capture_output=True, text=True, timeout=120)
        if first.returncode < 0:
            faults.append(f"ended by signal {-first.returncode}")
        elif first.returncode == 0:
            faults.append("succeeded, with less room than the store takes")
        elif first.returncode != 1 or "error: " not in first.stderr or "Traceback" in first.stderr:
            faults.append(f"exit code {first.returncode}: {first.stderr[-300:]}")
        faults += _state_faults(out)
        _make_room(where, kind)
        again = subprocess.run(command, capture_output=True, text=True, timeout=120)
        if again.returncode != 0:
            faults.append(f"could not go on: {again.stderr[-300:]}")
        elif _contents(out) != expected:
            faults.append("the finished store differs from one made at once")
    return faults


def _state_faults(out: Path) -> list[str]:
    """What is wrong with what stands at final paths."""
    if out.suffix == ".h5":
        return [f"{out.name} stands there unfinished"] if out.exists() else []
    if not (out / MANIFEST).exists():
        return []
    try:
        store = Store.open(out)
        store.verify()
    except DataError as error:
        return [f"what was acknowledged cannot be read: {error}"]
    known = {entry.file for entry in store.manifest.shards}
    partial = [path.name for path in (out / "shards").glob("*.h5") if f"shards/{path.name}" not in known]
    # One shard may be whole and not yet acknowledged.
    return [f"partial files at final paths: {partial}"] if len(partial) > 1 else []


def _contents(out: Path) -> dict[str, str]:
    return fingerprint(out) if out.is_dir() else {out.name: str(hash(out.read_bytes()))}


@contextmanager
def _disk(folder: Path, size: int, kind: str) -> Iterator[tuple[Path, Callable[[], None]]]:
    where = folder / "disk"
    where.mkdir(exist_ok=True)
    if kind == "tmpfs":
        pages = -(-size // 4096) * 4096
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={pages}", "tmpfs", str(where)], check=True)
        try:
            yield where, lambda: None
        finally:
            subprocess.run(["umount", str(where)], check=True)
    else:
        with tempfile.TemporaryDirectory(dir=where) as inner:
            yield Path(inner), lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def _make_room(where: Path, kind: str) -> None:
    if kind == "tmpfs":
        subprocess.run(["mount", "-o", "remount,size=64M", str(where)], check=True)


def _may_mount(folder: Path) -> bool:
    if os.geteuid() != 0:
        return False
    try:
        with _disk(folder, 1 << 20, "tmpfs"):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


if __name__ == "__main__":
    main()
