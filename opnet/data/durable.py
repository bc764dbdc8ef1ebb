"""Writing that survives: a final path holds the old content or the whole new content, never a part.

Content goes to a temporary name beside its final path, is forced to disk, renamed, and the folder forced to disk.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

# Names ending so are leftovers of an interrupted write, and nobody's data.
TEMPORARY = ".partial"


def temporary_beside(path: Path) -> Path:
    """A name in the same folder, so that a rename stays within one file system."""
    return path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")


def write_bytes(path: Path, content: bytes) -> None:
    """Put `content` at `path` durably."""
    partial = temporary_beside(path)
    try:
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)


def publish_file(partial: Path, path: Path) -> None:
    """Move a finished file to its final path durably."""
    fsync_file(partial)
    os.replace(partial, path)
    fsync_folder(path.parent)


def publish_folder(partial: Path, path: Path) -> None:
    """Move a folder of finished files to its final path, which must not exist, durably."""
    for file in partial.iterdir():
        fsync_file(file)
    fsync_folder(partial)
    os.rename(partial, path)
    fsync_folder(path.parent)


def remove_leftovers(folder: Path) -> list[str]:
    """Delete what interrupted writes left in `folder`; returns the names."""
    leftovers = [entry for entry in folder.iterdir() if entry.name.endswith(TEMPORARY)]
    for entry in leftovers:
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    return sorted(entry.name for entry in leftovers)


def fsync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_folder(path: Path) -> None:
    fsync_file(path)
