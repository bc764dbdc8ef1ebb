"""`Store`: a folder of verified samples that a killed writer cannot damage."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from opnet.core.errors import DataError
from opnet.core.progress import Progress, silent
from opnet.data.durable import open_regular, replace_file
from opnet.data.manifest import Manifest
from opnet.data.shard import ShardEntry, VerifiedShard, damaged
from opnet.data.single_file import LARGEST_MANIFEST, open_single
from opnet.spaces.grid import Grid

MANIFEST = "manifest.json"


class Store:
    """A folder with `manifest.json` and `shards/*.h5`, each file written whole and named in the manifest by SHA-256.

    Opening checks the manifest's own digest and that every acknowledged shard is there with its size; the SHA-256 of a
    shard is checked at the first read of it, once for every opened store. Later changes to a shard are noticed by its
    size, inode and modification time alone; `verify` reads everything again. A small store may be one file
    (`opnet.data.single_file`), which is checked whole when it is opened.

    Attributes:
        path: the folder, or the file.
        manifest: what `manifest.json` says.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path, self.manifest = path, manifest
        self._shards: dict[str, VerifiedShard] = {}

    @classmethod
    def open(cls, path: str | Path) -> Store:
        """The store at `path`, finished or not.

        Raises:
            FileNotFoundError: if there is no file and no folder with a `manifest.json`.
            DataError: for a damaged manifest, an unknown format version, a missing or truncated shard, a broken seal;
                the message names the file, what was expected and what was found.
        """
        path = Path(path)
        if path.is_file():
            return cls(path, open_single(path))
        if not os.path.lexists(path / MANIFEST):
            raise FileNotFoundError(f"{path}: expected a store, found no {MANIFEST}")
        with open_regular(path / MANIFEST) as file:
            if os.fstat(file.fileno()).st_size > LARGEST_MANIFEST:
                raise DataError(f"{path / MANIFEST}: expected at most {LARGEST_MANIFEST} bytes, found more")
            raw = file.read()
        store = cls(path, Manifest.decode(raw, str(path / MANIFEST)))
        for entry in store.manifest.shards:
            store._check_size(entry)
        return store

    @classmethod
    def create(cls, path: Path, manifest: Manifest) -> Store:
        """Write the first manifest of a new store into an existing folder."""
        replace_file(path / MANIFEST, manifest.encode())
        return cls(path, manifest)

    @property
    def complete(self) -> bool:
        """Whether every sample the recipe asks for is there."""
        return self.manifest.complete

    @property
    def recipe_digest(self) -> str:
        """SHA-256 of the recipe the samples are made from."""
        return self.manifest.recipe_digest

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest, and by it of every shard."""
        return self.manifest.digest

    def grid(self, resolution: int) -> Grid:
        return self.manifest.grid(resolution)

    def acknowledge(self, entry: ShardEntry) -> None:
        """Replace the manifest by one that names `entry`, whose file is already in place."""
        manifest = self.manifest.with_shard(entry)
        replace_file(self.path / MANIFEST, manifest.encode())
        self.manifest = manifest

    def shard(self, entry: ShardEntry) -> VerifiedShard:
        """The shard of `entry`, verified once, and again only if its file changed since.

        Raises:
            DataError: if the file is not the one the manifest names.
        """
        shard = self._shards.get(entry.file)
        if shard is None or not shard.is_current():
            shard = self._shards[entry.file] = self._read(entry)
        return shard

    def verify(self, progress: Progress = silent) -> None:
        """Read every shard again and check its SHA-256 and contents.

        Raises:
            DataError: for the first file that is not what the manifest says.
        """
        for _, error in self.verified(progress):
            if error is not None:
                raise error

    def verified(self, progress: Progress = silent) -> Iterator[tuple[ShardEntry, DataError | None]]:
        """Every shard, read again, with what is wrong about it."""
        entries = self.manifest.shards
        for done, entry in enumerate(entries):
            progress(done, len(entries), entry.file)
            try:
                self._shards[entry.file] = self._read(entry)
            except DataError as error:
                yield entry, error
            else:
                yield entry, None
        progress(len(entries), len(entries))

    def _read(self, entry: ShardEntry) -> VerifiedShard:
        if self.path.is_dir():
            return VerifiedShard(self.path / entry.file, entry)
        open_single(self.path)  # the seal covers all of it
        return VerifiedShard(self.path, entry, f"{entry.split}-{entry.resolution}/")

    def _check_size(self, entry: ShardEntry) -> None:
        path = self.path / entry.file
        if not os.path.lexists(path):
            raise DataError(f"{path}: expected sha256 {entry.sha256} ({entry.bytes} bytes), found no file")
        with open_regular(path) as file:
            if os.fstat(file.fileno()).st_size != entry.bytes:
                raise damaged(file, path, entry)
