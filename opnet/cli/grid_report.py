"""The report of a grid job, made from its records, its loss history and a few sample fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from opnet.cli.recipe import Recipe
from opnet.data.dataset import DataSplits
from opnet.evaluation.plots import draw, plot_error_against_resolution, plot_history, plot_samples
from opnet.evaluation.predict import predict
from opnet.evaluation.records import Record
from opnet.evaluation.report import Report, flat
from opnet.models.base import Model
from opnet.training.fit import Run


def summary(records: Sequence[Record]) -> list[list[Any]]:
    """The summary table: a row a model, metric, resolution and way of inferring, the data's error bar beside it."""
    data_error = {tuple(r["resolution"]): r["value"] for r in records if r["name"] == "discretisation_error"}
    rows = []
    for r in records:
        if "inference" in r or " - " in r["name"]:
            resolution = tuple(r["resolution"])
            own = f"{data_error[resolution]:.2g}" if r["name"] == "RelativeL2" and resolution in data_error else ""
            interval = f"[{r['low']:.4f}, {r['high']:.4f}]" if "low" in r else ""
            size = " x ".join(map(str, resolution))
            rows.append([r["model"], r["name"], size, r.get("inference", "paired"), r["value"], interval, own])
    return rows


def grid_report(
    recipe: Recipe,
    run: Run,
    splits: DataSplits,
    records: Sequence[Record],
    rows: Sequence[Sequence[Any]],
    header: Sequence[str],
    meta: dict[str, Any],
) -> Report:
    """The page of a grid job."""
    model = run.model
    assert isinstance(model, Model)
    train = splits.train
    at = _size(train.grid.shape)
    lead = f"{recipe.model.model_class} trained on {len(train)} samples of {splits.provenance['name']} at {at}."
    report = Report(recipe.name, lead)
    report.heading("How wrong is it?")
    report.table(header, rows)
    report.text(
        f"Means over {len(splits.test)} test samples the model never saw, with 95 % bootstrap intervals of the mean. "
        f"The model was trained at {at} alone; native: it runs on each other resolution with the same weights."
    )
    if recipe.evaluation.baselines:
        names = ", ".join(baseline.model_class for baseline in recipe.evaluation.baselines)
        report.text(f"Baselines, without weights to train: {names}. A model is worth what it gains on them.")
    if recipe.evaluation.subsample:
        report.text(
            f"subsample_interpolate: the input is taken at every s-th node, down to {at}; the answer is brought back "
            "by its sine series; paired: the mean difference of the two, sample by sample; if negative, the fine grid "
            "helps."
        )
    if any(r["name"] == "discretisation_error" for r in records):
        report.text(
            "The data's own error is the estimated relative L2 distance of the test solutions to the exact ones: no "
            "model can be known to be better than that."
        )
    errors = draw(plot_error_against_resolution, records, recipe.evaluation.metrics[0])
    report.figures(
        (errors, "Error against resolution, and the data's own error where it is known."),
        (draw(plot_history, run.history), f"Training: {recipe.training.loss} against epoch."),
    )
    _sample_figures(report, model, splits, recipe.evaluation.pictures)
    report.heading("Cost")
    seconds = ", ".join(f"{part} {value:.0f} s" for part, value in meta["seconds"].items())
    report.text(f"{model.n_parameters:,} real parameters; {run.steps:,} steps. Time spent: {seconds}.")
    report.heading("Data")
    report.table(["", ""], [[key, str(value)] for key, value in flat(splits.provenance)])
    for note in splits.notes:
        report.text(note)
    report.reproduction(recipe.resolved, meta, records)
    return report


def _sample_figures(report: Report, model: Model, splits: DataSplits, count: int) -> None:
    if count == 0:
        return
    report.heading("What does it look like?")
    shown: set[tuple[int, ...]] = set()
    for resolution in (splits.resolution, max(splits.resolutions)):
        test = splits.at(resolution)
        if test.grid.shape in shown:
            continue
        shown.add(test.grid.shape)
        batch = test.batch(range(min(count, len(test))))
        with torch.no_grad():
            predictions = predict(model, batch)
        titles = [f"test sample {i}" for i in range(len(batch.inputs))]
        image = plot_samples(batch.inputs, batch.targets, predictions, test.grid, titles)
        report.figures((image, f"The first test samples at {_size(test.grid.shape)}."))


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
