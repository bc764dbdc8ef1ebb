"""`Normalised`: a model between functions in physical units, around one between functions of order one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.models.base import Model
from opnet.spaces.grid import Grid
from opnet.spaces.statistics import ChannelStatistics


@register("model", "Normalised")
class Normalised(Model):
    """`u = scale_u * model((a - shift_a) / scale_a) + shift_u`, per channel; the statistics travel with the weights.

    Args:
        model: an operator model on grids.
        inputs, targets: statistics of the training data, such as `dataset.statistics()` gives.

    Raises:
        ValueError: on a call, for inputs that are not floating-point.
    """

    domain = "grid"
    registered_name = "Normalised"

    def __init__(
        self,
        model: Model,
        inputs: ChannelStatistics | Mapping[str, Any],
        targets: ChannelStatistics | Mapping[str, Any],
    ) -> None:
        super().__init__()
        inputs, targets = _statistics(inputs), _statistics(targets)
        self.arguments = {"model": model, "inputs": _plain(inputs), "targets": _plain(targets)}
        self.model = model
        for name, values in (
            ("input_shift", inputs.shift),
            ("input_scale", inputs.scale),
            ("target_shift", targets.shift),
            ("target_scale", targets.scale),
        ):
            self.register_buffer(name, torch.tensor(values, dtype=torch.get_default_dtype()))

    def forward(self, inputs: Tensor, grid: Grid | None = None, **where: Tensor) -> Tensor:
        """The model's answer, in physical units; `where` is passed on to it, such as the `points` of a `DeepONet`."""
        if not inputs.is_floating_point():
            raise ValueError(f"inputs: expected floating-point values, found {inputs.dtype}")
        outputs = self.model(self._normal(inputs, "input"), grid, **where)
        return outputs * self._wide("target_scale", outputs) + self._wide("target_shift", outputs)

    def adapt(self, inputs: Tensor, targets: Tensor, grid: Grid) -> None:
        """Let the model inside adapt to the normalised data."""
        self.model.adapt(self._normal(inputs, "input"), self._normal(targets, "target"), grid)

    def _normal(self, values: Tensor, which: str) -> Tensor:
        return (values - self._wide(f"{which}_shift", values)) / self._wide(f"{which}_scale", values)

    def _wide(self, name: str, like: Tensor) -> Tensor:
        return getattr(self, name).to(like.dtype).reshape(-1, *(1,) * (like.ndim - 2))


def _statistics(given: ChannelStatistics | Mapping[str, Any]) -> ChannelStatistics:
    # A checkpoint's JSON knows lists alone.
    if isinstance(given, ChannelStatistics):
        return given
    return ChannelStatistics(**{key: tuple(values) for key, values in given.items()})


def _plain(statistics: ChannelStatistics) -> dict[str, list[float]]:
    return {key: list(values) for key, values in asdict(statistics).items()}
