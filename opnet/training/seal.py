"""A file that carries the sha256 of itself, so that no flipped bit goes unseen.

The digest is taken with 64 zeros in its own place, and stands before anything else that could look like it.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from opnet.core.errors import DataError

BLANK = "0" * 64


def seal(content: bytes) -> bytes:
    """`content`, which holds `BLANK`, with its digest there instead."""
    place = content.index(BLANK.encode())
    return _with(content, place, hashlib.sha256(content).hexdigest())


def check_seal(path: Path, content: bytes, digest: object) -> None:
    """Raise a `DataError` unless `digest`, which `content` names, is that of `content`."""
    if not isinstance(digest, str) or re.fullmatch("[0-9a-f]{64}", digest) is None:
        raise DataError(f"{path}: expected the file's own sha256, found {digest!r}")
    place = content.find(digest.encode())
    if place < 0:
        raise DataError(f"{path}: expected the file's own sha256 written out, found it encoded")
    found = hashlib.sha256(_with(content, place, BLANK)).hexdigest()
    if found != digest:
        raise DataError(f"{path}: expected sha256 {digest}, found {found}: the file is damaged")


def _with(content: bytes, place: int, digest: str) -> bytes:
    return content[:place] + digest.encode() + content[place + len(digest) :]
