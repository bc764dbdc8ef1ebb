"""Means with their 95 % intervals: by the bootstrap over many samples, by Student's t over a few seeds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from opnet.core.typing import Float
from opnet.spaces.streams import stream

# Tells the resampling stream from those that data and training draw from.
_BOOTSTRAP = 0x626F6F74


def mean_interval(
    values: Float[Tensor, " sample"], *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[float, float | None, float | None]:
    """`(mean, low, high)` with the percentile bootstrap interval of the mean, the same at every call.

    A single value has no interval: low and high are None. For paired comparisons pass the differences.

    Source: Efron, Bootstrap methods: another look at the jackknife, 1979.

    >>> import torch
    >>> mean, low, high = mean_interval(torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]))
    >>> mean, 1 < low < 2.5, 3.5 < high < 5
    (3.0, True, True)
    """
    if not 0 < level < 1:
        raise ValueError(f"level: expected a share between 0 and 1, found {level}")
    if len(values) == 0:
        raise ValueError("values: expected at least one, found none")
    numbers = values.detach().cpu().double().numpy()
    mean = float(numbers.mean())
    if len(numbers) == 1:
        return mean, None, None
    draws = stream(seed, _BOOTSTRAP, len(numbers))
    means = [numbers[draws.integers(len(numbers), size=len(numbers))].mean() for _ in range(resamples)]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return mean, float(low), float(high)


def t_interval(values: NDArray[np.float64], alone: float = 0.0) -> tuple[float, float]:
    """The 95 % t-interval of the mean of a few values; +-`alone` where there is one.

    >>> low, high = t_interval(np.array([1.0, 2.0, 3.0]))
    >>> round(low, 3), round(high, 3)
    (-0.484, 4.484)
    """
    n, mean = len(values), float(values.mean())
    half = alone if n == 1 else t_quantile(n - 1) * float(values.std(ddof=1)) / n**0.5
    return mean - half, mean + half


def t_quantile(degrees: int) -> float:
    """The .975 quantile of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.975))
