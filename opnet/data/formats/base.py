"""`Format`: what reads other people's files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict
from pathlib import Path
from typing import Any

from opnet.core.errors import DataError
from opnet.data.batch import Dataset
from opnet.data.dataset import DataSplits
from opnet.data.formats.foreign_file import VouchedFiles
from opnet.data.manifest import digest_of
from opnet.spaces.grid import Grid


class Format(ABC):
    """A foreign format. Concrete formats are frozen dataclasses whose fields are their options.

    They register (`@register("format", name)`) and pass `tests/conformance/test_formats.py`: whatever is missing,
    damaged or odd ends in a `DataError` that names the file, and nothing in a file is ever executed.
    """

    @classmethod
    @abstractmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the names in the folder `path`, or of the file there, look like this format; opens no file."""

    @abstractmethod
    def read(self, path: Path) -> DataSplits:
        """The data in the folder `path`, or in the file there.

        Raises:
            DataError: naming the file, what was expected and what was found.
        """


def foreign_splits(
    name: str,
    options: Any,
    files: VouchedFiles,
    train: Dataset,
    test: Dataset,
    provenance: dict[str, Any],
    notes: tuple[str, ...],
) -> DataSplits:
    """Training and test samples of the format `name`, read with `options` (the format itself), at one resolution.

    The resolution is the number of nodes on the first axis, or of the graph. The digest covers files and options.

    Raises:
        DataError: if the two parts lie on different domains.
    """
    if train.domain != test.domain:
        raise DataError(f"{', '.join(files.files)}: expected training and test samples on one domain, found two")
    resolution = train.domain.shape[0] if isinstance(train.domain, Grid) else train.domain.n
    return DataSplits(
        train=train,
        tests={resolution: test},
        resolution=resolution,
        provenance={"error_method": "none", "units": "not stated", **provenance, "sha256": files.sha256},
        digest=digest_of({"format": name, "options": asdict(options), "files": files.sha256}),
        notes=(*notes, *files.notes),
    )
