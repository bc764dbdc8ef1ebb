"""Learning rates as functions of the step alone, so that a resumed training has nothing to restore."""

from __future__ import annotations

from collections.abc import Callable
from math import cos, floor, pi

WARM_UP = 0.3


def learning_rate(schedule: str, peak: float, step: int, total: int) -> float:
    """The rate at a step of `total`, with s = step / total in [0, 1):

    "constant": peak; "cosine": peak (1 + cos(pi s)) / 2; "step": peak 2^-floor(5 s), halved after every fifth;
    "one_cycle": cosine from peak / 25 up to peak at s = 0.3, then down to peak / 250000 (Smith and Topin, 2019,
    with the usual divisors).

    >>> [round(learning_rate("cosine", 1.0, step, 4), 3) for step in range(4)]
    [1.0, 0.854, 0.5, 0.146]
    """
    return peak * SCHEDULES[schedule](step / total)


def _one_cycle(s: float) -> float:
    if s < WARM_UP:
        return _between(1 / 25, 1.0, s / WARM_UP)
    return _between(1.0, 1 / 250_000, (s - WARM_UP) / (1 - WARM_UP))


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + cos(pi * share)) / 2


SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda s: 1.0,
    "cosine": lambda s: _between(1.0, 0.0, s),
    "one_cycle": _one_cycle,
    "step": lambda s: 0.5 ** floor(5 * s),
}
