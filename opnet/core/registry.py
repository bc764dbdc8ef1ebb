"""One registry, name -> class, for everything a recipe or a checkpoint may name.

Names are looked up here and nowhere else: a file can only choose among registered classes, never import code.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any, TypeVar

KINDS = (
    "problem",
    "model",
    "loss",
    "metric",
    "format",
    "solver",
    "nonlinear",
    "operator",
    "stepper",
    "graphon",
    "activation",
    "field",
)

_entries: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
T = TypeVar("T")


def register(kind: str, name: str) -> Callable[[T], T]:
    """Class or function decorator: enter the object under `name`.

    >>> names("kind of nothing")
    Traceback (most recent call last):
    ValueError: unknown kind 'kind of nothing': expected one of problem, model, ...
    """
    table = _table(kind)

    def enter(entry: T) -> T:
        assert name not in table, f"{kind} {name!r} is registered twice"
        table[name] = entry
        return entry

    return enter


def lookup(kind: str, name: str) -> Any:
    """The entry called `name`; a `ValueError` lists what there is and the nearest name when there is none."""
    table = _table(kind)
    if name in table:
        return table[name]
    near = difflib.get_close_matches(str(name), table, n=1, cutoff=0.5)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise ValueError(f"unknown {kind} {name!r}{hint}: expected one of {', '.join(sorted(table))}")


def build(kind: str, name: str, /, **arguments: Any) -> Any:
    """What the entry called `name` makes of plain data.

    Raises:
        ValueError: for an unknown name, an unknown or missing argument, or one out of range.
    """
    entry = lookup(kind, name)
    try:
        return entry(**arguments)
    except TypeError as error:
        raise ValueError(f"{kind} {name}: {str(error).replace('.__init__()', '')}") from error


def names(kind: str) -> list[str]:
    """All registered names of a kind, sorted."""
    return sorted(_table(kind))


def _table(kind: str) -> dict[str, Any]:
    if kind not in _entries:
        raise ValueError(f"unknown kind {kind!r}: expected one of {', '.join(KINDS)}")
    return _entries[kind]
