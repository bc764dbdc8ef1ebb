"""Files that are whole or absent: temporary name, fsync, rename, fsync of the folder.

A process killed at any instant leaves the old file or the new one at a final path, never a part of either; the
temporary files it may leave are recognised by their suffix and removed by the next run.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from opnet.core.errors import DataError

TEMPORARY_SUFFIX = ".part"
_BLOCK = 1 << 20


def write_temporary(path: Path, content: bytes) -> Path:
    """Write `content` beside its final `path` under a temporary name, down to the disk; returns that name.

    Raises:
        OSError: a full disk or a missing permission, with the name of `path`; no temporary file is left then.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
    with _named(path):
        _write(temporary, content)
    return temporary


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Let errors of the system name the file that was to be; those of an open descriptor name none."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise


def _write(temporary: Path, content: bytes) -> None:
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        try:
            rest = memoryview(content)
            while len(rest):
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def commit(temporary: Path, path: Path) -> None:
    """Give a file written by `write_temporary` its final name, durably."""
    with _named(path):
        os.replace(temporary, path)
        sync_folder(path.parent)


def replace_file(path: Path, content: bytes) -> None:
    """Make `path` hold `content`, or leave it as it was.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> replace_file(folder / "a", b"one"); replace_file(folder / "a", b"two")
    >>> (folder / "a").read_bytes(), len(list(folder.iterdir()))
    (b'two', 1)
    """
    commit(write_temporary(path, content), path)


def make_folder(path: Path) -> None:
    """Create a folder and its parents so that their names survive a power cut."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync_folder(folder.parent)


def sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_temporaries(folder: Path) -> None:
    """Remove what killed writers left in `folder`."""
    for path in folder.glob(f".*{TEMPORARY_SUFFIX}"):
        path.unlink(missing_ok=True)


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Hold the lock of an existing folder, which the system releases however the process ends.

    Raises:
        ValueError: if another process, or another block of this one, holds it.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(f"{folder}: expected no other writer, found a process writing there") from error
        yield
    finally:
        os.close(descriptor)


def open_regular(path: Path) -> io.FileIO:
    """Open an ordinary file for reading: no link, pipe or device, which could lead elsewhere or never answer.

    Raises:
        DataError: for a missing file or one of another kind.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise DataError(f"{path}: expected a regular file, found {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DataError(f"{path}: expected a regular file, found a folder, pipe or device")
    return io.FileIO(descriptor, "rb")


def sha256_of(file: io.FileIO, length: int | None = None) -> str:
    """Hexadecimal SHA-256 of an open file, or of its first `length` bytes."""
    file.seek(0)
    digest, block = hashlib.sha256(), memoryview(bytearray(_BLOCK))
    rest = os.fstat(file.fileno()).st_size if length is None else length
    while rest > 0 and (count := file.readinto(block[:rest])):
        digest.update(block[:count])
        rest -= count
    return digest.hexdigest()
