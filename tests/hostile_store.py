"""A store whose manifest is sound and whose shard is hostile, and what reading it does."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from analytic_problem import SinePoisson
from fault_injection import Outcome, peak_memory, run_in_fork
from hostile_hdf5 import SHAPE, Trick, write_hostile

from opnet.data.dataset import open_dataset
from opnet.data.recipe import DataRecipe
from opnet.data.shard import ShardEntry
from opnet.data.store import Store

RECIPE = DataRecipe(problem=SinePoisson(), n_train=4, n_test=4, train_resolution=8, shard_size=4, name="hostile")


def write_hostile_store(folder: Path, trick: Trick) -> None:
    """A finished store all of whose checksums are right; `outside` beside it is a pipe nobody writes to."""
    (folder / "shards").mkdir(parents=True)
    os.mkfifo(folder / "outside")
    manifest = RECIPE.new_manifest()
    for plan in RECIPE.shards:
        path = folder / plan.file
        write_hostile(path, trick, folder / "outside")
        content = path.read_bytes()
        shapes = {"inputs": list(SHAPE), "targets": list(SHAPE)} | {
            name: [4] for name in ("residual", "discretisation_error", "index")
        }
        dtypes = {"inputs": "float32", "targets": "float32", "index": "int64"}
        entry = ShardEntry(
            plan.file,
            plan.split,
            plan.resolution,
            plan.start,
            plan.stop,
            shapes,
            {"residual": "float64", "discretisation_error": "float64", **dtypes},
            len(content),
            hashlib.sha256(content).hexdigest(),
        )
        manifest = replace(manifest, shards=[*manifest.shards, entry])
    Store.create(folder, manifest)


class Attack:
    """What one reader did with a hostile store."""

    def __init__(self, outcome: Outcome, opened_outside: bool) -> None:
        ended = outcome.reports[-1] if outcome.reports else {}
        self.outcome, self.opened_outside = outcome, opened_outside
        self.error = ended.get("error", "")
        self.message = ended.get("message", "")
        self.seconds = ended.get("seconds", outcome.seconds)
        self.memory = ended.get("memory", 0)


def attack(folder: Path, read: Callable[[Path], Any]) -> Attack:
    """Let a forked child read the store, watching whether it opens the pipe outside."""
    opened = False

    def watch() -> None:
        # Opening a pipe for writing succeeds only while somebody has it open for reading.
        nonlocal opened
        with contextlib.suppress(OSError):
            os.close(os.open(folder / "outside", os.O_WRONLY | os.O_NONBLOCK))
            opened = True

    def work(report: Callable[[Any], None]) -> None:
        before, start = peak_memory(), time.monotonic()
        ended = {"error": "", "message": ""}
        try:
            read(folder)
        except Exception as error:
            ended = {"error": type(error).__name__, "message": str(error)}
        report({**ended, "seconds": time.monotonic() - start, "memory": peak_memory() - before})

    return Attack(run_in_fork(work, timeout=10.0, while_running=watch), opened)


def read_with_opnet(folder: Path) -> None:
    """Read the training samples as a user does."""
    open_dataset(folder).train.all()


def read_with_h5py(folder: Path) -> None:
    """Read the training inputs as h5py alone does."""
    import h5py

    with h5py.File(folder / "shards/train-8-00000.h5", "r") as file:
        file["inputs"][:4]
