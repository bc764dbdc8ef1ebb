"""The errors a user of opnet can meet, by who is to act.

Wrong arguments raise Python's own `ValueError` and `TypeError`; the classes here add what a caller may want to catch
apart.
"""

from __future__ import annotations

from functools import partial
from typing import Any


class DataError(ValueError):
    """A file that cannot be believed: the message names the file, the key or offset, what was expected and found."""


class RecipeError(ValueError):
    """A recipe that cannot be carried out: the message names the file and key, what was expected and found."""


class SolveError(RuntimeError):
    """A computation that did not reach what was asked.

    Attributes:
        status: the `opnet.Status` of the first failed batch element.
        index: its index in the flattened batch.
        time: for differential equations, the time reached; None otherwise.
    """

    def __init__(self, message: str, *, status: int, index: int, time: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.index = index
        self.time = time

    def __reduce__(self) -> tuple[Any, ...]:
        # Worker processes send their errors by pickle, which would otherwise leave the keywords out.
        return partial(SolveError, status=self.status, index=self.index, time=self.time), self.args


class LostWorkerError(RuntimeError):
    """A process that shared the work ended or failed; what was acknowledged before stays."""


class TrainingError(RuntimeError):
    """Training met a non-finite loss or gradient; the message names the step and the samples."""


class AccuracyWarning(RuntimeWarning):
    """A result as good as the precision allows, which is less than was asked; the message says how much less."""
