"""`describe`: what a store or a foreign data folder holds, as plain data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from opnet.data.batch import Dataset
from opnet.data.dataset import DataSplits, open_dataset
from opnet.spaces.grid import Grid

_BATCH = 32


def describe(path: str | Path, *, format: str | None = None, **options: Any) -> dict[str, Any]:
    """What the data in the folder `path` are; every file is read and checked.

    Keys: `name`, `digest`, `resolutions`, `notes`; `train` and `test at N` with samples, shapes, types, grid, value
    ranges, times, quantiles of residual, error bar and diagnostics; `provenance`. Nested values are tables, all else
    numbers and text.

    Raises:
        DataError: for data that are missing, unfinished or damaged.
    """
    splits = open_dataset(path, format=format, **options)
    tests = {f"test at {n}": _describe_split(splits.at(n)) for n in splits.resolutions}
    return {
        "name": splits.provenance.get("name", Path(path).name),
        "digest": splits.digest,
        "resolutions": list(splits.resolutions),
        "notes": list(splits.notes),
        "train": _describe_split(splits.train),
        **tests,
        "provenance": _provenance(splits),
    }


def _provenance(splits: DataSplits) -> dict[str, Any]:
    return {key: value for key, value in splits.provenance.items() if key != "name"}


def _describe_split(data: Dataset) -> dict[str, Any]:
    described: dict[str, Any] = {"samples": len(data)}
    batches = (data.batch(range(i, min(i + _BATCH, len(data)))) for i in range(0, len(data), _BATCH))
    ranges = [(_range(batch.inputs), _range(batch.targets)) for batch in batches]
    first = data.batch([0])
    for name, values, position in (("inputs", first.inputs, 0), ("targets", first.targets, 1)):
        least, total, greatest = zip(*(row[position] for row in ranges), strict=True)
        described[name] = {
            "shape": list(values.shape[1:]),
            "dtype": str(values.dtype).removeprefix("torch."),
            "least": min(least),
            "mean": sum(total) / (len(data) * values[0].numel()),
            "greatest": max(greatest),
        }
    if isinstance(data.domain, Grid):
        described["grid"] = data.domain.describe()
    if data.times is not None:
        described["times"] = {"frames": len(data.times), "first": float(data.times[0]), "last": float(data.times[-1])}
    for name in ("residual", "discretisation_error"):
        described[name] = quantiles(getattr(data, name))
    for name, values in data.diagnostics.items():
        described[name] = quantiles(values)
    return described


def _range(values: Tensor) -> tuple[float, float, float]:
    return float(values.min()), float(values.double().sum()), float(values.max())


def quantiles(values: Tensor | None) -> dict[str, float] | str:
    """Median, 95 % quantile and maximum of the values that are known, and how many are.

    >>> quantiles(torch.tensor([1.0, 3.0, torch.nan]))
    {'known': 2, 'median': 2.0, '95 %': 2.9..., 'greatest': 3.0}
    """
    known = None if values is None else values[torch.isfinite(values)].double()
    if known is None or not len(known):
        return "not stated"
    median, high = torch.quantile(known, torch.tensor([0.5, 0.95], dtype=torch.float64)).tolist()
    return {"known": len(known), "median": median, "95 %": high, "greatest": float(known.max())}
