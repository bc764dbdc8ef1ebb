"""`Model`: what every model is, and how one is rebuilt from plain data."""

from __future__ import annotations

from abc import ABC
from itertools import chain
from typing import Any, ClassVar

from torch import Tensor, nn

from opnet.core.registry import build
from opnet.spaces.grid import Grid


class Model(nn.Module, ABC):
    """A model whose constructor arguments are known, so that a checkpoint can rebuild it without importing code.

    Subclasses register (`@register("model", name)`) and set `self.arguments` to their constructor's keyword arguments,
    as plain data (numbers, strings, booleans, lists, None; another `Model` where one is wrapped).

    Operator models on grids implement `forward(inputs, grid=None)` with fields (batch, channel, *grid); models on
    graphs implement `forward(graph, x0, ts)` with signals (batch, node, feature) and return trajectories
    (batch, time, node, feature); classifiers of nodes implement `forward(graph, x)` and return logits
    (batch, node, class).

    Attributes:
        domain: "grid", "graph" or "nodes": which of these it is.
        needs_data: whether `adapt` has to be called with training data before a new model answers.
    """

    domain: ClassVar[str]
    needs_data: ClassVar[bool] = False
    registered_name: ClassVar[str]
    arguments: dict[str, Any]

    @property
    def config(self) -> dict[str, Any]:
        """Plain data from which `build_model` makes the same architecture again."""
        arguments = {key: value.config if isinstance(value, Model) else value for key, value in self.arguments.items()}
        return {"class": self.registered_name, **arguments}

    def adapt(self, inputs: Tensor, targets: Tensor, grid: Grid) -> None:
        """Take from training data, once and before training, what is not learned by gradients, such as bases.

        Nothing for most models; `config` and the weights then hold what was taken.

        # shape: (sample, channel, *grid), (sample, channel, *grid)
        """

    @property
    def n_parameters(self) -> int:
        """Number of real parameters."""
        return sum(p.numel() * (2 if p.is_complex() else 1) for p in self.parameters())


def own_tensor(model: nn.Module) -> Tensor | None:
    """A floating parameter, or else buffer, which says where the model is and in which dtype; None without any."""
    return next((t for t in chain(model.parameters(), model.buffers()) if t.is_floating_point()), None)


def build_model(config: dict[str, Any]) -> Model:
    """The model that `config` describes, newly initialised.

    Raises:
        ValueError: for an unknown class, an unknown or missing argument, or one out of range.
    """
    name = config.get("class")
    if name is None:
        raise ValueError("model: expected a key 'class', found none")
    return build("model", name, **{k: build_model(v) if _is_model(v) else v for k, v in config.items() if k != "class"})


def _is_model(value: Any) -> bool:
    return isinstance(value, dict) and "class" in value
