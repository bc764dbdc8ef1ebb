"""`Job`: a recipe turned into objects, with the parts that every run has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from opnet.cli.console import Console
from opnet.cli.objects import construct, named
from opnet.cli.recipe import Recipe, TrainingTable
from opnet.cli.run_folder import RunFolder
from opnet.evaluation.records import Record
from opnet.evaluation.report import Report
from opnet.models.base import Model
from opnet.training.config import FitConfig
from opnet.training.fit import Run


class Job(ABC):
    """What a recipe asks for. Constructing one finds everything that can be wrong with the recipe.

    The parts are called in order: `prepare_data`, `train`, `measure`, `report`.

    Args:
        recipe: the checked recipe.
        where: its file, which opens every message.
        data: a folder of existing files, in place of the recipe's `[data] path`.
        device: where to train.
    """

    header: ClassVar[Sequence[str]]

    def __init__(self, recipe: Recipe, where: Path, *, data: Path | None = None, device: str = "cpu") -> None:
        self.recipe, self.where, self.device = recipe, where, device
        self.config = construct(
            FitConfig,
            recipe.training.arguments,
            f"{where}: [training] ",
            siblings=TrainingTable.model_fields,
            given={"device": device, "seed": recipe.seed},
        )
        metrics = f"{where}: [evaluation] metrics"
        self.metrics = tuple(named("metric", name, metrics)() for name in recipe.evaluation.metrics)
        self.loss = named("loss", recipe.training.loss, f"{where}: [training] loss")()
        self.run: Run | None = None

    @abstractmethod
    def prepare_data(self, folder: RunFolder, console: Console, *, workers: int = 1) -> None:
        """Find, resume, make or read the data."""

    @abstractmethod
    def train(self, folder: RunFolder, console: Console) -> None:
        """Train, go on, or take what is finished; sets `run`."""

    @abstractmethod
    def measure(self, console: Console) -> list[Record]:
        """Everything `[evaluation]` asks for, as flat records."""

    @abstractmethod
    def report(self, records: Sequence[Record], meta: dict[str, Any]) -> Report:
        """The page."""

    @abstractmethod
    def rows(self, records: Sequence[Record]) -> list[list[Any]]:
        """The summary table under `header`."""

    @property
    @abstractmethod
    def data_digest(self) -> str:
        """Digest of the data the run stands on."""

    def new_model(self) -> Model:
        """The recipe's model, newly initialised."""
        table = self.recipe.model
        model_class = named("model", table.model_class, f"{self.where}: [model] class")
        return construct(model_class, table.arguments, f"{self.where}: [model] ", siblings=("symmetrise",))


def say_how_trained(console: Console, what: str, run: Run) -> None:
    """Where a run's weights come from, and whatever `fit` wants known, such as a damaged checkpoint passed over."""
    origin = f"resumed at step {run.resumed_from}, " if run.resumed_from else ""
    done = "reusing the finished run" if run.finished_before else f"{origin}finished"
    console.message(f"{what}: {done}, {run.steps} steps")
    for note in run.notes:
        console.message(f"  note: {note}")
