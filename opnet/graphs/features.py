"""`FourierFeature`: random functions on [0, 1] that nodes take their values from."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import torch
from torch import Tensor

from opnet.spaces.streams import stream


@dataclass(frozen=True)
class FourierFeature:
    """`x_f(u) = sum_{k=1}^{modes} (a_fk cos 2 pi k u + b_fk sin 2 pi k u) / k^decay`, a, b ~ U(-1, 1).

    Args:
        seed, sample: what a and b are drawn from; the same function whatever the points.
        features: number of features f.
        modes: number of k.
        decay: 0 is the rough feature of arXiv 2510.03923 (with modes = 10).

    >>> FourierFeature(0, features=2)(torch.zeros(5, dtype=torch.float64)).shape
    torch.Size([1, 5, 2])
    """

    seed: int
    sample: int = 0
    features: int = 1
    modes: int = 10
    decay: float = 1.0

    def __call__(self, u: Tensor) -> Tensor:
        """Values at u.  # shape: (point,) -> (1, point, feature)"""
        draws = stream(self.seed, self.sample).uniform(-1, 1, (2, self.modes, self.features))
        a, b = torch.from_numpy(draws).to(u)
        k = torch.arange(1, self.modes + 1, dtype=u.dtype, device=u.device)
        angle = 2 * pi * u[:, None] * k
        return (torch.cos(angle) / k**self.decay @ a + torch.sin(angle) / k**self.decay @ b)[None]
