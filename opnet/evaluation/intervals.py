"""Intervals of means over samples."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from opnet.core.typing import Float
from opnet.spaces.streams import stream

# Tells the resampling stream from those that data and training draw from.
_BOOTSTRAP = 0x626F6F74


def bootstrap_interval(
    values: Float[Tensor, " sample"], *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[float, float] | None:
    """The percentile bootstrap interval of the mean of `values`, the same at every call; None for a single value.

    For paired comparisons pass the differences.

    Source: Efron, Bootstrap methods: another look at the jackknife, 1979.

    >>> import torch
    >>> low, high = bootstrap_interval(torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]))
    >>> 1 < low < 2.5 and 3.5 < high < 5
    True
    """
    if not 0 < level < 1:
        raise ValueError(f"level: expected a share between 0 and 1, found {level}")
    if len(values) == 0:
        raise ValueError("values: expected at least one, found none")
    if len(values) == 1:
        return None
    numbers = values.detach().cpu().double().numpy()
    draws = stream(seed, _BOOTSTRAP, len(numbers))
    means = [numbers[draws.integers(len(numbers), size=len(numbers))].mean() for _ in range(resamples)]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
