"""Other people's files: found by name, hashed once, and held to their checksums where their folder lists them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from opnet.core.errors import DataError
from opnet.data.durable import open_regular, sha256_of

CHECKSUMS = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64}) [ *]([^\0\n]{1,1000})")
_LARGEST_LIST = 1 << 24


@dataclass(frozen=True)
class ForeignFile:
    """A file as it was when it was hashed.

    Attributes:
        path: where it lies.
        sha256: of its whole content.
        status: inode, size and modification time, by which later changes are noticed.
    """

    path: Path
    sha256: str
    status: tuple[int, ...]

    @classmethod
    def hashed(cls, path: Path) -> ForeignFile:
        with open_regular(path) as file:
            status = os.fstat(file.fileno())
            return cls(path, sha256_of(file), (status.st_ino, status.st_size, status.st_mtime_ns))

    @property
    def size(self) -> int:
        return self.status[1]

    def check(self) -> None:
        """Raise a `DataError` unless the file is still the one that was hashed, as far as its status tells."""
        try:
            status = os.stat(self.path, follow_symlinks=False)
        except OSError as error:
            raise DataError(f"{self.path}: expected a regular file, found {error.strerror}") from error
        if (status.st_ino, status.st_size, status.st_mtime_ns) != self.status:
            raise DataError(f"{self.path}: expected the file that was opened, found it changed since")


@dataclass(frozen=True)
class VouchedFiles:
    """The files of a data set and whether their folder's `SHA256SUMS` vouches for them.

    Attributes:
        files: path relative to the folder -> file.
        listed: whether there is a `SHA256SUMS`.
    """

    files: dict[str, ForeignFile]
    listed: bool

    def __getitem__(self, path: Path) -> ForeignFile:
        return next(file for file in self.files.values() if file.path == path)

    @property
    def sha256(self) -> dict[str, str]:
        return {name: file.sha256 for name, file in self.files.items()}

    @property
    def notes(self) -> tuple[str, ...]:
        if self.listed:
            return ()
        return (
            "Nothing vouches for these files: a flipped bit in a value cannot be told from data. With the sums their "
            f"owners publish in a file {CHECKSUMS} beside them, every damage is refused.",
        )


def vouch(folder: Path, paths: Iterable[Path]) -> VouchedFiles:
    """Hash the files `paths` below `folder`, and compare with the `SHA256SUMS` there, if there is one.

    Its lines are those of the command sha256sum: 64 hexadecimal digits, two spaces, a path relative to the folder.

    Raises:
        DataError: for a missing file, one that is not as listed, one that is not listed, or another kind of list.
    """
    files = {path.relative_to(folder).as_posix(): ForeignFile.hashed(path) for path in paths}
    return VouchedFiles(files, check_sums(folder, {name: file.sha256 for name, file in files.items()}))


def check_sums(folder: Path, found: Mapping[str, str]) -> bool:
    """Compare the SHA-256 of files below `folder` with its `SHA256SUMS`; returns whether there is one.

    Raises:
        DataError: for a file that is not as listed or not listed, or another kind of list.
    """
    if not os.path.lexists(folder / CHECKSUMS):
        return False
    sums = _read_sums(folder / CHECKSUMS)
    for name, sha256 in found.items():
        if name not in sums:
            raise DataError(f"{folder / CHECKSUMS}: expected a line for {name}, found {sorted(sums)!r:.200}")
        if sums[name] != sha256:
            raise DataError(
                f"{folder / name}: expected sha256 {sums[name]}, as {CHECKSUMS} says, found {sha256}: "
                "one of the two is damaged or was replaced"
            )
    return True


def _read_sums(path: Path) -> dict[str, str]:
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > _LARGEST_LIST:
            raise DataError(f"{path}: expected at most {_LARGEST_LIST} bytes, found more")
        text = file.readall().decode("utf-8", "replace")
    sums: dict[str, str] = {}
    *lines, rest = text.split("\n")
    if rest or not lines:
        raise DataError(f"{path}: expected lines, the last one ended as well, found {rest!r:.80}")
    for number, line in enumerate(lines, 1):
        match = _LINE.fullmatch(line)
        if match is None or match[2] in sums:
            raise DataError(f"{path}: line {number}: expected 64 hex digits and a new path, found {line!r:.80}")
        sums[match[2]] = match[1]
    return sums


def candidates(path: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """The file at `path`, or the files in the folder there, whose names end so; opens none."""
    entries = sorted(path.iterdir()) if path.is_dir() else [path]
    return [entry for entry in entries if entry.name.endswith(suffixes) and os.path.lexists(entry)]


def choose_file(path: Path, name: str | None, suffixes: tuple[str, ...], option: str) -> Path:
    """The file at `path`, the one called `name` in the folder there, or the only one whose name ends so.

    Raises:
        DataError: if there is none, or several and no name.
        ValueError: for a name that leads out of the folder.
    """
    if name is not None:
        if Path(name).name != name:
            raise ValueError(f"{option}: expected the name of a file in the folder, found {name!r}")
        return (path.parent if path.is_file() else path) / name
    found = candidates(path, suffixes)
    if len(found) != 1:
        names = ", ".join(entry.name for entry in found)
        hint = f"; choose by {option}=..." if found else ""
        raise DataError(f"{path}: expected one file ending in {' or '.join(suffixes)}, found {names or 'none'}{hint}")
    return found[0]
