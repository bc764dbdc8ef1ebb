"""`generate`: from a recipe to a finished store, resumable after any interruption."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from opnet.core.progress import Progress, silent
from opnet.data.durable import commit, make_folder, remove_temporaries, sole_writer, write_temporary
from opnet.data.make_shard import Made, made_shards
from opnet.data.manifest import Manifest
from opnet.data.ranks import Ranks, joined_ranks, launched_size
from opnet.data.recipe import DataRecipe, ShardPlan
from opnet.data.single_file import SUFFIX, check_fits, pack
from opnet.data.store import MANIFEST, Store

__all__ = ["DataRecipe", "generate"]

GROWING = ("n_train", "n_test")
DEVICES = ("cpu", "cuda")


def generate(
    recipe: DataRecipe,
    out: str | Path,
    *,
    workers: int = 1,
    device: str = "cpu",
    append: bool = False,
    progress: Progress = silent,
) -> Store:
    """Make the store that `recipe` describes in the folder `out`, or finish the one that is there.

    A finished store of the same recipe is returned as it is. An interrupted one is resumed: its acknowledged shards are
    verified and kept, whatever else the killed run left is removed. The bytes of the finished store do not depend on
    the number of workers, ranks or interruptions, on one kind of processor and one set of software versions.

    Started by `torchrun`, on one machine or on several that share the file system of `out`, every process makes its
    share of the shards; rank 0 alone acknowledges them.

    Args:
        recipe: what to make.
        out: a store of this recipe, an empty folder, or a path where nothing is yet. A name that ends in ".h5" asks for
            one file, of at most 1 GiB; until it is finished a hidden folder beside it holds what there is.
        workers: processes that solve shards; each uses one thread. 1 under `torchrun` and on a GPU.
        device: where to solve; the store names its kind, whose bytes are its own.
        append: let a store grow whose recipe differs in smaller n_train or n_test alone. Its shards are kept as they
            are, and new ones begin where they end; a store made at once may be cut elsewhere.
        progress: called with the samples done and in all.

    Raises:
        ValueError: for a device that is not there; if `out` holds another recipe's store, one begun with other software
            versions, or other files, or if another process is writing there.
        DataError: if an acknowledged shard or the manifest is damaged.
        SolveError: if a sample cannot be solved; what was acknowledged before stays.
        LostWorkerError: if a worker or another rank ended or failed; what was acknowledged before stays.
        OSError: for a full disk; what was acknowledged before stays.

    >>> import tempfile
    >>> from opnet.data.dataset import open_dataset
    >>> from opnet.solvers.pde.darcy import Darcy
    >>> recipe = DataRecipe(problem=Darcy(), n_train=3, n_test=2, train_resolution=8, test_resolutions=(16,))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = generate(recipe, folder)
    ...     data = open_dataset(folder)
    ...     data.train.batch([2, 0]).inputs.shape, data.resolutions, store.recipe_digest == recipe.digest
    (torch.Size([2, 1, 8, 8]), (8, 16), True)
    """
    if workers < 1:
        raise ValueError(f"workers: expected at least 1, found {workers}")
    _check_device(device)
    out = Path(out)
    if out.suffix == SUFFIX:
        if append or launched_size() > 1:
            raise ValueError(f"{out}: expected a folder with append and under torchrun, found a file's name")
        return _generate_file(recipe, out, workers, device, progress)
    with joined_ranks() as ranks:
        if workers > 1 and (ranks.size > 1 or device != "cpu"):
            raise ValueError(f"workers: expected 1 under torchrun and on a GPU, found {workers}")
        if ranks.rank > 0:
            plans = ranks.share(None)[0]
            for _ in ranks.made(recipe, plans, out, device):
                pass
            ranks.share(None)  # until rank 0 has acknowledged the last of them
            return Store.open(out)
        with _failing_together(ranks):
            make_folder(out)
            with sole_writer(out):
                store = _begin(recipe, out, device.partition(":")[0], append)
                plans = _missing(recipe, store.manifest)
                if ranks.size > 1:
                    ranks.share(plans)
                if plans:
                    with _made(recipe, plans, out, workers, device, ranks) as shards:
                        _acknowledge(store, shards, progress)
                if ranks.size > 1:
                    ranks.share(None)
    return store


def _check_device(device: str) -> None:
    kind = device.partition(":")[0]
    try:
        if kind not in DEVICES:
            raise RuntimeError(f"expected one of {', '.join(DEVICES)}")
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # torch says either
        said = str(error).splitlines()[0]
        raise ValueError(
            f"device: expected one that can be used here, such as 'cpu', found {device!r}: {said}"
        ) from error


def _generate_file(recipe: DataRecipe, out: Path, workers: int, device: str, progress: Progress) -> Store:
    folder = out.with_name(f".{out.name}.unfinished")
    if out.exists():
        store = Store.open(out)
        if store.recipe_digest != recipe.digest:
            raise ValueError(
                f"{out}: expected a store of the recipe {recipe.digest}, found one of {store.recipe_digest}; choose "
                "another name"
            )
        shutil.rmtree(folder, ignore_errors=True)  # of a run killed just before its end
        return store
    check_fits(recipe, out)
    store = generate(recipe, folder, workers=workers, device=device, progress=progress)
    with sole_writer(folder):
        # Begun in the folder, where the next run would find and remove what a killed one leaves.
        content = pack(store.manifest, [store.shard(entry) for entry in store.manifest.shards])
        commit(write_temporary(folder / out.name, content), out)
        shutil.rmtree(folder)
    return Store.open(out)


def _acknowledge(store: Store, shards: Iterable[Made], progress: Progress) -> None:
    total = sum(samples for _, _, samples in store.manifest.splits)
    done = sum(len(entry) for entry in store.manifest.shards)
    progress(done, total)
    for temporary, entry in shards:
        commit(temporary, store.path / entry.file)
        store.acknowledge(entry)
        done += len(entry)
        progress(done, total, f"{entry.split} at {entry.resolution}")


@contextmanager
def _made(
    recipe: DataRecipe, plans: list[ShardPlan], out: Path, workers: int, device: str, ranks: Ranks
) -> Iterator[Iterable[Made]]:
    if ranks.size > 1:
        yield ranks.made(recipe, plans, out, device)
    else:
        with made_shards(recipe, plans, out, workers, device) as shards:
            yield shards


@contextmanager
def _failing_together(ranks: Ranks) -> Iterator[None]:
    """Tell the other ranks of an error of this one, which they would wait for otherwise."""
    try:
        yield
    except Exception as error:
        if ranks.size > 1 and not ranks.failing:
            ranks.share(None, error)
        raise


def _missing(recipe: DataRecipe, manifest: Manifest) -> list[ShardPlan]:
    """What is to be made: the samples that no shard has, cut at multiples of the shard's size."""
    plans = []
    for plan in recipe.shards:
        start = plan.start
        for entry in manifest.shards_of(plan.split, plan.resolution):
            if entry.start <= start < entry.stop:
                start = entry.stop
        if start < plan.stop:
            plans.append(plan if start == plan.start else plan.beginning_at(start))
    return plans


