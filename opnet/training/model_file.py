"""A model as one file: safetensors whose metadata hold the architecture, as plain data, and the file's own sha256.

Nothing in such a file is executed: classes are looked up in the registry, weights are numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.module import register_module_parameter_registration_hook

from opnet.core.errors import DataError
from opnet.data.durable import open_regular, replace_file
from opnet.models.base import Model, build_model
from opnet.training.seal import BLANK, check_seal, seal

FORMAT, VERSION = "opnet-model", 1
_KEY = "opnet"
_MAX_HEADER = 64 << 20


def save_model(model: Model, path: str | Path) -> None:
    """Write the architecture and weights of `model` to the file `path`, durably; load it with `load_model`.

    Raises:
        OSError: when the disk is full or the folder missing; an older file at `path` is then still there.
    """
    replace_file(Path(path), model_bytes(model))


def load_model(path: str | Path) -> Model:
    """The model that `save_model` or a checkpoint (its `weights.safetensors`) wrote, on the CPU.

    Raises:
        DataError: naming the file, what was expected and what was found: for a damaged file, an unknown class, or
            weights that are not those of the architecture. Links are not followed.
    """
    path = Path(path)
    config, tensors = read_model_file(path, read_bytes(path))
    with torch.random.fork_rng(devices=[]):
        _check_architecture(path, config, tensors)
        model = build_model(config)
    load_weights(path, model, tensors)
    return model


def model_bytes(model: Model) -> bytes:
    """The content of a model file; equal for equal weights."""
    header = {"sha256": BLANK, "format": FORMAT, "version": VERSION, "config": model.config}
    return seal(tensor_bytes(model.state_dict(), {_KEY: json.dumps(header, allow_nan=False)}))


def tensor_bytes(tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> bytes:
    from safetensors.torch import save

    # Copies, since safetensors refuses tensors that share memory, as tied weights do.
    return save({k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}, metadata)


def read_bytes(path: Path, limit: int | None = None) -> bytes:
    """All bytes of a regular file, at most `limit`."""
    with open_regular(path) as file:
        content = file.read() if limit is None else file.read(limit + 1)
    if limit is not None and len(content) > limit:
        raise DataError(f"{path}: expected at most {limit} bytes, found more")
    return content


def read_model_file(path: Path, content: bytes) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The architecture and weights that `content` holds, after its seal was found whole."""
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or size > min(_MAX_HEADER, len(content) - 8):
        raise DataError(f"{path}: expected a safetensors file, found {len(content)} bytes that do not hold its header")
    header = read_json(path, content[8 : 8 + size])
    metadata = header.get("__metadata__")
    text = metadata.get(_KEY) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise DataError(f"{path}: expected a model written by opnet, found safetensors without its metadata")
    about = read_json(path, text.encode())
    check_seal(path, content, about.get("sha256"))
    if about.get("format") != FORMAT or about.get("version") != VERSION:
        found = f"{about.get('format')!r} version {about.get('version')!r}"
        raise DataError(f"{path}: expected format {FORMAT!r} version {VERSION}, found {found}")
    config = about.get("config")
    if not isinstance(config, dict):
        raise DataError(f"{path}: expected the model's config as a table, found {config!r}")
    return config, read_tensors(path, content)


def read_tensors(path: Path, content: bytes) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(content)
    except SafetensorError as error:
        raise DataError(f"{path}: expected a safetensors file, found {error}") from error


def read_json(path: Path, content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: expected JSON, found {error}") from error
    if not isinstance(value, dict):
        raise DataError(f"{path}: expected a JSON object, found {type(value).__name__}")
    return value


def load_weights(path: Path, model: Model, tensors: Mapping[str, Tensor]) -> None:
    """Give `model` the weights, and their precision, after checking names, shapes and dtypes."""
    precisions = {t.dtype for t in tensors.values() if t.is_floating_point()}
    if len(precisions) == 1:
        model.to(precisions.pop())
    _check_same(path, model.state_dict(), tensors, dtypes=True)
    for name, values in tensors.items():
        if not torch.isfinite(values).all():
            raise DataError(f"{path}: expected finite weights, found NaN or Inf in {name}")
    model.load_state_dict(dict(tensors))


def _check_architecture(path: Path, config: dict[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Build without memory first: a config must not make more of a model than the file has weights for."""
    try:
        with torch.device("meta"), _parameter_limit(4 * len(tensors) + 16):
            model = build_model(config)
    except ValueError as error:
        raise DataError(f"{path}: expected a model that can be built, found {error}") from error
    _check_same(path, model.state_dict(), tensors, dtypes=False)


def _check_same(path: Path, own: Mapping[str, Tensor], tensors: Mapping[str, Tensor], *, dtypes: bool) -> None:
    if own.keys() != tensors.keys():
        differing = sorted(own.keys() ^ tensors.keys())
        raise DataError(f"{path}: expected the weights of the architecture, found {differing[:4]} on one side only")
    for name in own:
        expected, found = own[name], tensors[name]
        if expected.shape != found.shape or (dtypes and expected.dtype != found.dtype):
            raise DataError(
                f"{path}: expected {name} of shape {tuple(expected.shape)} and {expected.dtype}, "
                f"found {tuple(found.shape)} and {found.dtype}"
            )


@contextmanager
def _parameter_limit(limit: int) -> Iterator[None]:
    count = 0

    def enter(module: torch.nn.Module, name: str, parameter: Any) -> None:
        nonlocal count
        count += 1
        if count > limit:
            raise ValueError(f"an architecture with over {limit} parameter tensors, more than the file holds")

    handle = register_module_parameter_registration_hook(enter)
    try:
        yield
    finally:
        handle.remove()
