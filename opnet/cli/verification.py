"""What `opnet verify` checks: every byte of a store, a checkpoint, a run folder or a folder of other people's files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from opnet.cli.recipe import read_recipe
from opnet.cli.run_folder import RunFolder
from opnet.core.errors import DataError
from opnet.core.progress import Progress, silent
from opnet.data.describe import describe
from opnet.data.single_file import is_single_file
from opnet.data.store import MANIFEST, Store
from opnet.training.checkpoint import describe_checkpoint


@dataclass(frozen=True)
class Verified:
    """One thing that was read whole.

    Attributes:
        path: where it stands.
        what: shards of a store, checkpoint, results.
        holds: how much of it there is.
        error: what is wrong with it; None where nothing is.
    """

    path: Path
    what: str
    holds: str
    error: str | None = None


def verification(path: Path, data_format: str | None = None, progress: Progress = silent) -> Iterator[Verified]:
    """Everything in `path`, read and checked against the digests that vouch for it.

    Raises:
        DataError: if `path` is none of the things opnet writes or reads.
    """
    if not path.exists():
        raise DataError(f"{path}: expected a store, data folder, checkpoint or run folder, found nothing")
    if (path / "recipe.toml").exists():
        yield from _run_folder(path, progress)
    elif (path / MANIFEST).exists() or is_single_file(path):
        yield from _store(path, progress)
    elif path.name == "checkpoints":
        yield from map(_checkpoint, sorted(path.glob("step-*")))
    elif (path / "state.json").exists():
        yield _checkpoint(path)
    else:
        yield _checked(
            path, "data", lambda: f"{describe(path, format=data_format)['train']['samples']} samples to train on"
        )


def _run_folder(path: Path, progress: Progress) -> Iterator[Verified]:
    if (path / "data" / MANIFEST).exists():
        yield from _store(path / "data", progress)
    yield from map(_checkpoint, sorted((path / "checkpoints").glob("step-*")))
    folder = RunFolder(read_recipe(path / "recipe.toml"), path)
    if folder.results.exists():
        yield _checked(
            folder.results, "results and report", lambda: f"{len((folder.finished_results() or ({}, []))[1])} records"
        )


def _store(path: Path, progress: Progress) -> Iterator[Verified]:
    try:
        store = Store.open(path)
    except DataError as error:
        yield Verified(path, "store", "", str(error))
        return
    planned = sum(samples for _, _, samples in store.manifest.splits)
    found = sum(map(len, store.manifest.shards))
    damaged = [
        Verified(path / entry.file, "shard", f"{len(entry)} samples", str(error))
        for entry, error in store.verified(progress)
        if error is not None
    ]
    yield from damaged
    wrong = None if store.complete else f"{path}: expected {planned} samples, found {found}: it is unfinished"
    if damaged:
        wrong = f"{path}: expected all shards sound, found {len(damaged)} of {len(store.manifest.shards)} damaged"
    yield Verified(path, "store", f"{found} samples in {len(store.manifest.shards)} shards", wrong)


def _checkpoint(path: Path) -> Verified:
    return _checked(path, "checkpoint", lambda: f"step {describe_checkpoint(path)['step']}")


def _checked(path: Path, what: str, read: Callable[[], str]) -> Verified:
    try:
        return Verified(path, what, read())
    except DataError as error:
        return Verified(path, what, "", str(error))
