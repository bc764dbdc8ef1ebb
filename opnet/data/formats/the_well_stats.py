"""The Well's `stats.yaml`: mean, standard deviation and root mean square of each field and of its steps in time.

Of YAML, exactly the form in which such files are published: statistics, fields below them, numbers or block lists of
them. Tags, anchors, flow collections, quoted or multi-line text are refused, so nothing in the file can do anything.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from opnet.core.errors import DataError

STATISTICS = ("mean", "mean_delta", "rms", "rms_delta", "std", "std_delta")
Stats = dict[str, dict[str, Any]]

_NUMBER = r"([-+]?\d{1,400}(?:\.\d{0,400})?(?:[eE][-+]?\d{1,4})?)"
_STATISTIC = re.compile(r"(\w{1,100}):")
_FIELD = re.compile(rf"  (\w[\w ./-]{{0,200}}):(?: {_NUMBER})?")
_ITEM = re.compile(rf"  (- - |- |  - ){_NUMBER}")


def parse_stats(text: str, where: str) -> Stats:
    """Statistic -> field -> a number, a list (vectors), or a list of rows (tensors).

    Raises:
        DataError: naming the line that is of another form.

    >>> parse_stats("mean:\\n  u: 1.5\\n  v:\\n  - 0.0\\n  - 1.0e-05\\n", "stats.yaml")
    {'mean': {'u': 1.5, 'v': [0.0, 1e-05]}}
    """
    stats: Stats = {}
    fields: dict[str, Any] | None = None
    items: list[Any] | None = None
    for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
        place = f"{where}: line {number}"
        if match := _STATISTIC.fullmatch(line):
            _new(match[1], stats, place)
            fields = stats[match[1]] = {}
            items = None
        elif fields is not None and (match := _FIELD.fullmatch(line)):
            _new(match[1], fields, place)
            fields[match[1]] = items = [] if match[2] is None else None
            if match[2] is not None:
                fields[match[1]] = _number(match[2], place)
        elif items is not None and (match := _ITEM.fullmatch(line)):
            _append(items, match[1], _number(match[2], place), place)
        else:
            raise DataError(
                f"{place}: expected a statistic, a field or a number of The Well's form, found {line!r:.80}"
            )
    for statistic, entries in stats.items():
        for name, value in entries.items():
            if value == [] or (isinstance(value, list) and isinstance(value[0], list) and len({*map(len, value)}) > 1):
                raise DataError(f"{where}: {statistic}: {name}: expected numbers or equal rows, found {value!r:.80}")
    return stats


def _new(name: str, known: Mapping[str, Any], place: str) -> None:
    if name in known:
        raise DataError(f"{place}: expected each name once, found {name!r} again")


def _number(text: str, place: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise DataError(f"{place}: expected a finite number, found {text!r:.80}")
    return value


def _append(items: list[Any], mark: str, value: float, place: str) -> None:
    in_rows = bool(items) and isinstance(items[0], list)
    if mark == "- - " and (in_rows or not items):
        items.append([value])
    elif mark == "  - " and in_rows:
        items[-1].append(value)
    elif mark == "- " and not in_rows:
        items.append(value)
    else:
        raise DataError(f"{place}: expected numbers or rows of numbers, found both")


def emit_stats(stats: Stats) -> str:
    """The text that `parse_stats` takes back, and any YAML reader."""
    lines = []
    for statistic in sorted(stats):
        lines.append(f"{statistic}:")
        for name in sorted(stats[statistic]):
            value = np.asarray(stats[statistic][name], dtype=np.float64)
            lines.append(f"  {name}:" + (f" {_text(float(value))}" if value.ndim == 0 else ""))
            if value.ndim == 1:
                lines += [f"  - {_text(entry)}" for entry in value.tolist()]
            elif value.ndim == 2:
                for row in value.tolist():
                    lines += [f"  {'  ' if i else '- '}- {_text(entry)}" for i, entry in enumerate(row)]
    return "\n".join(lines) + "\n"


def _text(value: float) -> str:
    text = repr(value)
    # YAML 1.1 takes 1e-05 for text; with a point it is a number.
    return text if "." in text or "e" not in text else text.replace("e", ".0e", 1)


@dataclass
class Moments:
    """Mean and spread of values that come in blocks, merged without cancellation."""

    count: int = 0
    mean: Any = 0.0
    spread: Any = field(default=0.0)

    def add(self, values: np.ndarray, order: int) -> None:
        """Take in `values`, whose last `order` axes are components."""
        block = np.asarray(values, dtype=np.float64).reshape(-1, *values.shape[values.ndim - order :])
        count, mean = len(block), block.mean(0)
        apart, total = mean - self.mean, self.count + len(block)
        self.spread = self.spread + ((block - mean) ** 2).sum(0) + apart**2 * self.count * count / total
        self.mean, self.count = self.mean + apart * count / total, total

    def results(self) -> dict[str, Any]:
        variance = self.spread / self.count
        return {"mean": self.mean, "std": np.sqrt(variance), "rms": np.sqrt(variance + self.mean**2)}
