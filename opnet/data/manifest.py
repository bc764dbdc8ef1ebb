"""The manifest of a store: what it holds, how it was made, and the checksum of every file, its own included."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from importlib.metadata import version
from itertools import pairwise
from typing import Any

from opnet.core.errors import DataError
from opnet.data.shard import ARRAYS, DIAGNOSTICS, FIELDS, ShardEntry
from opnet.spaces.grid import Grid

FORMAT = "opnet store"
VERSION = 2
_FILE = re.compile(r"shards/[a-z]+-\d+-\d+\.h5")
_NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")


def canonical_json(content: Any) -> bytes:
    """The one way plain data is written for digests: sorted keys, no spaces, ASCII, no NaN."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def digest_of(content: Any) -> str:
    """Hexadecimal SHA-256 of plain data.

    >>> digest_of({"b": 1, "a": 2}) == digest_of({"a": 2, "b": 1})
    True
    """
    return hashlib.sha256(canonical_json(content)).hexdigest()


@dataclass(frozen=True)
class Manifest:
    """What `manifest.json` says.

    Attributes:
        name, licence: as the recipe states them.
        recipe, recipe_digest: what the samples are made from, as plain data, and its SHA-256.
        equation, input_names, target_names, units, solver, error_method: as the problem states them.
        diagnostics: name -> what the number says, for every further series of the samples.
        times: of the frames of trajectories, the first that of the inputs; empty where targets have no time axis.
        seed: every sample is drawn from the stream of this seed and its index.
        software: versions of what made the store.
        device: kind of device it was made on, "cpu" or "cuda": each has bytes of its own.
        grids: resolution -> `Grid.describe()`.
        splits: how many samples each split will hold at each resolution, as [split, resolution, samples].
        shards: the acknowledged files, in the order of `splits`.
    """

    name: str
    licence: str
    recipe: dict[str, Any]
    recipe_digest: str
    equation: str
    input_names: list[str]
    target_names: list[str]
    units: dict[str, str]
    solver: str
    error_method: str
    diagnostics: dict[str, str]
    times: list[float]
    seed: int
    software: dict[str, str]
    device: str
    grids: dict[str, dict[str, Any]]
    splits: list[list[Any]]
    shards: list[ShardEntry]

    def with_shard(self, entry: ShardEntry) -> Manifest:
        """The manifest that also acknowledges `entry`; the same whatever order shards are finished in."""
        order = {(split, resolution): i for i, (split, resolution, _) in enumerate(self.splits)}
        shards = sorted([*self.shards, entry], key=lambda s: (order[s.split, s.resolution], s.start))
        return replace(self, shards=shards)

    def shards_of(self, split: str, resolution: int) -> list[ShardEntry]:
        return [shard for shard in self.shards if (shard.split, shard.resolution) == (split, resolution)]

    @property
    def complete(self) -> bool:
        """Whether every sample of every split is acknowledged."""
        return all(sum(map(len, self.shards_of(split, n))) == samples for split, n, samples in self.splits)

    def encode(self) -> bytes:
        """The bytes of `manifest.json`; its last line but one is the digest of everything else."""
        content = {"format": FORMAT, "version": VERSION, **asdict(self)}
        return json.dumps({**content, "digest": digest_of(content)}, indent=1, allow_nan=False).encode() + b"\n"

    @property
    def digest(self) -> str:
        return digest_of({"format": FORMAT, "version": VERSION, **asdict(self)})

    @classmethod
    def decode(cls, raw: bytes, where: str) -> Manifest:
        """The manifest that `encode` wrote.

        Raises:
            DataError: naming `where` and what is wrong: not JSON, another format or version, a wrong digest, a missing
                or mistyped entry, shards that overlap, leave gaps or lie outside the store.
        """
        try:
            content = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: expected a JSON manifest, found {error!r}") from error
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise DataError(f"{where}: expected the manifest of an {FORMAT!r}, found another file")
        if content.get("version") != VERSION:
            raise DataError(
                f"{where}: expected a store of format version {VERSION}, found version {content.get('version')!r}: "
                "another opnet made it; generate it again, or read it with that one"
            )
        found = content.pop("digest", None)
        expected = digest_of(content)
        if found != expected:
            raise DataError(f"{where}: digest: expected {expected} for this content, found {found!r}: it is damaged")
        del content["format"], content["version"]
        manifest = cls(**_typed(content, cls, where))
        manifest._check(where)
        # A change that JSON forgives, such as other white space, is a change nevertheless.
        if manifest.encode() != raw:
            raise DataError(f"{where}: expected the bytes opnet writes for this content, found others: it is damaged")
        return manifest

    def _check(self, where: str) -> None:
        def refuse(expected: str, found: object) -> DataError:
            return DataError(f"{where}: expected {expected}, found {found}")

        for split in self.splits:
            if [type(entry) for entry in split] != [str, int, int] or str(split[1]) not in self.grids:
                raise refuse("splits as [split, resolution with a grid, samples]", split)
        if any(b <= a for a, b in pairwise(self.times)):
            raise refuse("ascending times", self.times)
        arrays = {*ARRAYS, *(DIAGNOSTICS + name for name in self.diagnostics)}
        seen: dict[tuple[str, int], int] = {(split, resolution): -1 for split, resolution, _ in self.splits}
        for shard in self.shards:
            key, grid = (shard.split, shard.resolution), self.grid(shard.resolution, where)
            if key not in seen or shard.start < max(0, seen[key]) or not shard.start < shard.stop:
                raise refuse("shards in order and apart", f"{shard.file} of samples {shard.start} to {shard.stop}")
            seen[key] = shard.stop
            if not _FILE.fullmatch(shard.file) or not _SHA256.fullmatch(shard.sha256):
                raise refuse("files named shards/SPLIT-RESOLUTION-START.h5 with a SHA-256", f"{shard.file!r}")
            if not arrays == shard.shapes.keys() == shard.dtypes.keys():
                raise refuse(f"the arrays {sorted(arrays)}", f"{sorted(shard.shapes)} in {shard.file}")
            for name, shape in shard.shapes.items():
                frames = [len(self.times)] if name == "targets" and self.times else []
                leading, rest = ([len(shard), *frames], 1 + len(frames)) if name in FIELDS else ([len(shard)], 1)
                on_grid = (name not in FIELDS and len(shape) == 1) or tuple(shape[rest + 1 :]) == grid.shape
                if shape[:rest] != leading or not on_grid:
                    at = f" at {len(self.times)} times" if frames else ""
                    raise refuse(f"{name} of {len(shard)} samples{at} on {grid.shape}", f"{shape} in {shard.file}")
                if shard.dtypes[name] not in ("float32", "float64", "int64"):
                    raise refuse(f"{name} of float32, float64 or int64", f"{shard.dtypes[name]} in {shard.file}")
        for split, resolution, samples in self.splits:
            if seen[split, resolution] > samples:
                raise refuse(f"at most {samples} samples of {split} at {resolution}", seen[split, resolution])

    def grid(self, resolution: int, where: str = "manifest") -> Grid:
        """The grid at a resolution.

        Raises:
            DataError: if the description is not one of a grid.
        """
        try:
            return Grid.from_description(self.grids[str(resolution)])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{where}: grids: expected a grid at {resolution}, found {error!r}") from error


