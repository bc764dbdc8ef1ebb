"""The tensors of an optimiser, by name; its numbers follow from the configuration and the step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from opnet.core.errors import DataError

_KEYS = {"step", "exp_avg", "exp_avg_sq"}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """`{"<parameter>.<name>": tensor}` of Adam's moments and step counts."""
    state = optimizer.state_dict()["state"]
    return {f"{index}.{name}": values for index, entry in state.items() for name, values in entry.items()}


def load_optimizer(path: Path, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give `optimizer` what `optimizer_tensors` took from one like it.

    Raises:
        DataError: for tensors that are not those of its parameters.
    """
    parameters = optimizer.param_groups[0]["params"]
    state: dict[int, dict[str, Tensor]] = {}
    for key, values in tensors.items():
        number, _, name = key.partition(".")
        index = int(number) if number.isdecimal() else -1
        if name not in _KEYS or not 0 <= index < len(parameters):
            raise DataError(f"{path}: expected the optimiser's tensors, found {key!r}")
        shape = () if name == "step" else tuple(parameters[index].shape)
        if tuple(values.shape) != shape:
            raise DataError(f"{path}: expected optimiser tensor {key} of shape {shape}, found {tuple(values.shape)}")
        if not torch.isfinite(values).all():
            raise DataError(f"{path}: expected finite optimiser tensors, found NaN or Inf in {key}")
        state.setdefault(index, {})[name] = values
    if any(entry.keys() != _KEYS for entry in state.values()):
        raise DataError(f"{path}: expected {sorted(_KEYS)} of every parameter in the optimiser's tensors, found fewer")
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
