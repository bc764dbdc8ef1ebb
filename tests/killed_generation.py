"""What must hold after a generation was killed, whatever the instant."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
from analytic_problem import SinePoisson
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


def generate_and_report(out: Path, report: Callable[[Any], None], *, workers: int = 1) -> None:
    """Generate `RECIPE`, reporting how many samples are acknowledged, then "done"."""
    generate(RECIPE, out, workers=workers, progress=lambda done, total, message="": report(done))
    report("done")


def count_calls(out: Path) -> int:
    """How many calls that change files one generation makes."""

    def work(report: Callable[[Any], None]) -> None:
        count = die_at_call(0)
        generate_and_report(out, lambda value: None)
        report(count())

    return run_in_fork(work).reports[0]


def kill_at_call(out: Path, number: int) -> Outcome:
    """A generation killed at its `number`-th call that changes files."""

    def work(report: Callable[[Any], None]) -> None:
        die_at_call(number)
        generate_and_report(out, report)

    return run_in_fork(work)


def faults_after_kill(out: Path, outcome: Outcome, reference: dict[str, str]) -> list[str]:
    """What is wrong with the store a killed run left, and with what resuming makes of it; empty if nothing is."""
    faults = []
    acknowledged = max((n for n in outcome.reports if isinstance(n, int)), default=0)
    held = 0
    if (out / "manifest.json").exists():
        for shard in json.loads((out / "manifest.json").read_text())["shards"]:
            with h5py.File(out / shard["file"], "r") as file:
                held += len(file["inputs"][...])
    if held < acknowledged:
        faults.append(f"{acknowledged} samples were acknowledged, {held} can be read")
    partial = [path for path in out.rglob("*.h5") if not h5py.is_hdf5(path)]
    if partial:
        faults.append(f"partial files at final paths: {partial}")
    generate(RECIPE, out)
    if fingerprint(out) != reference:
        faults.append("the resumed store differs from the uninterrupted one")
    shutil.rmtree(out)
    return faults