def _typed(content: Mapping[str, Any], cls: Any, where: str) -> dict[str, Any]:
    """`content` as the arguments of a dataclass, each of the declared outer type."""
    outer = {"str": str, "int": int, "dict": dict, "list": list}
    expected = {field.name: str(field.type) for field in fields(cls)}
    if content.keys() != expected.keys():
        odd = sorted(content.keys() ^ expected.keys())
        raise DataError(f"{where}: expected the keys {sorted(expected)}, missing or unknown are {odd}")
    for key, declared in expected.items():
        if type(content[key]) is not outer[declared.split("[")[0]]:
            raise DataError(f"{where}: {key}: expected {declared}, found {content[key]!r:.80}")
    typed = dict(content)
    if cls is Manifest:
        typed["shards"] = [_shard(entry, f"{where}: shards[{i}]") for i, entry in enumerate(content["shards"])]
        _all_are(content["splits"], list, f"{where}: splits")
        _all_are(content["times"], float, f"{where}: times")
        _all_are(content["diagnostics"].values(), str, f"{where}: diagnostics")
        for name in content["diagnostics"]:
            if not _NAME.fullmatch(name):
                raise DataError(f"{where}: diagnostics: expected names in letters, digits and '_', found {name!r:.80}")
    return typed


def _shard(entry: Any, where: str) -> ShardEntry:
    _all_are([entry], dict, where)
    typed = _typed(entry, ShardEntry, where)
    _all_are(typed["shapes"].values(), list, f"{where}.shapes")
    for shape in typed["shapes"].values():
        _all_are(shape, int, f"{where}.shapes")
    _all_are(typed["dtypes"].values(), str, f"{where}.dtypes")
    return ShardEntry(**typed)


def _all_are(values: Any, kind: type, where: str) -> None:
    for value in values:
        if type(value) is not kind:
            raise DataError(f"{where}: expected {kind.__name__}, found {value!r:.80}")


def software_versions() -> dict[str, str]:
    """Versions of the packages that numbers come from."""
    return {package: version(package) for package in ("opnet", "torch", "numpy", "scipy", "h5py")}


def plain(value: Any, where: Sequence[str] = ()) -> Any:
    """A frozen value as plain data: dataclasses become dicts with their class name, tuples lists.

    Raises:
        ValueError: naming the field whose value has no plain form.
    """
    if hasattr(value, "__dataclass_fields__"):
        inner = {field.name: plain(getattr(value, field.name), (*where, field.name)) for field in fields(value)}
        return {"class": type(value).__name__, **inner}
    if isinstance(value, (list, tuple)):
        return [plain(entry, where) for entry in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: plain(entry, (*where, key)) for key, entry in value.items()}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ValueError(f"{'.'.join(where)}: expected numbers, strings, lists or dataclasses, found {value!r}")
