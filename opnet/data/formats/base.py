"""`Format`: what reads other people's files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from opnet.data.dataset import DataSplits


class Format(ABC):
    """A foreign format. Concrete formats are frozen dataclasses whose fields are their options.

    They register (`@register("format", name)`) and pass `tests/conformance/test_formats.py`: whatever is missing,
    damaged or odd ends in a `DataError` that names the file, and nothing in a file is ever executed.
    """

    @classmethod
    @abstractmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the names in the folder `path` look like this format; opens no file."""

    @abstractmethod
    def read(self, path: Path) -> DataSplits:
        """The data in the folder `path`.

        Raises:
            DataError: naming the file, what was expected and what was found.
        """
