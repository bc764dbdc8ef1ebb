"""What each command does, in terms of jobs and run folders."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from opnet.cli.console import Console
from opnet.cli.find_store import find_store
from opnet.cli.graph_job import GraphJob
from opnet.cli.grid_job import GridJob
from opnet.cli.inspection import inspection
from opnet.cli.job import Job
from opnet.cli.objects import data_recipe
from opnet.cli.recipe import lay_over, read_data_recipe, read_recipe
from opnet.cli.run_folder import RunFolder
from opnet.cli.verification import verification
from opnet.core.errors import RecipeError
from opnet.core.registry import KINDS, lookup, names
from opnet.data.dataset import open_dataset
from opnet.data.durable import replace_file
from opnet.data.formats.the_well_write import write_the_well
from opnet.data.generate import generate
from opnet.data.import_dataset import import_dataset
from opnet.data.ranks import launched_rank
from opnet.data.single_file import is_single_file
from opnet.evaluation.records import Record, provenance, results

CONVERTED = ("store", "the_well")
RECIPE_KINDS = ("problem", "format", "graphon", "model", "activation", "stepper", "loss", "metric")


def open_job(
    path: Path, settings: Sequence[str], seed: int | None, *, data: Path | None = None, device: str = "cpu"
) -> Job:
    """The job a recipe describes; its kind is that of its model's domain."""
    recipe = read_recipe(path, with_seed(settings, seed))
    name = recipe.model.model_class
    try:
        domain = lookup("model", name).domain
    except ValueError as error:
        raise RecipeError(f"{path}: [model] class: {error}") from error
    jobs = {"graph": GraphJob, "grid": GridJob}
    if domain not in jobs:
        raise RecipeError(f"{path}: [model] class: expected a model on grids or graphs, found {name}: see `fit_nodes`")
    return jobs[domain](recipe, path, data=data, device=device)


def with_seed(settings: Sequence[str], seed: int | None) -> list[str]:
    """Settings that overrule the recipe's seed too."""
    return [*settings, *([] if seed is None else [f"seed={seed}"])]


def run(job: Job, console: Console, *, out: Path | None, workers: int) -> None:
    """Everything the recipe asks for."""
    folder = RunFolder(job.recipe, out)
    finished = folder.finished_results()
    if finished is not None:
        meta, records = finished
        _check_same_data(job, folder, console, meta["dataset"])
        console.message(f"{folder.path}: everything is finished; reusing it (remove the folder to start again)")
        _show(job, console, records, folder.report)
        return
    seconds: dict[str, float] = {}
    with _timed(seconds, "data"):
        job.prepare_data(folder, console, workers=workers)
    with _timed(seconds, "training"):
        job.train(folder, console)
    with _timed(seconds, "evaluation"):
        records = job.measure(console)
    meta = provenance(
        seed=job.recipe.seed, dataset=job.data_digest, recipe=job.recipe.digest, device=job.device, seconds=seconds
    )
    folder.finish(job.report(records, meta).html(), records, meta)
    _show(job, console, records, folder.report)


def _check_same_data(job: Job, folder: RunFolder, console: Console, digest: str) -> None:
    """Raise unless other people's files are still those that were measured; a recipe determines all other data."""
    if job.recipe.data.format is None:
        return
    job.prepare_data(folder, console)
    if job.data_digest != digest:
        raise RecipeError(
            f"{folder.path}: expected the data it was run on (sha256 {digest[:8]}), "
            f"found others (sha256 {job.data_digest[:8]}); choose another --out"
        )


def train(job: Job, console: Console, *, out: Path | None, workers: int) -> None:
    """Data and training alone."""
    folder = RunFolder(job.recipe, out)
    job.prepare_data(folder, console, workers=workers)
    job.train(folder, console)
    console.answer(f"checkpoints: {folder.checkpoints}")


def generate_store(
    where: Path,
    settings: Sequence[str],
    seed: int | None,
    console: Console,
    *,
    out: Path | None,
    workers: int,
    device: str = "cpu",
    append: bool = False,
) -> None:
    """The recipe's data alone, by default as a shared store beside the recipe."""
    recipe = data_recipe(read_data_recipe(where, with_seed(settings, seed)), where)
    shared = where.parent / "data"
    if out is not None and out.exists() and not out.is_dir() and not is_single_file(out):
        raise RecipeError(f"{out}: expected a folder or a store in one file, found another file")
    if append and out is None:
        raise RecipeError("--append: expected with --out, the store to append to")
    path = out or shared / f"{recipe.name}-{recipe.digest[:8]}"
    if not append and find_store(recipe, path, None, shared, path.parent, console) == path:
        console.message(f"data: reusing {path}")
    else:
        with console.progress("generating") as progress:
            generate(recipe, path, workers=workers, device=device, append=append, progress=progress)
    if launched_rank() == 0:
        show_tables(path, console, None)
        console.answer(f"store: {path}")


