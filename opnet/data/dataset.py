"""`open_dataset`: any store or foreign folder, as training and test data sets at their resolutions."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opnet.core.errors import DataError
from opnet.core.registry import build, lookup, names
from opnet.data.batch import Dataset
from opnet.data.single_file import is_single_file
from opnet.data.store import MANIFEST, Store
from opnet.data.store_dataset import StoreDataset


@dataclass(frozen=True)
class DataSplits:
    """Training samples, and the same test samples at every resolution there is.

    Attributes:
        train: the training samples.
        tests: resolution -> test samples.
        resolution: that of the training samples.
        provenance: where the data come from: equation, solver, seeds, digests, licence.
        digest: SHA-256 that changes if any sample does.
        notes: what a user of these data should know, in sentences.
    """

    train: Dataset
    tests: Mapping[int, Dataset]
    resolution: int
    provenance: dict[str, Any]
    digest: str
    notes: tuple[str, ...] = ()

    @property
    def channel_names(self) -> tuple[list[str], list[str]]:
        """Of inputs and targets: as the data state them, or numbered."""
        first = self.train.batch([0])
        counts = {"input": first.inputs.shape[1], "target": first.targets.shape[1 if first.times is None else 2]}
        stated = {kind: self.provenance.get(f"{kind}_names", ()) for kind in counts}
        inputs, targets = (
            list(stated[kind]) if len(stated[kind]) == n else [f"{kind}_{i}" for i in range(n)]
            for kind, n in counts.items()
        )
        return inputs, targets

    @property
    def test(self) -> Dataset:
        """The test samples at the resolution of training."""
        return self.at(self.resolution)

    @property
    def resolutions(self) -> tuple[int, ...]:
        """The resolutions of the test samples, coarse to fine."""
        return tuple(sorted(self.tests))

    def at(self, resolution: int) -> Dataset:
        """The test samples at another resolution; `ValueError` if there are none."""
        if resolution not in self.tests:
            raise ValueError(f"resolution: expected one of {list(self.resolutions)}, found {resolution}")
        return self.tests[resolution]


def open_dataset(path: str | Path, *, format: str | None = None, **options: Any) -> DataSplits:
    """The data at `path`.

    What is checked when: a shard of a store, whole against its SHA-256 when the first of its samples is read; a foreign
    file is hashed whole when it is opened (and held to a `SHA256SUMS` beside it), its names, shapes, coordinates and
    times then, its values for NaN and Inf as they are read. Later changes are noticed by size, inode and time.

    Args:
        path: a store, a folder or one file; or a folder of files in a foreign format.
        format: name of the foreign format (`opnet list formats`); None for a store, or for a folder that only one
            format recognises.
        options: arguments of the format, such as `problem="burgers"`, or `trajectories=True` for all frames with their
            times.

    Raises:
        DataError: if nothing readable is there, a store is unfinished, or a file is missing or damaged.
        ValueError: for an unknown format or option.
    """
    path = Path(path)
    if format is None and (os.path.lexists(path / MANIFEST) or is_single_file(path)):
        if options:
            raise ValueError(f"{path}: expected no options, as for any store, found {', '.join(options)}")
        return _open_store(Store.open(path))
    if format is None:
        known = [name for name in names("format") if lookup("format", name).recognises(path)]
        if len(known) != 1:
            other = "a folder without them" if path.is_dir() else "no folder and no store in one file"
            found = " and ".join(known) or other
            raise DataError(
                f"{path}: expected a store ({MANIFEST}) or the files of one format of {', '.join(names('format'))}; "
                f"found {found}"
            )
        format = known[0]
    return build("format", format, **options).read(path)


def _open_store(store: Store) -> DataSplits:
    manifest = store.manifest
    trained = [resolution for split, resolution, _ in manifest.splits if split == "train"]
    tested = [resolution for split, resolution, _ in manifest.splits if split == "test"]
    if len(trained) != 1 or trained[0] not in tested:
        raise DataError(
            f"{store.path}: expected one training split and tests at its resolution, found {manifest.splits}"
        )
    provenance = {
        key: getattr(manifest, key)
        for key in (
            "name",
            "equation",
            "input_names",
            "target_names",
            "units",
            "solver",
            "error_method",
            "diagnostics",
            "seed",
            "software",
            "device",
            "licence",
            "recipe",
        )
    }
    return DataSplits(
        train=StoreDataset(store, "train", trained[0]),
        tests={resolution: StoreDataset(store, "test", resolution) for resolution in tested},
        resolution=trained[0],
        provenance={**provenance, "recipe_digest": manifest.recipe_digest, "store_digest": store.digest},
        digest=store.digest,
        notes=_notes(manifest.recipe),
    )


def _notes(recipe: dict[str, Any]) -> tuple[str, ...]:
    share = recipe.get("error_share")
    if share == 1.0:
        return ()
    return (f"The discretisation error is estimated for a share of {share} of the samples; it is NaN for the others.",)
