"""What `opnet inspect` prints of a store, a foreign data folder, a checkpoint, a run folder or a results file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opnet.cli.recipe import read_recipe
from opnet.core.errors import DataError
from opnet.data.describe import describe
from opnet.evaluation.records import read_results
from opnet.evaluation.report import flat
from opnet.training.checkpoint import describe_checkpoint


@dataclass(frozen=True)
class InspectionTable:
    """One table of an inspection."""

    title: str
    header: tuple[str, ...]
    rows: list[list[Any]]


def inspection(path: Path, data_format: str | None = None) -> list[InspectionTable]:
    """Tables of what `path` holds.

    Raises:
        DataError: if it is none of the things opnet writes or reads, or a damaged one.
    """
    if not path.exists():
        raise DataError(f"{path}: expected a store, data folder, checkpoint, run folder or results file, found nothing")
    if path.suffix == ".json":
        return _results(path)
    if (path / "recipe.toml").exists():
        return _run_folder(path)
    if path.name == "checkpoints" and (steps := sorted(path.glob("step-*"))):
        path = steps[-1]
    if (path / "state.json").exists():
        return [_plain("checkpoint", describe_checkpoint(path))]
    return _data(describe(path, format=data_format))


def _run_folder(path: Path) -> list[InspectionTable]:
    recipe = read_recipe(path / "recipe.toml")
    tables = [_plain(f"run of {recipe.name}", {"recipe digest": recipe.digest, **recipe.resolved})]
    if (path / "data" / "manifest.json").exists():
        tables += inspection(path / "data")
    checkpoints = sorted((path / "checkpoints").glob("step-*"))
    if checkpoints:
        tables += inspection(checkpoints[-1])
    if (path / "results.json").exists():
        tables += _results(path / "results.json")
    return tables


def _results(path: Path) -> list[InspectionTable]:
    meta, records = read_results(path)
    labels = list(dict.fromkeys(key for r in records for key in r))
    rows = [[_text(r.get(key, "")) for key in labels] for r in records]
    return [InspectionTable("results", tuple(labels), rows), _plain("made by", meta)]


def _data(content: Mapping[str, Any]) -> list[InspectionTable]:
    """The splits side by side, then what the data say of themselves."""
    splits = {k: dict(flat(v)) for k, v in content.items() if isinstance(v, Mapping) and "samples" in v}
    about = {k: v for k, v in content.items() if k not in (*splits, "provenance") and v not in ([], {})}
    about |= content.get("provenance", {})
    keys = dict.fromkeys(key for values in splits.values() for key in values)
    rows = [[key, *(_text(values.get(key, "")) for values in splits.values())] for key in keys]
    return [InspectionTable("splits", ("", *splits), rows), _plain("about", about)]


def _plain(title: str, content: Mapping[str, Any]) -> InspectionTable:
    return InspectionTable(title, ("", ""), [[key, _text(value)] for key, value in flat(content)])


def _text(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    return json.dumps(value) if isinstance(value, (list, dict)) else value
