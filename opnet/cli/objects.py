"""Objects that recipes name, with everything wrong about them said in one sentence."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from opnet.cli.recipe import DataOnlyRecipe, DataTable
from opnet.cli.signature import check_arguments
from opnet.core.errors import RecipeError
from opnet.core.registry import lookup
from opnet.data.recipe import DataRecipe
from opnet.solvers.pde.evolution import Evolution
from opnet.solvers.pde.problem import Problem

MADE_KEYS = (
    "problem", "n_train", "n_test", "train_resolution", "resolutions", "dtype", "error_share", "path", "times",
    "frames_in", "frames_out",
)  # fmt: skip


def named(kind: str, name: str, where: str) -> Any:
    """The registered class of a kind; `where` says which key names it."""
    try:
        return lookup(kind, name)
    except ValueError as error:
        raise RecipeError(f"{where}: {error}") from error


def construct(
    target: Any,
    table: Mapping[str, Any],
    where: str,
    *,
    siblings: Collection[str] = (),
    given: Mapping[str, Any] | None = None,
) -> Any:
    """`target(**table, **given)`; `where` opens every message, `siblings` are the keys that its section has besides."""
    given = given or {}
    arguments = check_arguments(target, table, where, tuple(given), siblings)
    try:
        return target(**arguments, **given)
    except ValueError as error:
        # The class's name says nothing to who wrote the recipe.
        said = str(error).removeprefix(f"{target.__name__}.").removeprefix(f"{target.__name__}: ")
        raise RecipeError(f"{where}{said}") from error


def check_data_keys(table: DataTable, keys: Collection[str], kind: str, where: Path) -> None:
    """Raise for a key of `[data]` that was set but means nothing to data of this kind."""
    for key, field in DataTable.model_fields.items():
        if key not in keys and getattr(table, key) != field.get_default():
            raise RecipeError(f"{where}: [data] {key}: unknown key for {kind}; expected one of {', '.join(keys)}")


def data_recipe(recipe: DataOnlyRecipe, where: Path) -> DataRecipe:
    """The store that `[data] problem` describes.

    Raises:
        RecipeError: for a problem that makes no store, or anything wrong about its table.
    """
    table = recipe.data
    problem_class = named("problem", table.problem, f"{where}: [data] problem") if table.problem is not None else None
    if problem_class is None or not issubclass(problem_class, Problem):
        raise RecipeError(
            f"{where}: [data] problem: expected one on grids, which makes a store, found {table.problem!r}"
        )
    check_data_keys(table, MADE_KEYS, "a problem on grids", where)
    if table.times is not None and not issubclass(problem_class, Evolution):
        raise RecipeError(f"{where}: [data] times: unknown key for {table.problem}, which has no time")
    arguments = table.arguments if table.times is None else {**table.arguments, "times": table.times}
    problem = construct(problem_class, arguments, f"{where}: [data] ", siblings=MADE_KEYS)
    if table.n_train is None or table.n_test is None or table.train_resolution is None:
        raise RecipeError(f"{where}: [data]: expected n_train, n_test and train_resolution beside a problem")
    given = {
        "problem": problem,
        "n_train": table.n_train,
        "n_test": table.n_test,
        "train_resolution": table.train_resolution,
        "test_resolutions": table.resolutions,
        "seed": recipe.seed,
        "dtype": table.dtype,
        "error_share": table.error_share,
        "name": recipe.name,
    }
    return construct(DataRecipe, {}, f"{where}: [data] ", given=given)
