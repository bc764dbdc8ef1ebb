"""A loss is a metric's mean over samples and channels."""

from __future__ import annotations

from torch import Tensor, nn

from opnet.data.batch import Batch
from opnet.evaluation.metrics import Metric
from opnet.evaluation.predict import predict


def mean_loss(metric: Metric, model: nn.Module, batch: Batch) -> Tensor:
    """The metric of the model's predictions, averaged: the mean, so that rates do not depend on the batch size.

    Raises:
        ValueError: from the metric, when shapes or dtypes of prediction and target differ.
    """
    return metric(predict(model, batch), batch.targets, batch.domain).mean()
