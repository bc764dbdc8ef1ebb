"""`import_dataset`: samples that somebody else made, as an opnet store."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from opnet.core.progress import Progress, silent
from opnet.data.batch import Batch, Dataset
from opnet.data.dataset import DataSplits
from opnet.data.durable import make_folder, remove_temporaries, replace_file, sole_writer
from opnet.data.manifest import VERSION, Manifest, digest_of, software_versions
from opnet.data.recipe import shard_file
from opnet.data.shard import DIAGNOSTICS, ShardEntry, describe_arrays, encode_shard
from opnet.data.store import MANIFEST, Store
from opnet.spaces.grid import Grid

SHARD_SIZE = 32


def import_dataset(data: DataSplits, out: str | Path, *, name: str | None = None, progress: Progress = silent) -> Store:
    """Write `data`, on grids, into a new store in the folder `out`.

    The store's recipe says where the samples come from: the digest and the provenance that `data` carries. Error bars
    and residuals come along where there are any. An interrupted import is finished by the same call.

    Args:
        data: what `open_dataset` returned.
        out: a new or empty folder, or one with an unfinished import of the same data.
        name: of the data set; that of `data` by default.
        progress: called with the samples done and in all.

    Raises:
        ValueError: for data that do not lie on grids, or a folder that holds something else.
        DataError: if `data` turn out to be damaged.
        OSError: for a full disk; what was written before stays, and the next call goes on from it.

    >>> import tempfile
    >>> import torch
    >>> from opnet.data.batch import ArrayDataset
    >>> grid = Grid((8,), boundary="periodic")
    >>> train, test = (ArrayDataset(torch.rand(n, 1, 8), torch.rand(n, 1, 8), grid) for n in (5, 2))
    >>> splits = DataSplits(train, {8: test}, 8, {"name": "mine", "equation": "unknown"}, "of no file")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = import_dataset(splits, folder)
    >>> store.complete, store.manifest.recipe["imported"]["digest"]
    (True, 'of no file')
    """
    out = Path(out)
    parts = [("train", data.resolution, data.train), *(("test", n, data.tests[n]) for n in data.resolutions)]
    for split, _, part in parts:
        if not isinstance(part.domain, Grid):
            raise ValueError(f"{split}: expected samples on a grid, found them on a {type(part.domain).__name__}")
    manifest = _manifest(data, parts, name)
    total = sum(len(part) for _, _, part in parts)
    make_folder(out)
    with sole_writer(out):
        store = _begin(out, manifest)
        written = {entry.file for entry in store.manifest.shards}
        done = 0
        for split, resolution, part in parts:
            for start in range(0, len(part), SHARD_SIZE):
                stop = min(start + SHARD_SIZE, len(part))
                file = shard_file(split, resolution, start)
                if file not in written:
                    arrays = _arrays(part, range(start, stop))
                    content = encode_shard(arrays)
                    replace_file(out / file, content)
                    sha256 = hashlib.sha256(content).hexdigest()
                    described = describe_arrays(arrays)
                    store.acknowledge(
                        ShardEntry(file, split, resolution, start, stop, **described, bytes=len(content), sha256=sha256)
                    )
                done += stop - start
                progress(done, total, f"{split} at {resolution}")
    return store


def _begin(out: Path, manifest: Manifest) -> Store:
    remove_temporaries(out)
    if not os.path.lexists(out / MANIFEST):
        strange = sorted(entry.name for entry in out.iterdir() if entry.name != "shards")
        if strange:
            raise ValueError(f"{out}: expected an empty folder, found {', '.join(strange[:5])}")
        make_folder(out / "shards")
        return Store.create(out, manifest)
    store = Store.open(out)
    if store.recipe_digest != manifest.recipe_digest or store.manifest.software != manifest.software:
        raise ValueError(f"{out}: expected an empty folder or an unfinished import of the same data, found a store")
    remove_temporaries(out / "shards")
    store.verify()
    return store


def _manifest(data: DataSplits, parts: list[tuple[str, int, Dataset]], name: str | None) -> Manifest:
    said = data.provenance
    first = data.train.batch([0])
    times = data.train.times
    recipe = {"imported": {"digest": data.digest, "notes": list(data.notes), **_plain(said)}}
    inputs, targets = data.channel_names
    return Manifest(
        name=name or str(said.get("name", "imported")),
        licence=str(said.get("licence", "not stated")),
        recipe=recipe,
        recipe_digest=digest_of({"store_version": VERSION, **recipe}),
        equation=str(said.get("equation", "not stated")),
        input_names=inputs,
        target_names=targets,
        units=said["units"] if isinstance(said.get("units"), dict) else {},
        solver=str(said.get("solver", "not stated")),
        error_method=str(said.get("error_method", "none")),
        diagnostics=dict.fromkeys(data.train.diagnostics, "as the source states it")
        | dict.fromkeys(first.parameters or {}, "parameter of the sample"),
        times=[] if times is None else [float(t) for t in times],
        seed=int(said.get("seed", 0)),
        software=software_versions(),
        device=str(said.get("device", "cpu")),
        grids={str(n): part.grid.describe() for _, n, part in parts},
        splits=[[split, n, len(part)] for split, n, part in parts],
        shards=[],
    )


def _plain(value: Any) -> Any:
    """Provenance as a manifest can hold it."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _arrays(part: Dataset, rows: range) -> dict[str, np.ndarray]:
    batch: Batch = part.batch(rows)
    unknown = np.full(len(rows), np.nan)
    arrays = {"inputs": batch.inputs.numpy(), "targets": batch.targets.numpy()}
    for name in ("residual", "discretisation_error"):
        known = getattr(part, name)
        arrays[name] = unknown if known is None else known[rows.start : rows.stop].double().numpy()
    arrays["index"] = np.arange(rows.start, rows.stop)
    numbers = {name: values[rows.start : rows.stop] for name, values in part.diagnostics.items()}
    for name, values in (numbers | (batch.parameters or {})).items():
        arrays[DIAGNOSTICS + name] = values.double().numpy()
    return arrays
