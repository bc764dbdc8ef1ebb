"""A dict of tensors saved by `torch.save`, read so that neither damage nor malice gets further than an error."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from opnet.core.errors import DataError
from opnet.data.durable import open_regular


@dataclass(frozen=True)
class TensorFile:
    """The tensors of a file and its SHA-256."""

    path: Path
    tensors: dict[str, Tensor]
    sha256: str

    def require(self, key: str, dtype: torch.dtype, shape: tuple[int | None, ...]) -> Tensor:
        """The tensor at `key`, of that type and shape (None: any length but 0) and finite.

        Raises:
            DataError: naming file, key, what was expected and what was found.
        """
        values = self.tensors[key]
        fits = values.ndim == len(shape) and all(
            n == m or (m is None and n > 0) for n, m in zip(values.shape, shape, strict=True)
        )
        if values.dtype != dtype or not fits:
            wanted = "(" + ", ".join("n" if n is None else str(n) for n in shape) + ")"
            raise DataError(
                f"{self.path}: {key}: expected {dtype} of shape {wanted}, found {values.dtype} {tuple(values.shape)}"
            )
        if not torch.isfinite(values).all():
            bad = int(torch.nonzero(~torch.isfinite(values.reshape(len(values), -1)).all(1))[0])
            raise DataError(f"{self.path}: {key}: expected finite values, found NaN or Inf in sample {bad}")
        return values


def read_tensor_file(path: Path, keys: tuple[str, ...]) -> TensorFile:
    """The tensors `keys` of the file at `path`, which must hold exactly these.

    `torch.load` passes most flipped bits in silence, so the archive's own CRC-32 of every entry is checked first. It
    then unpickles tensors and containers alone (`weights_only=True`).

    Raises:
        DataError: for a missing or damaged file, other keys, or anything but dense tensors that the file holds whole.
    """
    with open_regular(path) as file:
        content = file.readall()
    _check_archive(content, path)
    try:
        loaded = torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
    except Exception as error:  # torch documents no list of what a damaged file may raise
        raise DataError(f"{path}: expected tensors saved by torch.save, found: {_first_line(error)}") from error
    if not isinstance(loaded, dict) or set(loaded) != set(keys):
        found = sorted(map(str, loaded)) if isinstance(loaded, dict) else type(loaded).__name__
        raise DataError(f"{path}: expected a dict with the keys {list(keys)}, found {found}")
    for key, values in loaded.items():
        dense = type(values) is Tensor and values.layout == torch.strided and values.device.type == "cpu"
        # A stride of zero lets a few bytes pretend to be any number of values.
        if not dense or values.numel() * values.element_size() > len(content):
            raise DataError(f"{path}: {key}: expected a dense tensor that the file holds whole, found {_kind(values)}")
    return TensorFile(path, loaded, hashlib.sha256(content).hexdigest())


def _check_archive(content: bytes, path: Path) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            names = {entry.filename for entry in entries}
            if len(names) != len(entries) or any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise DataError(f"{path}: expected an archive of uncompressed entries, each once, found another")
            damaged = archive.testzip()
    except DataError:
        raise
    except Exception as error:  # zipfile raises some ten unrelated classes on damaged archives
        raise DataError(f"{path}: expected an archive written by torch.save, found: {_first_line(error)}") from error
    if damaged is not None:
        raise DataError(f"{path}: expected entries with their CRC-32, found {damaged} damaged")


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]:.200}"


def _kind(values: object) -> str:
    if isinstance(values, Tensor):
        return f"{type(values).__name__} {values.layout} of shape {tuple(values.shape)}"
    return type(values).__name__
