"""`generate`: from a recipe to a finished store, resumable after any interruption."""

from __future__ import annotations

import os
from pathlib import Path

from opnet.core.progress import Progress, silent
from opnet.data.durable import commit, make_folder, remove_temporaries, sole_writer
from opnet.data.make_shard import made_shards
from opnet.data.recipe import DataRecipe
from opnet.data.store import MANIFEST, Store

__all__ = ["DataRecipe", "generate"]


def generate(recipe: DataRecipe, out: str | Path, *, workers: int = 1, progress: Progress = silent) -> Store:
    """Make the store that `recipe` describes in the folder `out`, or finish the one that is there.

    A finished store of the same recipe is returned as it is. An interrupted one is resumed: its acknowledged shards are
    verified and kept, whatever else the killed run left is removed. The bytes of the finished store do not depend on
    the number of workers or of interruptions, on one kind of processor and one set of software versions.

    Args:
        recipe: what to make.
        out: a store of this recipe, an empty folder, or a path where nothing is yet.
        workers: processes that solve shards; each uses one thread.
        progress: called with the samples done and in all.

    Raises:
        ValueError: if `out` holds another recipe's store, one begun with other software versions, or other files, or
            if another process is writing there.
        DataError: if an acknowledged shard or the manifest is damaged.
        SolveError: if a sample cannot be solved; what was acknowledged before stays.
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
    out = Path(out)
    make_folder(out)
    with sole_writer(out):
        store = _begin(recipe, out)
        if store.complete:
            return store
        acknowledged = {entry.file for entry in store.manifest.shards}
        missing = [plan for plan in recipe.shards if plan.file not in acknowledged]
        total = sum(samples for _, _, samples in store.manifest.splits)
        done = sum(len(entry) for entry in store.manifest.shards)
        progress(done, total)
        with made_shards(recipe, missing, out, workers) as shards:
            for temporary, entry in shards:
                commit(temporary, out / entry.file)
                store.acknowledge(entry)
                done += len(entry)
                progress(done, total, f"{entry.split} at {entry.resolution}")
    return store


def _begin(recipe: DataRecipe, out: Path) -> Store:
    """The store to go on with: the one in `out`, cleaned and verified, or a new one."""
    remove_temporaries(out)
    fresh = recipe.new_manifest()
    if not os.path.lexists(out / MANIFEST):
        strange = sorted(entry.name for entry in out.iterdir() if entry.name != "shards")
        if strange:
            raise ValueError(f"{out}: expected a store or an empty folder, found {', '.join(strange[:5])}")
        make_folder(out / "shards")
        _remove_unacknowledged(recipe, out, set())
        return Store.create(out, fresh)
    store = Store.open(out)
    found = store.manifest
    if found.recipe_digest != recipe.digest:
        raise ValueError(
            f"{out}: expected a store of the recipe {recipe.digest}, found one of {found.recipe_digest} "
            f"({found.name!r}); choose another folder"
        )
    if store.complete:
        return store
    if found.software != fresh.software:
        raise ValueError(
            f"{out}: expected an unfinished store begun with {fresh.software}, found {found.software}; "
            "finish it with those versions or choose another folder"
        )
    _remove_unacknowledged(recipe, out, {entry.file for entry in found.shards})
    store.verify()
    return store


def _remove_unacknowledged(recipe: DataRecipe, out: Path, acknowledged: set[str]) -> None:
    """Remove what a killed run left: temporary files, and shards written but not yet named by the manifest."""
    remove_temporaries(out / "shards")
    for plan in recipe.shards:
        if plan.file not in acknowledged:
            (out / plan.file).unlink(missing_ok=True)
