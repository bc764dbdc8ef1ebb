"""Checkpoints: folders that are whole or absent, of which the newest whole one is taken up again.

    folder/step-00001200-epoch-0012/weights.safetensors     a model file, which `load_model` reads by itself
                                    optimizer.safetensors   the optimiser's tensors
                                    state.json              everything else, and the sha256 of all three

A checkpoint is written under a temporary name, forced to disk and renamed, and older ones go only afterwards; the two
newest stay. Nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from opnet.core.errors import DataError
from opnet.data.durable import TEMPORARY_SUFFIX, make_folder, replace_file, sole_writer, sync_folder
from opnet.models.base import Model
from opnet.training.model_file import load_model, model_bytes, read_bytes, read_json, read_tensors, tensor_bytes
from opnet.training.seal import BLANK, check_seal, seal

FORMAT, VERSION = "opnet-checkpoint", 1
WEIGHTS, OPTIMIZER, STATE = "weights.safetensors", "optimizer.safetensors", "state.json"
KEPT = 2
_NAME = re.compile(r"step-(\d{8,})-epoch-(\d{4,})")
_MAX_STATE = 256 << 20


@dataclass
class Standing:
    """How far a training is. Floats are stored exactly.

    Attributes:
        step: steps done.
        loss_sum: of the samples of the epoch begun.
        seconds: spent so far, interruptions left out.
        history: one entry a finished epoch.
    """

    step: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint read back, every byte of it verified.

    Attributes:
        identity: what was being trained on what and how, as plain data.
    """

    path: Path
    identity: dict[str, Any]
    standing: Standing
    threads: int
    weights: bytes
    optimizer: dict[str, Tensor]


