"""Run folders: where a recipe's data, weights, results and report stand, and what may be reused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli_w

from opnet.cli.recipe import Recipe, read_recipe
from opnet.core.errors import DataError, RecipeError
from opnet.data.durable import make_folder, replace_file
from opnet.evaluation.records import Record, read_results, results
from opnet.evaluation.report import flat


class RunFolder:
    """The folder of one recipe: `recipe.toml`, `data/`, `checkpoints/`, `results.json`, `report.html`, `log.csv`.

    Args:
        recipe: the resolved recipe.
        out: the folder; by default `runs/<name>-<digest8>` under the working directory.

    Raises:
        RecipeError: if the folder holds other content, or the run of another recipe that has begun.
    """

    def __init__(self, recipe: Recipe, out: Path | None = None) -> None:
        self.path = out if out is not None else Path("runs") / f"{recipe.name}-{recipe.digest[:8]}"
        self.recipe = recipe
        self.data = self.path / "data"
        self.checkpoints = self.path / "checkpoints"
        self.results = self.path / "results.json"
        self.report = self.path / "report.html"
        self._held = self.path / "recipe.toml"
        if self._held.exists():
            self._check_held()
        elif self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise RecipeError(f"{self.path}: expected a new or empty folder or a run, found other content")
        make_folder(self.path)
        if not self._held.exists():
            self._write_recipe(recipe.resolved)

    def remember_data(self, path: Path) -> None:
        """Note where the data stand that are not the run's own, so that the run can be measured again."""
        if path != self.data:
            resolved = self.recipe.resolved
            self._write_recipe({**resolved, "data": {**resolved["data"], "path": str(path.resolve())}})

    def finish(self, page: str, records: Sequence[Record], meta: dict[str, Any]) -> None:
        """Write report and results; the results vouch for both."""
        replace_file(self.report, page.encode())
        sealed = {**meta, "report": _sha256(page), "records": _sha256(json.dumps(list(records)))}
        replace_file(self.results, results(records, sealed).encode())

    def finished_results(self) -> tuple[dict[str, Any], list[Record]] | None:
        """Meta and records of an earlier, finished evaluation of this recipe, or None.

        Raises:
            DataError: for results or a report that are not as they were written.
        """
        if not self.results.exists():
            return None
        meta, records = read_results(self.results)
        if meta.get("recipe") != self.recipe.digest:
            raise DataError(
                f"{self.results}: expected results of recipe {self.recipe.digest[:8]}, "
                f"found those of {str(meta.get('recipe'))[:8]}; remove the file to measure again"
            )
        page = self.report.read_text(errors="replace") if self.report.exists() else ""
        for path, content, key in ((self.results, json.dumps(records), "records"), (self.report, page, "report")):
            if meta.get(key) != _sha256(content):
                raise DataError(
                    f"{path}: expected the {key} of sha256 {str(meta.get(key))[:8]}, found {_sha256(content)[:8]}; "
                    f"remove {self.results.name} to measure again"
                )
        return meta, records

    def write_log(self, history: list[dict[str, Any]]) -> None:
        """`log.csv`: one line an epoch."""
        if history:
            keys = list(history[0])
            rows = [["" if row[key] is None else str(row[key]) for key in keys] for row in history]
            lines = [",".join(row) for row in [keys, *rows]]
            replace_file(self.path / "log.csv", ("\n".join(lines) + "\n").encode())

    def _check_held(self) -> None:
        other = read_recipe(self._held)
        if other.digest == self.recipe.digest:
            return
        if not (self.data.exists() or self.checkpoints.exists() or self.results.exists()):
            self._held.unlink()  # a run that never began, such as one whose model did not fit the data
            return
        ours, theirs = dict(flat(self.recipe.resolved)), dict(flat(other.resolved))
        differing = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key) and key != "data.path"]
        raise RecipeError(
            f"{self.path}: expected an empty folder or a run of this recipe, found one that differs in "
            f"{', '.join(differing[:4])}; choose another --out"
        )

    def _write_recipe(self, resolved: dict[str, Any]) -> None:
        replace_file(self._held, tomli_w.dumps(resolved).encode())


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
