"""Files of every form that opnet reads, with some bytes changed where their headers lie, and what reading them does."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import foreign_files
import torch
from damage import RECIPE, write_darcy_files
from fault_injection import peak_memory, run_in_fork

from opnet.core.errors import DataError
from opnet.data.dataset import open_dataset
from opnet.data.generate import generate
from opnet.data.manifest import digest_of
from opnet.data.single_file import SEAL
from opnet.data.store import MANIFEST

HEADER = 4096  # most bytes that say what the others are lie before
PATIENCE = 10.0  # seconds a reader may take
MEMORY = 1 << 30
_CHUNK = 25  # trials in one process


def _store(folder: Path) -> None:
    generate(RECIPE, folder)


def _single_file(folder: Path) -> None:
    generate(RECIPE, folder / "set.h5")


def _believed_store(folder: Path, path: Path) -> None:
    """Let the manifest vouch for a changed shard, as its author could."""
    content = path.read_bytes()
    text = json.loads((folder / MANIFEST).read_text())
    for entry in text["shards"]:
        if entry["file"] == f"shards/{path.name}":
            entry.update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    del text["digest"]
    (folder / MANIFEST).write_bytes(json.dumps({**text, "digest": digest_of(text)}, indent=1).encode() + b"\n")


def _believed_file(folder: Path, path: Path) -> None:
    """Seal a changed file again."""
    content = path.read_bytes()
    content = content[: content.rindex(SEAL)] if SEAL in content else content
    path.write_bytes(content + SEAL + hashlib.sha256(content).hexdigest().encode() + b"\n")


@dataclass(frozen=True)
class Loader:
    """A form of data: how small files of it are written, which are changed, and how they are read.

    Attributes:
        believe: makes digests right again after a change, so that the reader behind them is met.
    """

    write: Callable[[Path], Any]
    files: str
    options: dict[str, Any]
    believe: Callable[[Path, Path], None] | None = None
    inside: str = ""

    def read(self, folder: Path) -> str:
        """Everything read; returns a digest of the values."""
        splits = open_dataset(folder / self.inside, **self.options)
        digest = hashlib.sha256()
        for data in (splits.train, splits.test):
            batch = data.all()
            for values in (batch.inputs, batch.targets):
                digest.update(str(tuple(values.shape)).encode() + values.contiguous().numpy().tobytes())
        return digest.hexdigest()


LOADERS = {
    "store": Loader(_store, "shards/*.h5", {}, _believed_store),
    "single_file": Loader(_single_file, "*.h5", {}, _believed_file, "set.h5"),
    "pdebench": Loader(foreign_files.pdebench_burgers, "*.hdf5", {}),
    "pdebench_grouped": Loader(foreign_files.pdebench_grouped, "*.h5", {}),
    "the_well": Loader(foreign_files.well_folder, "data/*/*.hdf5", {}),
    "matlab_5": Loader(foreign_files.burgers_mat, "*.mat", {}),
    "matlab_73": Loader(foreign_files.navier_stokes_mat, "*.mat", {}),
    "deeponet": Loader(foreign_files.deeponet_aligned, "*.npz", {}),
    "geo_fno": Loader(foreign_files.geo_pipe, "*.npy", {}),
    "planetoid": Loader(foreign_files.planetoid, "ind.*", {}),
    "neuraloperator": Loader(
        write_darcy_files,
        "darcy_t*_4.pt",
        {"format": "neuraloperator", "train_resolution": 4},
    ),
}


@dataclass
class Trials:
    """What reading changed files did.

    Attributes:
        failures: signals, hangs, errors other than `DataError`, and memory beyond `MEMORY`, in words.
        refused: how many files were refused.
        other: how many were read with other values than were written, as data without a digest can be.
    """

    failures: list[str]
    refused: int = 0
    other: int = 0
    number: int = 0


def try_mutations(name: str, folder: Path, seed: int, number: int) -> Trials:
    """Read `number` files of a form, each with other bytes changed."""
    loader, trials, first = LOADERS[name], Trials([], number=number), 0
    original = folder / "original"
    original.mkdir(parents=True)
    loader.write(original)
    expected = loader.read(original)
    while first < number:
        last = min(first + _CHUNK, number)

        def work(report: Callable[[Any], None], first: int = first, last: int = last) -> None:
            torch.set_num_threads(1)
            for trial in range(first, last):
                report(_one(loader, folder, f"{name}-{seed}-{trial}"))

        outcome = run_in_fork(work, timeout=PATIENCE + _CHUNK)
        for trial, said in enumerate(outcome.reports, first):
            _judge(trials, f"{name} {trial}", said, expected)
        done = first + len(outcome.reports)
        if done < last:
            how = "hung" if outcome.timed_out else f"ended by signal {outcome.signal}"
            trials.failures.append(f"{name} {done}: {how}")
            done += 1
        first = done
    shutil.rmtree(folder)
    return trials


def _judge(trials: Trials, where: str, said: dict[str, Any], expected: str) -> None:
    trials.refused += said["error"] == "DataError"
    trials.other += not said["error"] and said["read"] != expected
    if said["error"] not in ("", "DataError"):
        trials.failures.append(f"{where}: {said['error']}: {said['message']}")
    if said["seconds"] > PATIENCE or said["memory"] > MEMORY:
        trials.failures.append(f"{where}: took {said['seconds']:.1f} s and {said['memory'] >> 20} MiB")


def _one(loader: Loader, folder: Path, key: str) -> dict[str, Any]:
    chance = random.Random(key)
    copy = folder / "changed"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder / "original", copy)
    path = chance.choice(sorted(copy.glob(loader.files)))
    content = bytearray(path.read_bytes())
    reach = HEADER if chance.random() < 0.8 else len(content)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(min(reach, len(content)))
        content[place] = chance.choice((0, 0xFF, content[place] ^ 1 << chance.randrange(8), chance.randrange(256)))
    path.write_bytes(content)
    if loader.believe is not None:
        loader.believe(copy, path)
    before, start = peak_memory(), time.monotonic()
    said = {"error": "", "message": "", "read": ""}
    try:
        said["read"] = loader.read(copy)
    except Exception as error:
        said |= {"error": type(error).__name__, "message": str(error)[:300]}
        if isinstance(error, DataError):
            said["error"] = "DataError"
    return {**said, "seconds": time.monotonic() - start, "memory": peak_memory() - before}
