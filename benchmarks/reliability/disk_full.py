"""Run the command line on disks that are full after so many bytes; count what is lost, partial or badly said.

    python benchmarks/reliability/disk_full.py --quick --out results.json

The disks are file systems in memory, mounted in a name space of this script's own (Linux; `unshare` of util-linux).
`opnet generate` makes a store, and one in one file, of trajectories; `opnet run` trains besides. When the disk is full
the command must end with status 1 and one sentence that names a file; everything acknowledged until then must be
readable, nothing partial may stand at a final path, and once there is room the same command must end as if there always
had been: with the same bytes of data and of weights.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

import h5py
import torch
from fault_injection import Outcome, fingerprint, run_in_fork

from opnet.cli import app
from opnet.core.errors import DataError
from opnet.data.store import MANIFEST, Store
from opnet.evaluation.records import record, write_results
from opnet.training.checkpoint import read_checkpoint

RECIPE = """
name = "full"
[data]
problem = "advection"
times = {times}
n_train = 100
n_test = 40
train_resolution = 64
resolutions = [128]
[model]
class = "FNO"
in_channels = 1
out_channels = 1
modes = [4]
width = 8
layers = 2
[training]
epochs = 4
batch_size = 25
"""
COMMANDS = {
    "store": ("[0.0, 0.1, 0.2]", ["generate", "--out", "store"]),
    "single_file": ("[0.0, 0.1, 0.2]", ["generate", "--out", "store.h5"]),
    "run": ("0.2", ["run", "--out", "run"]),
}
OFFSETS = {"store": 25, "single_file": 13, "run": 12}
PAGE = 4096
ROOM = 64 << 20
INSIDE = "OPNET_DISK_FULL_INSIDE"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a fifth of the 50 offsets")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if INSIDE not in os.environ:
        again = ["unshare", "-Urm", sys.executable, *sys.argv]
        if shutil.which("unshare") is None:
            raise SystemExit("disk_full: expected Linux with `unshare`, found none")
        raise SystemExit(subprocess.run(again, env={**os.environ, INSIDE: "1"}, check=False).returncode)
    torch.set_num_threads(1)
    chance, records = random.Random(arguments.seed), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for case, offsets in OFFSETS.items():
            records.append(measure(folder, case, -(-offsets // 5) if arguments.quick else offsets, chance))
    write_results(arguments.out, records, seed=arguments.seed)


def measure(folder: Path, case: str, offsets: int, chance: random.Random) -> dict:
    times, words = COMMANDS[case]
    recipe, disk = folder / f"{case}.toml", folder / case
    recipe.write_text(RECIPE.format(times=times))
    command = [words[0], str(recipe), "--quiet", *words[1:]]
    _mount(disk, ROOM)
    outcome, peak = _run(command, disk)
    if _code(outcome) != 0:
        raise SystemExit(f"disk_full: {case} failed where there was room: {_said(folder)}")
    reference = _lasting(disk)
    _unmount(disk)
    faults = {}
    for size in sorted(chance.sample(range(2 * PAGE, peak, PAGE), offsets)):
        _mount(disk, size)
        faults[size] = faults_on_full(command, disk, reference, _said)
        _unmount(disk)
    for size, found in faults.items():
        if found:
            print(f"{case} with {size} bytes: {'; '.join(found)}", file=sys.stderr)
    failures = sum(map(bool, faults.values()))
    print(f"disk_full {case}: {failures} failures of {len(faults)} offsets below {peak} bytes", file=sys.stderr)
    return record("failures", failures, test="disk_full", case=case, of=len(faults))


def faults_on_full(command: list[str], disk: Path, reference: dict[str, str], said: Callable[[Path], str]) -> list[str]:
    """What is wrong with how the command ends on a full disk, with what it leaves, and with how it goes on."""
    outcome, _ = _run(command, disk)
    faults, message = [], said(disk.parent)
    if outcome.signal or _code(outcome) != 1:
        faults.append(f"ended with signal {outcome.signal}, status {_code(outcome)}")
    sentence = message.startswith("error: ") and "No space left on device" in message
    if not sentence or len(message.splitlines()) != 1 or "/" not in message:
        faults.append(f"said {message!r}")
    acknowledged = max((n for n in outcome.reports if isinstance(n, int)), default=0)
    faults += _faults_left(disk, acknowledged)
    subprocess.run(["mount", "-o", f"remount,size={ROOM}", str(disk)], check=True)
    again, _ = _run(command, disk)
    if _code(again) != 0:
        faults.append(f"with room again it ended with {_code(again)}: {said(disk.parent)!r}")
    elif _lasting(disk) != reference:
        faults.append("with room again it ended in other bytes")
    return faults


def _faults_left(disk: Path, acknowledged: int) -> list[str]:
    faults = [f"left {path.name}" for path in disk.rglob("*.part")]
    faults += [f"partial at its final path: {path.name}" for path in disk.rglob("*.h5") if not h5py.is_hdf5(path)]
    held = 0
    try:
        for manifest in disk.rglob(MANIFEST):
            store = Store.open(manifest.parent)
            store.verify()
            held = sum(map(len, store.manifest.shards))
        for checkpoint in disk.rglob("step-*"):
            read_checkpoint(checkpoint)
    except DataError as error:
        faults.append(str(error))
    if held < acknowledged:
        faults.append(f"{acknowledged} samples were acknowledged, {held} can be read")
    return faults


def _run(command: list[str], disk: Path) -> tuple[Outcome, int]:
    """The command in `disk`, reporting acknowledged samples and its status; and the bytes of disk used at most."""
    peak = 0

    def watch() -> None:
        nonlocal peak
        usage = os.statvfs(disk)
        peak = max(peak, (usage.f_blocks - usage.f_bfree) * usage.f_frsize)

    def work(report: Callable[[Any], None]) -> None:
        os.chdir(disk)
        errors = os.open(disk.parent / "stderr", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(errors, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        acknowledge = Store.acknowledge

        def reporting(store: Store, entry: Any) -> None:
            acknowledge(store, entry)
            report(sum(map(len, store.manifest.shards)))

        Store.acknowledge = reporting  # type: ignore[method-assign]
        sys.argv = ["opnet", *command]
        app.main()

    outcome = run_in_fork(work, timeout=120.0, while_running=watch)
    watch()
    return outcome, peak


def _code(outcome: Outcome) -> int:
    """The status the command asked to leave with."""
    last = outcome.reports[-1] if outcome.reports else None
    return int(last["message"]) if isinstance(last, dict) and last["error"] == "SystemExit" else -1


def _said(folder: Path) -> str:
    return (folder / "stderr").read_text().strip()


def _lasting(disk: Path) -> dict[str, str]:
    """Digests of the data and the weights, which hold no times of day."""
    return {
        name: digest for name, digest in fingerprint(disk).items() if name.endswith((".h5", MANIFEST, ".safetensors"))
    }


def _mount(disk: Path, size: int) -> None:
    disk.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(disk)], check=True)


def _unmount(disk: Path) -> None:
    subprocess.run(["umount", str(disk)], check=True)


if __name__ == "__main__":
    main()
