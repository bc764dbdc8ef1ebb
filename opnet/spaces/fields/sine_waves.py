"""`SineWaves`: a few sine waves of random wave number, amplitude and phase, on an interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi

import torch

from opnet.core.registry import register
from opnet.core.typing import Float
from opnet.spaces.fields.base import RandomField, stacked
from opnet.spaces.grid import Grid
from opnet.spaces.streams import stream


@register("field", "SineWaves")
@dataclass(frozen=True)
class SineWaves(RandomField):
    r"""Sums of a few sine waves on a periodic interval of length L.

    .. math:: g(x) = \sum_{i=1}^{m} A_i \sin(2 \pi n_i (x - x_{low}) / L + \varphi_i)

    with A from U(0, amplitude), phi from U(0, 2 pi), and n from 1, ..., max_mode, with replacement: what PDEBench
    (Takamoto et al., arXiv:2210.07182, eq. (8)) says of its one-dimensional initial states, m = 2, max_mode = 4. What
    its code draws is `PDEBenchWaves`.

    Args:
        max_mode: the largest wave number.
        waves: m.
        amplitude: the largest A.

    Raises:
        ValueError: unless all are positive, or for a grid of more than one axis.

    >>> grid = Grid((16,), boundary="periodic")
    >>> float(SineWaves().sample(0, [0], grid).mean().abs()) < 1e-15
    True
    """

    max_mode: int = 4
    waves: int = 2
    amplitude: float = 1.0

    def __post_init__(self) -> None:
        for name in ("max_mode", "waves", "amplitude"):
            if not getattr(self, name) > 0:
                raise ValueError(f"SineWaves.{name}: expected a positive number, found {getattr(self, name)}")

    def sample(
        self, seed: int, indices: Sequence[int], grid: Grid, *, key: Sequence[int] = ()
    ) -> Float[torch.Tensor, "sample *shape"]:
        check_interval("SineWaves", grid)
        s = (grid.axis(0) - grid.extent[0][0]) / grid.lengths[0]
        values = []
        for index in indices:
            random = stream(seed, index, *key)
            modes = torch.from_numpy(random.integers(1, self.max_mode + 1, self.waves)).to(s)
            amplitudes, phases = (
                torch.from_numpy(random.uniform(0, high, self.waves)) for high in (self.amplitude, 2 * pi)
            )
            values.append(amplitudes @ torch.sin(2 * pi * modes[:, None] * s + phases[:, None]))
        return stacked(values, grid)


def check_interval(name: str, grid: Grid) -> None:
    """Raise a `ValueError` naming the field unless the grid has one axis."""
    if grid.dim != 1:
        raise ValueError(f"{name}.sample: expected a grid of one axis, found {grid.dim}")
