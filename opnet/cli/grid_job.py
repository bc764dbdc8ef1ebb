"""The main job on grids: make or read data, train an operator, measure it at every resolution, report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from opnet.cli.baselines import adapt, build_baselines
from opnet.cli.console import Console
from opnet.cli.find_store import find_store
from opnet.cli.grid_report import grid_report, summary
from opnet.cli.job import Job, say_how_trained
from opnet.cli.objects import check_data_keys, construct, data_recipe, named
from opnet.cli.recipe import Recipe
from opnet.cli.run_folder import RunFolder
from opnet.core.errors import DataError, RecipeError
from opnet.data.batch import Dataset
from opnet.data.dataset import DataSplits, open_dataset
from opnet.data.generate import generate
from opnet.data.recipe import DataRecipe
from opnet.evaluation.evaluate import Row, evaluate
from opnet.evaluation.intervals import mean_interval
from opnet.evaluation.records import Record, record
from opnet.evaluation.report import Report
from opnet.models.base import Model
from opnet.models.grid_model import GridModel
from opnet.models.normalised import Normalised
from opnet.models.symmetrised import Symmetrised
from opnet.solvers.pde.problem import Problem
from opnet.spaces.grid import Grid
from opnet.training.checkpoint import load_latest
from opnet.training.fit import fit

FILE_KEYS = ("format", "path", "frames_in", "frames_out")


class GridJob(Job):
    """Data on grids, an operator model, errors against resolution."""

    header = ("model", "metric", "resolution", "inference", "mean", "95 % interval", "data's own error")

    def __init__(self, recipe: Recipe, where: Path, *, data: Path | None = None, device: str = "cpu") -> None:
        super().__init__(recipe, where, data=data, device=device)
        self.architecture = self.new_model()
        if not getattr(self.architecture, "trainable", True):
            raise RecipeError(
                f"{where}: [model] class: expected a model with weights to train, found {recipe.model.model_class}; "
                "[evaluation] baselines measures it beside one"
            )
        self.baselines: list[GridModel] = []
        self.data_recipe: DataRecipe | None = None
        self.splits: DataSplits
        table = recipe.data
        self.data_path = data or (where.parent / table.path if table.path else None)
        if table.problem is not None:
            if data is not None:
                raise RecipeError(f"{where}: expected no --data, since [data] problem says what to make")
            self.data_recipe = data_recipe(recipe, where)
            if table.dtype != self.config.precision:
                raise RecipeError(
                    f"{where}: [data] dtype: expected {self.config.precision!r}, the [training] precision, "
                    f"found {table.dtype!r}"
                )
            problem = self.data_recipe.problem
            channels = self._channels(problem)
            for resolution in {self.data_recipe.train_resolution, *self.data_recipe.test_resolutions}:
                self._check_model(problem.grid(resolution), *channels)
            self._check_evaluation(self.data_recipe.n_train, self.data_recipe.test_resolutions)
            self._build_baselines(*channels)
        elif table.format is not None:
            check_data_keys(table, FILE_KEYS, "files of a foreign format", where)
            reader = named("format", table.format, f"{where}: [data] format")
            construct(reader, table.arguments, f"{where}: [data] ", siblings=FILE_KEYS)
            if self.data_path is None:
                raise RecipeError(
                    f"{where}: [data] path: expected the folder of the files, or --data DIR, found neither"
                )
        else:
            raise RecipeError(f"{where}: [data]: expected a problem to generate or a format to read, found neither")

    def prepare_data(self, folder: RunFolder, console: Console, *, workers: int = 1) -> None:
        if self.data_recipe is None:
            assert self.data_path is not None
            data = open_dataset(self.data_path, format=self.recipe.data.format, **self.recipe.data.arguments)
            self.splits = self._in_windows(data)
            console.message(f"data: {self.recipe.data.format} files in {self.data_path}")
            first = self.splits.train.batch([0])
            self._check_model(self.splits.train.grid, first.inputs.shape[1], first.targets.shape[1])
            self._check_evaluation(len(self.splits.train), self.splits.resolutions)
            self._build_baselines(first.inputs.shape[1], first.targets.shape[1])
            folder.remember_data(self.data_path)
            return
        found = self._find_store(folder, console)
        if found is not None:
            console.message(f"data: reusing {found} (recipe {self.data_recipe.digest[:8]})")
            folder.remember_data(found)
        else:
            found = folder.data
            with console.progress("generating") as progress:
                generate(self.data_recipe, found, workers=workers, progress=progress)
            console.message(f"data: {found} (recipe {self.data_recipe.digest[:8]})")
        self.splits = self._in_windows(open_dataset(found))

    def _channels(self, problem: Problem) -> tuple[int, int]:
        """Of the inputs and targets a model is trained on: frames of trajectories are channels."""
        table, frames = self.recipe.data, len(problem.trajectory_times)
        if (table.frames_in is None) != (frames == 0):
            wanted = f"frames_in, frames of the {frames} of a trajectory" if frames else "no frames_in without times"
            raise RecipeError(f"{self.where}: [data]: expected {wanted}, found {table.frames_in}")
        if table.frames_in is None:
            return len(problem.input_names), len(problem.target_names)
        if table.frames_in + table.frames_out > frames:
            raise RecipeError(
                f"{self.where}: [data] frames_in, frames_out: expected at most {frames} together, the frames of a "
                f"trajectory, found {table.frames_in} and {table.frames_out}"
            )
        return table.frames_in * len(problem.target_names), table.frames_out * len(problem.target_names)

    def _in_windows(self, splits: DataSplits) -> DataSplits:
        """Trajectories as pairs of windows, as the recipe asks; maps as they are."""
        frames_in, frames_out, times = self.recipe.data.frames_in, self.recipe.data.frames_out, splits.train.times
        if (frames_in is None) != (times is None):
            wanted = "no frames_in without trajectories" if times is None else "frames_in, for trajectories"
            raise RecipeError(f"{self.where}: [data]: expected {wanted}, found {frames_in}")
        if frames_in is None:
            return splits
        tests = {n: test.windows(frames_in, frames_out) for n, test in splits.tests.items()}
        return replace(splits, train=splits.train.windows(frames_in, frames_out), tests=tests)

    def train(self, folder: RunFolder, console: Console) -> None:
        train, validation = self._training_data()
        torch.manual_seed(self.recipe.seed)
        model: Model = Normalised(self.new_model(), *train.statistics())
        if self.recipe.model.symmetrise:
            model = Symmetrised(model)
        if self.architecture.needs_data:
            adapt(model, train)
        with console.progress("training") as progress:
            self.run = fit(
                model,
                train,
                loss=self.loss,
                config=self.config,
                validation=validation,
                folder=folder.checkpoints,
                progress=progress,
            )
        folder.write_log(self.run.history)
        say_how_trained(console, "training", self.run)

    def _training_data(self) -> tuple[Dataset, Dataset | None]:
        """What the model is trained on, and what is kept for validation, if any."""
        train = self.splits.train
        held_out = self._held_out(len(train))
        if not held_out:
            return train, None
        cut = len(train) - held_out
        return train.subset(range(cut)), train.subset(range(cut, len(train)))

    def measure(self, console: Console) -> list[Record]:
        assert self.run is not None
        return [*self._measure(self.run.model, console), *self._measure_baselines()]

    def _build_baselines(self, channels_in: int, channels_out: int) -> None:
        table = self.recipe.evaluation.baselines
        self.baselines = build_baselines(table, self.where, channels_in, channels_out, self.recipe.data.frames_out)

    def _measure_baselines(self) -> list[Record]:
        records = []
        for model in self.baselines:
            if model.needs_data:
                adapt(model, self._training_data()[0])
            model.to(self.device, self.config.dtype)
            resolutions = self.recipe.evaluation.resolutions or self.splits.resolutions
            rows = [row for n in resolutions for row in evaluate(model, self.splits.at(n), self.metrics)]
            records += self._model_records(rows, model.registered_name)
        return records

    def _measure(self, model: nn.Module, console: Console) -> list[Record]:
        asked = self.recipe.evaluation
        resolutions = asked.resolutions or self.splits.resolutions
        rows: list[Row] = []
        with console.progress("evaluating") as progress:
            for i, resolution in enumerate(resolutions):
                test = self.splits.at(resolution)
                rows += evaluate(model, test, self.metrics)
                if resolution in asked.subsample:
                    rows += evaluate(
                        model, test, self.metrics, inference="subsample_interpolate", resolution=self.splits.resolution
                    )
                progress(i + 1, len(resolutions), f"resolution {resolution}")
        return [*self._model_records(rows, self.recipe.model.model_class), *self._data_records()]

    def measure_again(
        self, folder: RunFolder, data: Path | None, data_format: str | None, console: Console
    ) -> list[Record]:
        """Records of the model trained in `folder`, on its own test data or, without baselines, on those in `data`."""
        if data is not None:
            self.splits = open_dataset(data, format=data_format)
        elif self.data_recipe is None or self._find_store(folder, console) is not None:
            self.prepare_data(folder, console)
        else:
            raise DataError(f"{folder.data}: expected the run's store, found none; `opnet run` makes it again")
        records = self._measure(load_latest(folder.checkpoints), console)
        return records if data is not None else [*records, *self._measure_baselines()]

    def rows(self, records: Sequence[Record]) -> list[list[Any]]:
        return summary(records)

    def report(self, records: Sequence[Record], meta: dict[str, Any]) -> Report:
        assert self.run is not None
        return grid_report(self.recipe, self.run, self.splits, records, self.rows(records), self.header, meta)

    @property
    def data_digest(self) -> str:
        return self.splits.digest

    @property
    def data_name(self) -> str:
        """What the data call themselves."""
        return self.splits.provenance["name"]

    def _find_store(self, folder: RunFolder, console: Console) -> Path | None:
        assert self.data_recipe is not None
        shared = self.where.parent / "data"
        return find_store(self.data_recipe, folder.data, self.data_path, shared, folder.path.parent, console)

    def _model_records(self, rows: Sequence[Row], model: str) -> list[Record]:
        labels = {
            "model": model,
            "data": self.data_name,
            "seed": self.recipe.seed,
            "split": "test",
        }
        records = [row.record(**labels) for row in rows]
        found = {(row.metric, row.resolution, row.inference): row for row in rows}
        for (metric, resolution, inference), row in found.items():
            other = found.get((metric, resolution, "subsample_interpolate"))
            if inference == "native" and other is not None:
                # Paired by sample: what the weights lose, or gain, by seeing the fine grid themselves.
                mean, low, high = mean_interval(row.per_sample - other.per_sample)
                name = f"{metric} native - subsample_interpolate"
                records.append(record(name, mean, low=low, high=high, resolution=list(resolution), **labels))
        return records

    def _data_records(self) -> list[Record]:
        records = []
        for resolution in self.splits.resolutions:
            test = self.splits.at(resolution)
            for name in ("discretisation_error", "residual"):
                values = getattr(test, name)
                known = None if values is None else values[torch.isfinite(values)]
                if known is not None and len(known):
                    mean, low, high = mean_interval(known)
                    labels = {"data": self.data_name, "split": "test", "resolution": list(test.grid.shape)}
                    records.append(record(name, mean, low=low, high=high, **labels))
        return records

    def _check_evaluation(self, n_train: int, made: Sequence[int]) -> None:
        """Raise for resolutions to measure at that the data do not have, or a share that leaves nothing to train on."""
        asked = self.recipe.evaluation
        if self._held_out(n_train) == n_train:
            raise RecipeError(
                f"{self.where}: [training] validation_share: expected to leave some of {n_train} samples to train on, "
                f"found {self.recipe.training.validation_share}"
            )
        for key, wanted, allowed in (
            ("resolutions", asked.resolutions, made),
            ("subsample", asked.subsample, asked.resolutions or made),
        ):
            absent = sorted(set(wanted) - set(allowed))
            if absent:
                raise RecipeError(
                    f"{self.where}: [evaluation] {key}: expected some of [data] resolutions {list(allowed)}, "
                    f"found {absent}"
                )

    def _held_out(self, n_train: int) -> int:
        """How many of the training samples are kept for validation."""
        return round(self.recipe.training.validation_share * n_train)

    def _check_model(self, grid: Grid, channels_in: int, channels_out: int) -> None:
        """Ask the model for one zero function on `grid`, so that what does not fit is known before any work."""
        if self.architecture.needs_data:
            self._check_channels(channels_in, channels_out)
            return
        try:
            with torch.no_grad():
                answer = self.architecture(torch.zeros(1, channels_in, *grid.shape), grid)
        except ValueError as error:
            raise RecipeError(f"{self.where}: [model] {error}") from error
        if answer.shape[1] != channels_out:
            raise RecipeError(
                f"{self.where}: [model] out_channels: expected {channels_out}, the channels of the data's targets, "
                f"found {answer.shape[1]}"
            )

    def _check_channels(self, *data: int) -> None:
        """The same of a model that answers only once it has seen data."""
        for name, expected in zip(("in_channels", "out_channels"), data, strict=True):
            found = self.architecture.arguments[name]
            if found != expected:
                raise RecipeError(f"{self.where}: [model] {name}: expected {expected}, as the data, found {found}")
