"""Finding a finished store of the data a recipe asks for."""

from __future__ import annotations

from pathlib import Path

from opnet.cli.console import Console
from opnet.core.errors import DataError
from opnet.data.generate import DataRecipe
from opnet.data.store import Store


def find_store(
    recipe: DataRecipe, own: Path, used: Path | None, shared: Path, runs: Path, console: Console
) -> Path | None:
    """A complete store with the recipe's digest: the run's own or used one, a shared one, or that of a run beside it.

    Args:
        recipe: what the store must hold.
        own: the run's own store; an unfinished one there is left for `generate` to go on with.
        used: the store the run used before, if it is not its own.
        shared: the folder of shared stores, `datasets/<name>/data`.
        runs: the folder in which the run lies; its neighbours' stores serve as well.

    Raises:
        DataError: if the run's own store is damaged; damaged stores elsewhere are passed over, and `console` says so.
    """
    if (own / "manifest.json").exists():
        store = Store.open(own)
        return own if store.complete and store.recipe_digest == recipe.digest else None
    for folder in [*([used] if used else []), *sorted(shared.glob("*/")), *sorted(runs.glob("*/data/"))]:
        try:
            store = Store.open(folder)
            if store.complete and store.recipe_digest == recipe.digest:
                store.verify()
                return folder
        except (DataError, FileNotFoundError) as error:
            console.message(f"data: passing over {folder}: {error}")
    return None
