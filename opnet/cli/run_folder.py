"""Run folders: where a recipe's data, weights, results and report stand, and what may be reused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tomli_w

from opnet.cli.recipe import Recipe, read_recipe
from opnet.core.errors import RecipeError
from opnet.data.durable import replace_file


class RunFolder:
    """The folder of one recipe: `recipe.toml`, `data/`, `checkpoints/`, `results.json`, `report.html`, `log.csv`.

    Args:
        recipe: the resolved recipe.
        out: the folder; by default `runs/<name>-<digest8>` under the working directory.

    Raises:
        RecipeError: if the folder holds the run of another recipe.
    """

    def __init__(self, recipe: Recipe, out: Path | None = None) -> None:
        self.path = out if out is not None else Path("runs") / f"{recipe.name}-{recipe.digest[:8]}"
        self.recipe = recipe
        held = self.path / "recipe.toml"
        if held.exists():
            other = read_recipe(held).digest
            if other != recipe.digest:
                raise RecipeError(
                    f"{self.path}: expected an empty folder or the run of recipe {recipe.digest[:8]}, "
                    f"found the run of recipe {other[:8]}; choose another --out"
                )
        elif self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise RecipeError(f"{self.path}: expected a new or empty folder or a run, found other content")
        self.path.mkdir(parents=True, exist_ok=True)
        if not held.exists():
            replace_file(held, tomli_w.dumps(recipe.resolved).encode())

    @property
    def data(self) -> Path:
        """Where this run's store stands, if it is not a shared one."""
        return self.path / "data"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def results(self) -> Path:
        return self.path / "results.json"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    def finished_results(self) -> dict[str, Any] | None:
        """The results of an earlier, finished evaluation of this recipe, or None."""
        if not (self.results.exists() and self.report.exists()):
            return None
        content = json.loads(self.results.read_text())
        return content if content["meta"].get("recipe") == self.recipe.digest else None

    def write_log(self, history: list[dict[str, Any]]) -> None:
        """`log.csv`: one line an epoch."""
        if history:
            keys = list(history[0])
            lines = [",".join(keys), *(",".join(str(row.get(key, "")) for key in keys) for row in history)]
            replace_file(self.path / "log.csv", ("\n".join(lines) + "\n").encode())