def _begin(recipe: DataRecipe, out: Path, device: str, append: bool) -> Store:
    """The store to go on with: the one in `out`, cleaned and verified, or a new one."""
    remove_temporaries(out)
    fresh = recipe.new_manifest(device)
    if not os.path.lexists(out / MANIFEST):
        strange = sorted(entry.name for entry in out.iterdir() if entry.name != "shards")
        if strange:
            raise ValueError(f"{out}: expected a store or an empty folder, found {', '.join(strange[:5])}")
        make_folder(out / "shards")
        _remove_unacknowledged(out, set())
        return Store.create(out, fresh)
    store = Store.open(out)
    found = store.manifest
    grows = append and found.recipe_digest != recipe.digest
    if grows:
        _check_grows(recipe, found, out)
    elif found.recipe_digest != recipe.digest:
        raise ValueError(
            f"{out}: expected a store of the recipe {recipe.digest}, found one of {found.recipe_digest} "
            f"({found.name!r}); choose another folder"
        )
    elif store.complete:
        return store
    if (found.software, found.device) != (fresh.software, fresh.device):
        raise ValueError(
            f"{out}: expected a store begun with {fresh.software} on {fresh.device}, found {found.software} on "
            f"{found.device}; go on with those or choose another folder"
        )
    _remove_unacknowledged(out, {entry.file for entry in found.shards})
    store.verify()
    if grows:
        store = Store.create(out, replace(fresh, shards=found.shards))
    return store


def _check_grows(recipe: DataRecipe, found: Manifest, out: Path) -> None:
    ours, theirs = recipe.description, found.recipe
    for key in sorted({*ours, *theirs} - set(GROWING)):
        if ours.get(key) != theirs.get(key):
            raise ValueError(
                f"{out}: {key}: expected that of the store to append to, {theirs.get(key)!r:.200}, found "
                f"{ours.get(key)!r:.200}"
            )
    for key in GROWING:
        if ours[key] < theirs[key]:
            raise ValueError(f"{out}: {key}: expected at least the {theirs[key]} samples there are, found {ours[key]}")
    if not found.complete:
        raise ValueError(f"{out}: expected a finished store to append to, found an unfinished one: finish it first")


def _remove_unacknowledged(out: Path, acknowledged: set[str]) -> None:
    """Remove what a killed run left: temporary files, and shards written but not yet named by the manifest."""
    remove_temporaries(out / "shards")
    for path in (out / "shards").glob("*.h5"):
        if f"shards/{path.name}" not in acknowledged:
            path.unlink()
