"""One way to ask any model for a prediction on a batch."""

from __future__ import annotations

from torch import Tensor, nn

from opnet.data.batch import Batch
from opnet.spaces.grid import Grid


def predict(model: nn.Module, batch: Batch) -> Tensor:
    """The model's answer to `batch.inputs`, of the shape of `batch.targets`."""
    if isinstance(batch.domain, Grid):
        return model(batch.inputs, batch.domain)
    if batch.times is None:
        raise ValueError("predict: expected a batch with times on a graph, found none")
    return model(batch.domain, batch.inputs, batch.times)
