"""What makes a training the same training: the model, the configuration, the loss and the data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from opnet.data.manifest import plain
from opnet.evaluation.metrics import Criterion
from opnet.models.base import Model
from opnet.training.batches import TrainingBatches
from opnet.training.config import FitConfig
from opnet.training.protocol import RolloutTraining


def plain_identity(
    model: Model, config: FitConfig, loss: Criterion, rollouts: RolloutTraining, batches: TrainingBatches
) -> dict[str, Any]:
    """All that `fit` was given and that the final weights depend on, as JSON has it."""
    identity = {
        "model": model.config,
        "training": asdict(config),
        "rollouts": asdict(rollouts),
        "loss": plain(loss, ("loss",)) if is_dataclass(loss) else {"class": type(loss).__name__},
        "data": batches.describe(),
    }
    # Checkpoints take no number that is not finite, such as the p of a largest error.
    return json.loads(json.dumps(identity), parse_constant=str)


def check_identity(folder: Path, asked: dict[str, Any], found: dict[str, Any]) -> None:
    """Raise a `ValueError` saying what differs, unless the training in `folder` is the one asked for."""
    expected, held = dict(_leaves(asked)), dict(_leaves(found))
    differing = [key for key in dict.fromkeys([*held, *expected]) if held.get(key) != expected.get(key)]
    if differing:
        what = "; ".join(f"{k}: expected {expected.get(k)!r}, found {held.get(k)!r}" for k in differing[:4])
        more = f" and {len(differing) - 4} more" if len(differing) > 4 else ""
        raise ValueError(
            f"folder: {folder}: expected the checkpoints of this training, found another's ({what}{more}); "
            "use another folder"
        )


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, f"{key}.{name}" if key else name)
    else:
        yield key, value
