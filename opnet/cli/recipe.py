"""Recipes: a TOML file that says what to make, train and measure, checked before anything is computed."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from opnet.cli.signature import validate
from opnet.core.errors import RecipeError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


Size = Annotated[int, Field(ge=1)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class _Arguments(BaseModel):
    """A table whose further keys are the arguments of what it names; they are checked against its signature."""

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())

    @property
    def arguments(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class GraphonTable(_Arguments):
    """A graphon: its name, and its arguments as further keys."""

    name: str


class DataTable(_Arguments):
    """`[data]`: a problem to generate (its parameters are further keys), or files of a foreign format to read.

    Each kind of data takes its own keys: on grids `train_resolution`, `resolutions`, `dtype` and `error_share` say
    where and how it is solved; on graphs `graphon` and `regime` say how graphs are drawn. `times` are those of
    trajectories, the first the initial one; on grids a number asks for the map to that time, and models are trained
    from `frames_in` successive frames of a trajectory to the `frames_out` after them. `path` says where files, or a
    store used before, stand.
    """

    problem: str | None = None
    format: str | None = None
    path: str | None = None
    n_train: int | None = Field(None, ge=1)
    n_test: int | None = Field(None, ge=1)
    train_resolution: int | None = Field(None, ge=2)
    resolutions: tuple[int, ...] = ()
    dtype: Literal["float32", "float64"] = "float32"
    error_share: float = Field(1.0, ge=0, le=1)
    graphon: GraphonTable | None = None
    regime: str = "weighted"
    times: float | tuple[float, ...] | None = None
    frames_in: int | None = Field(None, ge=1)
    frames_out: int = Field(1, ge=1)


class ModelTable(_Arguments):
    """`[model]`: `class` and its arguments; `symmetrise` averages the model over the symmetries of the square."""

    model_class: str = Field(alias="class")
    symmetrise: bool = False


class BaselineTable(_Arguments):
    """A model without weights to train: its `class`, and its arguments as further keys."""

    model_class: str = Field(alias="class")


class TrainingTable(_Arguments):
    """`[training]`: the loss, and the fields of `opnet.FitConfig`."""

    loss: str = "RelativeL2"
    validation_share: float = Field(0.0, ge=0, lt=1)


class StudyTable(_Table):
    """Graphs of several sizes drawn from a graphon."""

    graphon: GraphonTable
    regime: str = "weighted"
    sizes: tuple[Size, ...]


class ConvergenceTable(_Table):
    """`[evaluation.convergence]`: at what rate untrained models approach their graphon limit."""

    seeds: int = Field(5, ge=1)
    studies: tuple[StudyTable, ...] = ()


class TransferTable(_Table):
    """`[evaluation.transfer]`: numbers of nodes to train and to test at."""

    sizes_train: tuple[Size, ...] = Field(min_length=1)
    sizes_test: tuple[Size, ...] = Field(min_length=1)
    seeds: int = Field(1, ge=1)


class EvaluationTable(_Table):
    """`[evaluation]`: what is measured and shown; on grids `baselines` are measured beside the model."""

    metrics: tuple[str, ...] = Field(("RelativeL2",), min_length=1)
    resolutions: tuple[int, ...] = ()
    subsample: tuple[int, ...] = ()
    pictures: int = Field(3, ge=0, le=20)
    baselines: tuple[BaselineTable, ...] = ()
    convergence: ConvergenceTable | None = None
    transfer: TransferTable | None = None


class DataOnlyRecipe(_Table):
    """A recipe that says what data to make, and nothing of a model."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    description: str = ""
    seed: int = Field(0, ge=0)
    data: DataTable

    @property
    def resolved(self) -> dict[str, Any]:
        """Everything the recipe says, defaults included, as plain data."""
        return _without_none(json.loads(self.model_dump_json(by_alias=True)))

    @property
    def digest(self) -> str:
        """sha256 of what determines the results: everything but the words and where files lie."""
        content = {k: v for k, v in self.resolved.items() if k not in ("name", "description")}
        content["data"] = {k: v for k, v in content["data"].items() if k != "path"}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class Recipe(DataOnlyRecipe):
    """A whole recipe; see `datasets/` for examples."""

    model: ModelTable
    training: TrainingTable
    evaluation: EvaluationTable = Field(default_factory=lambda: EvaluationTable.model_validate({}))


def read_recipe(path: str | Path, settings: Sequence[str] = ()) -> Recipe:
    """The recipe at `path` with `key=value` settings laid over it.

    Args:
        path: a TOML file.
        settings: such as `"training.epochs=5"`; the value is TOML, or a bare string.

    Raises:
        RecipeError: naming the file, the key, what was expected and what was found.
    """
    recipe = read_data_recipe(path, settings)
    if not isinstance(recipe, Recipe):
        raise RecipeError(f"{path}: expected [model] and [training], found a recipe of data alone (`opnet generate`)")
    return recipe


def read_data_recipe(path: str | Path, settings: Sequence[str] = ()) -> DataOnlyRecipe:
    """The recipe at `path`, which need not say what to train on its data; otherwise as `read_recipe`."""
    path = Path(path)
    if path.is_dir():
        raise RecipeError(f"{path}: expected a recipe (a .toml file), found a folder")
    try:
        content = tomllib.loads(path.read_bytes().decode())
    except FileNotFoundError as error:
        near = sorted(str(p) for p in path.parent.glob("*.toml") if p.name != "pyproject.toml")
        hint = f"; there are {', '.join(near)}" if near else ""
        raise RecipeError(f"{path}: expected a recipe, found no such file{hint}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: expected TOML, found {error}") from error
    for setting in settings:
        lay_over(content, setting)
    whole = content.keys() - DataOnlyRecipe.model_fields
    return validate(Recipe if whole else DataOnlyRecipe, content, f"{path}: ")


def lay_over(content: dict[str, Any], setting: str) -> None:
    """Put a `key=value` setting into `content`."""
    key, equals, text = setting.partition("=")
    if not equals or not key.strip():
        raise RecipeError(f"--set {setting}: expected key=value, such as training.epochs=5")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *tables, last = key.strip().split(".")
    table = content
    for name in tables:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise RecipeError(f"--set {setting}: {name} is a value, not a table")
    table[last] = value


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    return value
