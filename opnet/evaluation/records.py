"""Results in one form: `meta` and flat `records`, as JSON.

Every number stored anywhere names the commit, seed, machine, versions, data digest and command that make it again.
"""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from opnet.core.errors import DataError
from opnet.data.durable import replace_file
from opnet.data.manifest import software_versions

Record = dict[str, Any]

LABELS = frozenset(
    {"name", "value", "low", "high", "unit", "model", "data", "seed", "split", "resolution", "inference", "graphon"}
    | {"part", "expected", "tolerance", "case", "mode", "n", "problem", "test", "of"}
)


def record(name: str, value: float, **labels: Any) -> Record:
    """One flat record; a label that is None is left out.

    Args:
        name: what was measured, such as "RelativeL2".
        value: the number; NaN and Inf are refused.
        labels: any of `LABELS`.

    Raises:
        ValueError: for a value that is not finite, or a label outside the vocabulary.

    >>> record("RelativeL2", 0.02, low=0.018, high=0.022, resolution=[64, 64], graphon=None)
    {'name': 'RelativeL2', 'value': 0.02, 'low': 0.018, 'high': 0.022, 'resolution': [64, 64]}
    """
    unknown = labels.keys() - LABELS
    if unknown:
        raise ValueError(f"record {name!r}: expected labels among {sorted(LABELS)}, found {sorted(unknown)}")
    if not math.isfinite(value):
        raise ValueError(f"record {name!r}: expected a finite value, found {value}")
    return {"name": name, "value": float(value), **{k: v for k, v in labels.items() if v is not None}}


def provenance(*, seed: int | None = None, dataset: str | None = None, **more: Any) -> dict[str, Any]:
    """What it takes to make a result again; the `meta` of a results file.

    Args:
        seed: the seed the result started from.
        dataset: digest of the data it was measured on.
        more: anything else worth keeping, as plain data; paths relative.
    """
    commit, dirty = _commit()
    return {
        "commit": commit,
        "dirty": dirty,
        "command": " ".join([Path(sys.argv[0]).name, *map(_relative, sys.argv[1:])]),
        "seed": seed,
        "dataset": dataset,
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "system": platform.system(),
            "threads": torch.get_num_threads(),
            "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
        "versions": {"python": platform.python_version(), **software_versions()},
        **more,
    }


def results(records: Iterable[Record], meta: Mapping[str, Any]) -> str:
    """The JSON text of a results file."""
    return json.dumps({"meta": dict(meta), "records": list(records)}, indent=1, allow_nan=False) + "\n"


def write_results(path: str | Path, records: Iterable[Record], **meta: Any) -> None:
    """Write a results file with the `provenance` of this process; what benchmarks call."""
    replace_file(Path(path), results(records, provenance(**meta)).encode())


def read_results(path: str | Path) -> tuple[dict[str, Any], list[Record]]:
    """The meta and records of a results file.

    Raises:
        DataError: if the file is not one.
    """
    try:
        content = json.loads(Path(path).read_text())
        return content["meta"], content["records"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: expected a results file with 'meta' and 'records', found {error!r}") from error


def _commit() -> tuple[str | None, bool | None]:
    """Commit of the checkout opnet is imported from, and whether it has uncommitted changes; None when installed."""
    here = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if here.parents[1] != Path(git("rev-parse", "--show-toplevel")).resolve():
            return None, None
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain"))
    except (OSError, subprocess.CalledProcessError):
        return None, None


def _relative(argument: str) -> str:
    """An argument without this machine's folders."""
    path = Path(argument)
    if not path.is_absolute():
        return argument
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else path.name


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
