"""What must hold after a generation was killed, whatever the instant."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
from analytic_problem import SineHeat, SinePoisson
from fault_injection import Outcome, die_at_call, fingerprint, run_in_fork

from opnet.data.generate import generate
from opnet.data.recipe import DataRecipe

RECIPE = DataRecipe(
    problem=SinePoisson(),
    n_train=20,
    n_test=4,
    train_resolution=16,
    test_resolutions=(32,),
    shard_size=4,
    name="killed",
)


@dataclass(frozen=True)
class Making:
    """One way of making a store in a folder: whole, as one file, or by appending to a smaller one."""

    recipe: DataRecipe = RECIPE
    file: str = ""
    grows_from: DataRecipe | None = None

    def prepare(self, out: Path) -> None:
        """What stands there before anybody is killed."""
        if self.grows_from is not None:
            generate(self.grows_from, out)
        elif self.file:
            out.mkdir()

    def run(self, out: Path, report: Callable[[Any], None] = lambda value: None, *, workers: int = 1) -> None:
        """Generate, reporting how many samples are acknowledged, then "done"."""
        grows = self.grows_from is not None

        def progress(done: int, total: int, message: str = "") -> None:
            report(done)

        generate(self.recipe, out / self.file, workers=workers, append=grows, progress=progress)
        report("done")

    def acknowledged_before(self) -> int:
        """Samples that stand there before."""
        return sum(samples for _, _, samples in self.grows_from.splits) if self.grows_from else 0

    def readable(self, out: Path) -> int:
        """Samples that h5py alone can read."""
        if self.file and (out / self.file).exists():
            with h5py.File(out / self.file, "r") as file:
                return sum(len(file[name]["inputs"][...]) for name in file if "-" in name)
        folder = out / f".{self.file}.unfinished" if self.file else out
        held = 0
        if (folder / "manifest.json").exists():
            for shard in json.loads((folder / "manifest.json").read_text())["shards"]:
                with h5py.File(folder / shard["file"], "r") as file:
                    held += len(file["inputs"][...])
        return held


STORE = Making()
WAYS = {
    "store": STORE,
    "trajectories": Making(replace(RECIPE, problem=SineHeat())),
    "single_file": Making(file="set.h5"),
    "append": Making(grows_from=replace(RECIPE, n_train=10, n_test=3)),
}


def count_calls(out: Path, way: Making = STORE) -> int:
    """How many calls that change files one generation makes."""

    way.prepare(out)

    def work(report: Callable[[Any], None]) -> None:
        count = die_at_call(0)
        way.run(out)
        report(count())

    return run_in_fork(work).reports[0]


def kill_at_call(out: Path, number: int, way: Making = STORE) -> Outcome:
    """A generation killed at its `number`-th call that changes files."""

    way.prepare(out)

    def work(report: Callable[[Any], None]) -> None:
        die_at_call(number)
        way.run(out, report)

    return run_in_fork(work)


def faults_after_kill(out: Path, outcome: Outcome, reference: dict[str, str], way: Making = STORE) -> list[str]:
    """What is wrong with what a killed run left, and with what resuming makes of it; empty if nothing is."""
    reported = max((n for n in outcome.reports if isinstance(n, int)), default=0)
    faults = _faults(out, max(reported, way.acknowledged_before()), way)
    way.run(out)
    if fingerprint(out) != reference:
        faults.append("the resumed store differs from the uninterrupted one")
    shutil.rmtree(out)
    return faults


def _faults(out: Path, acknowledged: int, way: Making) -> list[str]:
    faults = []
    held = way.readable(out)
    if held < acknowledged:
        faults.append(f"{acknowledged} samples were acknowledged, {held} can be read")
    partial = [path for path in out.rglob("*.h5") if not h5py.is_hdf5(path)]
    if partial:
        faults.append(f"partial files at final paths: {partial}")
    return faults


def launch_ranks(out: Path, size: int, victim: int = -1, call: int = 0) -> tuple[subprocess.Popen, list[Path]]:
    """`RECIPE` made by torchrun's ranks, one of which kills itself at a call that changes files.

    Returns the launcher, and for each rank the file that will hold its process number.
    """
    numbers = [out.with_name(f"{out.name}-rank-{rank}") for rank in range(size)]
    for path in numbers:
        path.unlink(missing_ok=True)
    here = Path(__file__)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(size), str(here)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{here.parents[1]}:{here.parent}"}
    process = subprocess.Popen(
        [*command, str(out), str(victim), str(call)], stderr=subprocess.PIPE, text=True, env=environment
    )
    return process, numbers


def faults_after_killed_rank(
    out: Path, size: int, victim: int, call: int, reference: dict[str, str]
) -> tuple[list[str], float]:
    """What is wrong after a rank killed itself, and the seconds the others outlived it."""
    process, numbers = launch_ranks(out, size, victim, call)
    dead = None
    while process.poll() is None:
        if dead is None and numbers[victim].exists() and not _alive(numbers[victim]):
            dead = time.monotonic()
        time.sleep(0.02)
    process.communicate()
    seconds = time.monotonic() - dead if dead is not None else 0.0
    faults = [] if process.returncode else ["the launch ended well though one of its ranks was killed"]
    left = [path.name for path in numbers if path.exists() and _alive(path)]
    if left:
        faults.append(f"still running after the launcher: {left}")
    faults += _faults(out, 0, STORE) if out.exists() else []
    STORE.run(out)
    if fingerprint(out) != reference:
        faults.append("the resumed store differs from that of one process")
    shutil.rmtree(out)
    return faults, seconds


def _alive(number: Path) -> bool:
    """Whether the process still runs whose number the file holds; one that ended and waits for its parent does not."""
    try:
        stat = Path(f"/proc/{number.read_text()}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def _as_rank(out: Path, victim: int, call: int) -> None:
    rank = int(os.environ["RANK"])
    number = out.with_name(f"{out.name}-rank-{rank}")
    number.with_suffix(".part").write_text(str(os.getpid()))
    number.with_suffix(".part").rename(number)
    if rank == victim:
        die_at_call(call)
    STORE.run(out)


if __name__ == "__main__":
    _as_rank(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
