"""`FitConfig`: how a model is trained."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import torch

from opnet.core.expect import integer
from opnet.training.schedules import SCHEDULES

PRECISIONS = {"float32": torch.float32, "float64": torch.float64}
AUGMENTATIONS = ("none", "dihedral")


@dataclass(frozen=True)
class FitConfig:
    """How `fit` trains. With the data and the model's first weights it determines the final weights.

    Args:
        epochs: passes over the data.
        batch_size: samples a step; the last batch of an epoch may be smaller.
        learning_rate: the largest the schedule reaches.
        schedule: "constant", "cosine", "one_cycle" or "step"; see `opnet.training.schedules`.
        weight_decay: of AdamW, decoupled: each step scales the weights by 1 - rate * weight_decay.
        seed: of the batch order, the augmentation, and whatever the model draws while training (dropout).
        device: such as "cpu" or "cuda"; the model and the data are moved there.
        precision: "float32" or "float64"; the model and the data are cast to it.
        augmentation: "dihedral" applies one random symmetry of the square to each batch: inputs with their edge values
            repeated where a node is missing, targets with zero; "none" does not.
        gradient_clip: largest norm of the gradient over all parameters; a longer one is scaled to it. None: no limit.

    Raises:
        ValueError: naming the argument, what was expected and what was found.

    >>> FitConfig(epochs=0)
    Traceback (most recent call last):
    ValueError: FitConfig.epochs: expected an integer of at least 1, found 0
    """

    epochs: int = 100
    batch_size: int = 20
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    weight_decay: float = 0.0
    seed: int = 0
    device: str = "cpu"
    precision: str = "float32"
    augmentation: str = "none"
    gradient_clip: float | None = None

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 1), ("seed", 0)):
            expected = f"an integer of at least {least}"
            object.__setattr__(self, name, integer(f"FitConfig.{name}", getattr(self, name), expected))
            _expect(self, name, getattr(self, name) >= least, expected)
        _expect(self, "learning_rate", _is_finite(self.learning_rate) and self.learning_rate > 0, "a positive number")
        _expect(
            self, "weight_decay", _is_finite(self.weight_decay) and self.weight_decay >= 0, "a number of at least 0"
        )
        decay = self.learning_rate * self.weight_decay
        if decay > 1:
            raise ValueError(f"FitConfig: expected learning_rate * weight_decay of at most 1, found {decay:g}")
        clip = self.gradient_clip
        _expect(self, "gradient_clip", clip is None or (_is_finite(clip) and clip > 0), "None or a positive number")
        for name, allowed in (("schedule", SCHEDULES), ("precision", PRECISIONS), ("augmentation", AUGMENTATIONS)):
            _expect(self, name, getattr(self, name) in tuple(allowed), f"one of {', '.join(allowed)}")
        try:
            device = torch.device(self.device)
        except (RuntimeError, TypeError) as error:
            raise ValueError(f"FitConfig.device: expected a torch device, found {self.device!r}") from error
        if device.type == "cuda" and not torch.cuda.is_available():
            raise ValueError(f"FitConfig.device: expected a device of this machine, found {self.device!r} without CUDA")

    @property
    def dtype(self) -> torch.dtype:
        return PRECISIONS[self.precision]


def _expect(config: FitConfig, name: str, fulfilled: bool, expected: str) -> None:
    if not fulfilled:
        raise ValueError(f"FitConfig.{name}: expected {expected}, found {getattr(config, name)!r}")


def _is_finite(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)
