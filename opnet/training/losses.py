"""A loss is a criterion's mean over samples and channels."""

from __future__ import annotations

from torch import Tensor, nn

from opnet.data.batch import Batch
from opnet.evaluation.metrics import Criterion
from opnet.evaluation.predict import predict


def mean_loss(criterion: Criterion, model: nn.Module, batch: Batch) -> Tensor:
    """The criterion of the model's predictions, averaged: the mean, so that rates do not depend on the batch size.

    Raises:
        ValueError: from the criterion, when shapes or dtypes do not fit.
    """
    return criterion.of(predict(model, batch), batch).mean()
