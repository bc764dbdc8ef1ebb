"""`OrderCase`: at which order a problem's solver approaches an exact or manufactured solution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log

import numpy as np


@dataclass(frozen=True)
class OrderCase:
    """One measured order.

    Attributes:
        problem: name of the problem, as recipes know it.
        what: what is solved and refined, in a phrase: "travelling wave, space and time".
        error_at: size -> relative error; size is a number of cells, modes or steps, so that the error falls.
        sizes: ascending.
        expected: the order; None where it is reported and not held to a number (shocks, jumping coefficients).
        norm: "L2" or "L1".
        tolerance: how far the measured order may be from the expected one.
        slow: not for the default tests.
    """

    problem: str
    what: str
    error_at: Callable[[int], float]
    sizes: tuple[int, ...]
    expected: float | None
    norm: str = "L2"
    tolerance: float = 0.2
    slow: bool = False

    def measure(self) -> tuple[float, list[float]]:
        """Observed order, by least squares over all sizes, and the errors."""
        errors = [self.error_at(size) for size in self.sizes]
        slope = np.polyfit([log(n) for n in self.sizes], [log(e) for e in errors], 1)[0]
        return -float(slope), errors