def write_checkpoint(
    folder: Path, model: Model, optimizer: dict[str, Tensor], standing: Standing, identity: dict[str, Any]
) -> Path:
    """Write the checkpoint of `standing` into `folder`; returns its path once it is durable."""
    final = folder / f"step-{standing.step:08d}-epoch-{len(standing.history):04d}"
    contents = {WEIGHTS: model_bytes(model), OPTIMIZER: tensor_bytes(optimizer)}
    state = {
        "sha256": BLANK,
        "format": FORMAT,
        "version": VERSION,
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "identity": identity,
        "standing": asdict(standing),
    }
    contents[STATE] = seal(json.dumps(state, indent=1, allow_nan=False).encode())
    partial = final.with_name(f".{final.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
    partial.mkdir()
    try:
        for name, content in contents.items():
            replace_file(partial / name, content)
        os.replace(partial, final)
    except BaseException:
        shutil.rmtree(partial)
        raise
    sync_folder(folder)
    for _, old in _checkpoints(folder)[:-KEPT]:
        _remove(old)
    return final


def read_checkpoint(path: str | Path) -> Checkpoint:
    """The checkpoint in the folder `path`.

    Raises:
        DataError: naming the file, what was expected and what was found, unless every byte is as it was written.
    """
    path = Path(path)
    if path.is_symlink() or not path.is_dir():
        raise DataError(f"{path}: expected the folder of a checkpoint, found a link, a file or nothing")
    state = _read_state(path)
    files = state.get("files")
    if not isinstance(files, dict) or set(files) != {WEIGHTS, OPTIMIZER}:
        raise DataError(f"{path / STATE}: expected the digests of {WEIGHTS} and {OPTIMIZER}, found {files!r}")
    contents = {}
    for name in (WEIGHTS, OPTIMIZER):
        contents[name] = read_bytes(path / name)
        found = hashlib.sha256(contents[name]).hexdigest()
        if found != files[name]:
            raise DataError(f"{path / name}: expected sha256 {files[name]}, found {found}: the file is damaged")
    try:
        standing = _standing(**state["standing"])
        optimizer = read_tensors(path / OPTIMIZER, contents[OPTIMIZER])
        return Checkpoint(path, state["identity"], standing, state["threads"], contents[WEIGHTS], optimizer)
    except (KeyError, TypeError) as error:
        raise DataError(f"{path / STATE}: expected the state of a training, found {error!r}") from error


def newest_checkpoint(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint in `folder` that is whole, and what was wrong with newer ones; None if there is none.

    Damaged ones are set aside under the name damaged-*: training is deterministic, so that going on from an older one
    ends in the same weights.

    Raises:
        DataError: if there are checkpoints and all are damaged, as the newest is.
    """
    damage: list[tuple[Path, DataError]] = []
    for _, path in reversed(_checkpoints(folder)):
        try:
            checkpoint = read_checkpoint(path)
        except DataError as error:
            damage.append((path, error))
            continue
        notes = []
        for damaged, reason in damage:
            aside = folder / f"damaged-{damaged.name}"
            _remove(aside)
            os.replace(damaged, aside)
            notes.append(f"{reason}; set aside as {aside.name} and went on from {path.name}")
        return checkpoint, notes
    if damage:
        raise damage[0][1]
    return None, []


@contextmanager
def checkpoint_folder(folder: Path) -> Iterator[None]:
    """The folder of a training's checkpoints, created, without what killed writers left, and locked for this block.

    Raises:
        DataError: if it is a link or a file.
        ValueError: if another process is training there.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise DataError(f"{folder}: expected a folder for checkpoints, found a link or file")
    make_folder(folder)
    with sole_writer(folder):
        for path in folder.glob(f".*step-*{TEMPORARY_SUFFIX}"):
            _remove(path)
        yield


def load_latest(folder: str | Path) -> Model:
    """The model of the newest checkpoint in `folder`.

    Raises:
        DataError: if there is no checkpoint, or the newest is damaged.
    """
    folder = Path(folder)
    found = _checkpoints(folder) if folder.is_dir() else []
    if not found:
        raise DataError(f"{folder}: expected checkpoints, found none")
    return load_model(read_checkpoint(found[-1][1]).path / WEIGHTS)


def describe_checkpoint(path: str | Path) -> dict[str, Any]:
    """What a checkpoint says about itself, as plain data, after all of it was verified."""
    checkpoint = read_checkpoint(path)
    standing = checkpoint.standing
    last = standing.history[-1] if standing.history else {}
    return {
        "step": standing.step,
        "epochs": len(standing.history),
        "seconds": standing.seconds,
        "last_loss": last.get("loss"),
        **checkpoint.identity,
    }


def _standing(step: object, loss_sum: object, seconds: object, history: object) -> Standing:
    """A `Standing` whose fields are of the right types, or a `TypeError`."""
    if not (isinstance(step, int) and isinstance(loss_sum, float) and isinstance(seconds, float)):
        raise TypeError(f"step {step!r}, loss_sum {loss_sum!r}, seconds {seconds!r}")
    if not (isinstance(history, list) and all(isinstance(row, dict) for row in history)):
        raise TypeError(f"history {history!r}")
    return Standing(step, loss_sum, seconds, history)


def _read_state(path: Path) -> dict[str, Any]:
    content = read_bytes(path / STATE, _MAX_STATE)
    state = read_json(path / STATE, content)
    check_seal(path / STATE, content, state.get("sha256"))
    if state.get("format") != FORMAT or state.get("version") != VERSION:
        found = f"{state.get('format')!r} version {state.get('version')!r}"
        raise DataError(f"{path / STATE}: expected format {FORMAT!r} version {VERSION}, found {found}")
    return state


def _checkpoints(folder: Path) -> list[tuple[tuple[int, int], Path]]:
    """Everything with a checkpoint's name, oldest first."""
    matches = [(_NAME.fullmatch(path.name), path) for path in folder.iterdir()]
    return sorted(((int(match[1]), int(match[2])), path) for match, path in matches if match)


def _remove(path: Path) -> None:
    """Remove what a link names, not what it leads to; a folder first loses its name, so that no part stands there."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        hidden = path.with_name(f".{path.name.lstrip('.')}.{os.getpid()}{TEMPORARY_SUFFIX}")
        if hidden != path:
            os.replace(path, hidden)
        shutil.rmtree(hidden)
