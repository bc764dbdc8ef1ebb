"""What must hold after a training was killed or terminated, whatever the instant."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from fault_injection import die_at_call, run_in_fork

from opnet.data.batch import ArrayDataset
from opnet.graphs.graph import Graph
from opnet.linops.dense import Dense
from opnet.models.base import Model, build_model
from opnet.models.fno import FNO
from opnet.models.graph_nde import GraphNDE
from opnet.models.normalised import Normalised
from opnet.spaces.grid import Grid
from opnet.spaces.streams import stream
from opnet.training import batches
from opnet.training.checkpoint import newest_checkpoint
from opnet.training.config import FitConfig
from opnet.training.fit import fit

SECONDS_TO_LEAVE = 5.0

_FNO = {"class": FNO.registered_name, "in_channels": 1, "out_channels": 1, "width": 8, "layers": 2}
_SAME = {"shift": [0.0], "scale": [1.0]}
_NORMALISED = {"class": Normalised.registered_name, "model": {**_FNO, "modes": [6]}, "inputs": _SAME, "targets": _SAME}


@dataclass(frozen=True)
class Case:
    """A training to interrupt: with the data in memory or read by batch.

    Only with a checkpoint after every step, at 0 seconds, does each run make the same calls.
    """

    config: dict[str, Any]
    shape: tuple[int, ...]
    training: FitConfig
    in_memory: bool = True
    checkpoint_seconds: float = 0.1
    n: int = 40

    def data(self) -> ArrayDataset:
        grid = Grid(self.shape, nodes="left")
        inputs = torch.from_numpy(stream(0, 5).normal(size=(self.n, 1, *self.shape))).float()
        return ArrayDataset(inputs, inputs.cumsum(-1) * grid.spacing[-1], grid)

    def model(self, seed: int) -> Model:
        torch.manual_seed(seed)
        return build_model(self.config)

    def train(self, folder: Path | None, seed: int = 0, **knobs: Any) -> str:
        """The digest of the final weights. The seed of the first weights matters only where no checkpoint is."""
        whole, limit = self.data(), batches.MEMORY_LIMIT
        batches.MEMORY_LIMIT = limit if self.in_memory else 0
        try:
            run = fit(
                self.model(seed),
                whole.subset(range(4, self.n)),
                config=self.training,
                validation=whole.subset(range(4)),
                folder=folder,
                checkpoint_seconds=self.checkpoint_seconds,
                **knobs,
            )
        finally:
            batches.MEMORY_LIMIT = limit
        digest = hashlib.sha256()
        for values in run.model.state_dict().values():
            digest.update(values.numpy().tobytes())
        return digest.hexdigest()


class GraphCase(Case):
    """A training on trajectories of a diffusion on a ring."""

    def data(self) -> ArrayDataset:
        n = self.shape[0]
        ring = torch.eye(n).roll(1, 0) / 2 + torch.eye(n).roll(-1, 0) / 2
        times = torch.linspace(0, 1, 3)
        start = torch.from_numpy(stream(0, 6).normal(size=(self.n, n, 1))).float()
        laplacian = ring - torch.eye(n)
        targets = torch.stack([torch.linalg.matrix_exp(laplacian * t) @ start for t in times], 1)
        return ArrayDataset(start, targets, Graph(Dense(ring)), times=times)


def cases() -> dict[str, Case]:
    """Three models, trained in three ways."""
    fno = FitConfig(epochs=3, batch_size=8, augmentation="dihedral", schedule="one_cycle", gradient_clip=1.0)
    normalised = FitConfig(epochs=6, batch_size=8, precision="float64", weight_decay=1e-4, seed=1)
    graph = FitConfig(epochs=2, batch_size=8, schedule="step", seed=2)
    return {
        "fno": Case({**_FNO, "modes": [4, 4]}, (16, 16), fno),
        "normalised": Case(_NORMALISED, (64,), normalised),
        "graph_nde": GraphCase({"class": GraphNDE.registered_name, "features": [1, 4, 1]}, (12,), graph, n=20),
    }


def reference(case: Case) -> str:
    """Final weights of the uninterrupted training, which writes nothing; here, so that forks start warm."""
    return case.train(None)


def count_calls(case: Case, folder: Path) -> tuple[int, float]:
    """How many calls that change files one training makes, and the seconds it takes."""

    def work(report: Callable[[Any], None]) -> None:
        count = die_at_call(0)
        case.train(folder)
        report(count())

    outcome = run_in_fork(work)
    shutil.rmtree(folder)
    return outcome.reports[0], outcome.seconds


def kill_at_call(case: Case, folder: Path, number: int) -> list[str]:
    """Faults of a training killed by SIGKILL at its `number`-th call that changes files."""

    def work(report: Callable[[Any], None]) -> None:
        die_at_call(number)
        case.train(folder)

    outcome = run_in_fork(work)
    return [] if outcome.signal == signal.SIGKILL else [f"expected SIGKILL, found {outcome.signal}, {outcome.reports}"]


def kill_after(case: Case, folder: Path, seconds: float) -> list[str]:
    """Faults of a training killed by SIGKILL after some seconds."""
    outcome = run_in_fork(lambda report: report(case.train(folder)), kill_after=seconds)
    return [f"failed by itself: {value}" for value in outcome.reports if isinstance(value, dict)]


def terminate_after(case: Case, folder: Path, seconds: float) -> list[str]:
    """Faults of how a training ends that is sent SIGTERM after some seconds."""

    def work(report: Callable[[Any], None]) -> None:
        def send() -> None:
            report(time.monotonic())
            os.kill(os.getpid(), signal.SIGTERM)

        timer = threading.Timer(seconds, send)
        timer.daemon = True
        timer.start()
        case.train(folder)

    outcome = run_in_fork(work)
    ended = time.monotonic()
    sent = [value for value in outcome.reports if isinstance(value, float)]
    left = [value for value in outcome.reports if isinstance(value, dict)]
    if left and left != [{"error": "SystemExit", "message": "143"}]:
        return [f"left by {left}"]
    if sent and ended - sent[0] > SECONDS_TO_LEAVE:
        return [f"took {ended - sent[0]:.1f} s to leave"]
    if left and newest_checkpoint(folder)[0] is None:
        return ["left without a checkpoint"]
    return []


def faults_of_resuming(case: Case, folder: Path, expected: str) -> list[str]:
    """What is wrong with what an interrupted training left, and with what going on makes of it; then tidies up."""
    checkpoint, notes = newest_checkpoint(folder) if folder.exists() else (None, [])
    faults = [f"a damaged checkpoint: {note}" for note in notes]
    # Before the first checkpoint the first weights are the caller's to repeat; after it, others must not matter.
    resumed = run_in_fork(lambda report: report(case.train(folder, seed=0 if checkpoint is None else 1)))
    if resumed.reports != [expected]:
        faults.append(f"expected final weights {expected[:12]}, found {resumed.reports}")
    if any(not path.name.startswith("step-") for path in folder.iterdir()):
        faults.append(f"leftovers: {[path.name for path in folder.iterdir()]}")
    shutil.rmtree(folder)
    return faults
