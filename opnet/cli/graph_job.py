"""The job on graphs: how a model approaches its infinite-node limit, and what a trained one loses on larger graphs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from opnet.cli.console import Console
from opnet.cli.graph_report import graph_report, summary
from opnet.cli.job import Job, say_how_trained
from opnet.cli.objects import check_data_keys, construct, named
from opnet.cli.recipe import ConvergenceTable, GraphonTable, Recipe, StudyTable, TransferTable
from opnet.cli.run_folder import RunFolder
from opnet.cli.signature import check_arguments
from opnet.core.errors import RecipeError, SolveError
from opnet.core.registry import lookup, names
from opnet.data.batch import ArrayDataset
from opnet.data.graph_trajectories import graph_trajectories
from opnet.data.manifest import digest_of
from opnet.data.recipe import TEST_OFFSET
from opnet.evaluation.convergence import ConvergenceStudy
from opnet.evaluation.evaluate import evaluate
from opnet.evaluation.graphon_study import check_graph_sizes, study_graphon
from opnet.evaluation.predict import predict
from opnet.evaluation.records import Record
from opnet.evaluation.report import Report
from opnet.evaluation.transfer import TransferStudy, measure_transfer
from opnet.graphs.graphon import Graphon
from opnet.graphs.sampling import REGIMES
from opnet.solvers.pde.graph_dynamics import GraphDynamics
from opnet.training.fit import Run, fit

DATA_KEYS = ("problem", "graphon", "regime", "times", "n_train", "n_test")
PARTS = {"same graph": "graph", "limit": "limit"}


class GraphJob(Job):
    """Graphons, graphs drawn from them, a graph model, errors against the number of nodes."""

    header = ("what", "graphon", "part", "value", "95 % interval", "theory")

    def __init__(self, recipe: Recipe, where: Path, *, data: Path | None = None, device: str = "cpu") -> None:
        super().__init__(recipe, where, data=data, device=device)
        if data is not None:
            raise RecipeError(f"{where}: expected no --data, since graph recipes make their own trajectories")
        check_data_keys(recipe.data, DATA_KEYS, "graphs", where)
        for key, value, none in (
            ("[training] validation_share", recipe.training.validation_share, 0.0),
            ("[training] augmentation", self.config.augmentation, "none"),
            ("[model] symmetrise", recipe.model.symmetrise, False),
        ):
            if value != none:
                raise RecipeError(f"{where}: {key}: expected {none!r} for graphs, found {value!r}")
        if len(self.metrics) != 1:
            raise RecipeError(f"{where}: [evaluation] metrics: expected one for graphs, found {len(self.metrics)}")
        if recipe.evaluation.baselines:
            raise RecipeError(f"{where}: [evaluation] baselines: expected none, since they are models on grids")
        problem = named("problem", recipe.data.problem or "", f"{where}: [data] problem")
        if not issubclass(problem, GraphDynamics):
            known = [name for name in names("problem") if issubclass(lookup("problem", name), GraphDynamics)]
            raise RecipeError(
                f"{where}: [data] problem: expected one of {', '.join(known)}, found {recipe.data.problem!r}"
            )
        self.dynamics = construct(problem, recipe.data.arguments, f"{where}: [data] ", siblings=DATA_KEYS)
        if recipe.data.graphon is None or recipe.data.n_train is None or recipe.data.n_test is None:
            raise RecipeError(f"{where}: [data]: expected graphon, n_train and n_test beside a problem on graphs")
        times = recipe.data.times or (0.0, 1.0)
        if not isinstance(times, tuple) or len(times) < 2 or any(a >= b for a, b in pairwise(times)):
            raise RecipeError(f"{where}: [data] times: expected two or more in ascending order, found {times}")
        self.times = times
        self.graphon = self._graphon(recipe.data.graphon, recipe.data.regime, "[data]")
        self.architecture = self.new_model()
        self.convergence = recipe.evaluation.convergence or ConvergenceTable.model_validate({})
        self.studies = [(self._study_graphon(t), t) for t in self.convergence.studies]
        if recipe.evaluation.transfer is None:
            raise RecipeError(f"{where}: [evaluation.transfer]: expected sizes_train and sizes_test, found none")
        self.transfer: TransferTable = recipe.evaluation.transfer
        self._try_out()
        self.runs: dict[tuple[int, int], Run] = {}
        self.convergence_studies: dict[str, ConvergenceStudy] = {}
        self.transfer_study: TransferStudy | None = None

    def prepare_data(self, folder: RunFolder, console: Console, *, workers: int = 1) -> None:
        console.message(f"data: {self.dynamics.equation}; trajectories are solved as they are needed")

    def train(self, folder: RunFolder, console: Console) -> None:
        cells = [(n, seed) for n in self.transfer.sizes_train for seed in range(self.transfer.seeds)]
        for n, seed in cells:
            torch.manual_seed(self.recipe.seed + seed)
            model = self.new_model()
            data = self._data(n, "train", "graph")
            with console.progress(f"training at n = {n}, seed {seed}") as progress:
                self.runs[n, seed] = fit(
                    model,
                    data,
                    loss=self.loss,
                    config=replace(self.config, seed=self.config.seed + seed),
                    folder=folder.checkpoints / f"n{n}-seed{seed}",
                    progress=progress,
                )
            say_how_trained(console, f"training at n = {n}, seed {seed}", self.runs[n, seed])
        folder.write_log([{"n": n, "seed": seed, **row} for (n, seed), run in self.runs.items() for row in run.history])

    def measure(self, console: Console) -> list[Record]:
        records: list[Record] = []
        with console.progress("orders of convergence") as progress:
            for i, (W, table) in enumerate(self.studies):
                progress(i, len(self.studies), W.name)
                study = study_graphon(W, table.sizes, range(self.convergence.seeds), regime=table.regime)
                self.convergence_studies[f"{W.name}, n = {table.sizes[0]} ... {table.sizes[-1]}"] = study
                case = f"n={table.sizes[0]}...{table.sizes[-1]}"
                records += study.records(graphon=W.name, case=case, model="untrained GraphNDE")
            progress(len(self.studies), len(self.studies))
        sizes = self.transfer.sizes_test
        datasets = {(n, part): self._data(n, "test", truth) for n in sizes for part, truth in PARTS.items()}
        total = len(self.runs) * len(sizes) * len(PARTS)
        done = 0
        with console.progress("transfer to larger graphs") as progress:

            def error_of(run: Run, n: int, seed: int) -> dict[str, float]:
                nonlocal done
                errors = {}
                for part in PARTS:
                    errors[part] = evaluate(run.model, datasets[n, part], self.metrics)[0].mean
                    done += 1
                    progress(done, total, f"n = {n}")
                return errors

            self.transfer_study = measure_transfer(
                lambda n, seed: self.runs[n, seed],
                error_of,
                self.transfer.sizes_train,
                sizes,
                range(self.transfer.seeds),
            )
        labels = {"graphon": self.graphon.name, "model": self.recipe.model.model_class, "unit": "1"}
        return records + self.transfer_study.records(**labels)

    def rows(self, records: Sequence[Record]) -> list[list[Any]]:
        return summary(records)

    def report(self, records: Sequence[Record], meta: dict[str, Any]) -> Report:
        return graph_report(self, records, meta)

    @property
    def data_digest(self) -> str:
        return digest_of({"data": self.recipe.resolved["data"], "seed": self.recipe.seed})

    def examples(self, n: int) -> ArrayDataset:
        """The first test trajectories at n nodes, with the truth of the limit."""
        return self._data(n, "test", "limit")

    def _data(self, n: int, split: str, truth: str) -> ArrayDataset:
        table = self.recipe.data
        offset, count = (0, table.n_train) if split == "train" else (TEST_OFFSET, table.n_test)
        assert count is not None
        return graph_trajectories(
            self.dynamics,
            self.graphon,
            n,
            range(offset, offset + count),
            self.times,
            truth=truth,
            seed=self.recipe.seed,
            regime=table.regime,
            dtype=self.config.dtype,
        )

    def _try_out(self) -> None:
        """Measure the untrained model on the smallest graph, so that what does not fit is known before any work."""
        n = min(*self.transfer.sizes_train, *self.transfer.sizes_test)
        batch = self._data(n, "train", "graph").batch([0])
        with torch.no_grad():
            try:
                prediction = predict(self.architecture.to(self.config.dtype), batch)
            except (ValueError, SolveError) as error:
                raise RecipeError(f"{self.where}: [model] {error}") from error
            for section, metric in (("[training] loss", self.loss), ("[evaluation] metrics", self.metrics[0])):
                try:
                    metric(prediction, batch.targets, batch.domain)
                except ValueError as error:
                    raise RecipeError(f"{self.where}: {section}: {error}") from error

    def _study_graphon(self, table: StudyTable) -> Graphon:
        W = self._graphon(table.graphon, table.regime, "[evaluation.convergence]")
        try:
            check_graph_sizes(W, table.sizes)
        except ValueError as error:
            raise RecipeError(f"{self.where}: [evaluation.convergence] {W.name}: {error}") from error
        return W

    def _graphon(self, table: GraphonTable, regime: str, key: str) -> Graphon:
        if regime not in REGIMES:
            raise RecipeError(f"{self.where}: {key} regime: expected one of {', '.join(REGIMES)}, found {regime!r}")
        factory = named("graphon", table.name, f"{self.where}: {key} graphon")
        checked = check_arguments(factory, table.arguments, f"{self.where}: {key} graphon {table.name}: ")
        try:
            return factory(**checked)
        except ValueError as error:
            raise RecipeError(f"{self.where}: {key}: {error}") from error