def evaluate_run(
    path: Path,
    console: Console,
    *,
    data: Path | None,
    data_format: str | None,
    metrics: Sequence[str],
    out: Path | None,
) -> None:
    """Measure a run's model again, on its own test data or on other data."""
    if data_format is not None and data is None:
        raise ValueError("--format: expected with --data alone, found no --data")
    if out is not None and (out.is_dir() or not out.absolute().parent.is_dir()):
        raise ValueError(f"--out {out}: expected a file in an existing folder")
    held = path / "recipe.toml"
    if not held.exists():
        raise RecipeError(f"{path}: expected a run folder, found no recipe.toml in it")
    folder = RunFolder(read_recipe(held), path)
    folder.finished_results()  # refuses a recipe that was edited after the run
    settings = [f"evaluation.metrics={list(metrics)}"] if metrics else []
    if data is not None:
        settings += ["evaluation.resolutions=[]", "evaluation.subsample=[]"]
    job = open_job(held, settings, None)
    if not isinstance(job, GridJob):
        raise RecipeError(f"{path}: expected a run of an operator on grids, found one of a graph model: run its recipe")
    records = job.measure_again(folder, data, data_format, console)
    title = f"{job.recipe.name} on {job.data_name}"
    if out is not None:
        meta = provenance(seed=job.recipe.seed, dataset=job.data_digest, recipe=job.recipe.digest)
        replace_file(out, results(records, meta).encode())
    console.records(records)
    console.table(title, job.header, job.rows(records))
    if out is not None:
        console.answer(f"results: {out}")


def convert(
    source: Path,
    destination: Path,
    console: Console,
    *,
    data_format: str | None,
    options: Sequence[str],
    to: str,
    name: str | None,
) -> None:
    """Other people's data as a store, or data as other people's readers want them."""
    if to not in CONVERTED:
        raise ValueError(f"--to: expected one of {', '.join(CONVERTED)}, found {to!r}")
    arguments: dict[str, Any] = {}
    for option in options:
        lay_over(arguments, option)
    data = open_dataset(source, format=data_format, **arguments)
    for note in data.notes:
        console.message(f"note: {note}")
    if to == "store":
        with console.progress("converting") as progress:
            import_dataset(data, destination, name=name, progress=progress)
    else:
        plain = re.sub(r"\W+", "_", name or str(data.provenance.get("name", destination.name)))
        write_the_well(data, destination, name=plain if plain.isidentifier() else f"data_{plain}")
    show_tables(destination, console, None)
    console.answer(f"{to}: {destination}")


def verify(path: Path, console: Console, data_format: str | None) -> bool:
    """Read everything at `path` again; whether all of it is as it was written."""
    with console.progress("verifying") as progress:
        found = list(verification(path, data_format, progress))
    rows = [[str(one.path), one.what, one.holds, "sound" if one.error is None else "not sound"] for one in found]
    header = ("path", "what", "holds", "found")
    console.records(
        [{**dict(zip(header, row, strict=True)), "error": one.error} for row, one in zip(rows, found, strict=True)]
    )
    console.table("", header, rows)
    for one in found:
        if one.error is not None:
            console.error(one.error)
    return bool(found) and all(one.error is None for one in found)


def show_tables(path: Path, console: Console, data_format: str | None) -> None:
    """What `path` holds, as tables or JSON."""
    tables = inspection(path, data_format)
    console.records([{"table": t.title, **dict(zip(t.header, row, strict=True))} for t in tables for row in t.rows])
    for table in tables:
        console.table(table.title, table.header, table.rows)


def list_names(kind: str | None, console: Console) -> None:
    """What recipes can name."""
    plurals = {"losses" if name == "loss" else f"{name}s": name for name in KINDS}
    wanted = plurals.get(kind or "", kind)
    if wanted is not None and wanted not in KINDS:
        raise ValueError(f"list: expected one of {', '.join(plurals)}, found {kind!r}")
    rows = [
        [kind, name, _first_sentence(lookup(kind, name))]
        for kind in ([wanted] if wanted else RECIPE_KINDS)
        for name in names(kind)
    ]
    console.records([{"kind": kind, "name": name, "what": what} for kind, name, what in rows])
    console.table("", ["kind", "name", "what"], rows)


def _first_sentence(entry: object) -> str:
    return (entry.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ").strip()


def _show(job: Job, console: Console, records: Sequence[Record], report: Path) -> None:
    console.records(records)
    console.table(job.recipe.name, job.header, job.rows(records))
    console.answer(f"report: {report}")


@contextmanager
def _timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    begin = time.perf_counter()
    yield
    seconds[part] = round(time.perf_counter() - begin, 2)
