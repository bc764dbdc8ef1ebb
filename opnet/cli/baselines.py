"""Baselines of a recipe: models without weights to train, measured beside the one that is trained."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path

from opnet.cli.objects import construct, named
from opnet.cli.recipe import BaselineTable
from opnet.core.errors import RecipeError
from opnet.data.batch import Dataset
from opnet.models.base import Model
from opnet.models.grid_model import GridModel


def build_baselines(
    tables: Sequence[BaselineTable], where: Path, channels_in: int, channels_out: int, frames_out: int
) -> list[GridModel]:
    """The baselines that `[evaluation] baselines` names; their channels are those of the data, where they take any."""
    known = {"in_channels": channels_in, "out_channels": channels_out, "fields": channels_out // frames_out}
    baselines = []
    for i, table in enumerate(tables):
        at = f"{where}: [evaluation] baselines[{i}]: "
        model = named("model", table.model_class, f"{at}class")
        if not issubclass(model, GridModel) or model.trainable:
            raise RecipeError(f"{at}class: expected an operator without weights to train, found {table.model_class!r}")
        taken = inspect.signature(model).parameters
        given = {name: value for name, value in known.items() if name in taken and name not in table.arguments}
        baselines.append(construct(model, table.arguments, at, given=given))
    return baselines


def adapt(model: Model, train: Dataset) -> None:
    """Let a model see the data it is trained on; all of them are read into memory."""
    batch = train.all()
    model.adapt(batch.inputs, batch.targets, train.grid)
