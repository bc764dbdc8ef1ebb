"""`Bumps`: smooth bumps at random places of a periodic box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from math import pi

import torch

from opnet.core.registry import register
from opnet.core.typing import Float
from opnet.spaces.fields.base import RandomField, stacked
from opnet.spaces.grid import Grid
from opnet.spaces.streams import stream


@register("field", "Bumps")
@dataclass(frozen=True)
class Bumps(RandomField):
    r"""The smooth union of bumps at uniformly random places of a periodic box, between 0 and 1.

    .. math:: g(x) = 1 - \prod_i (1 - b(x - c_i)), \qquad
       b(x) = \exp\left(-\sum_a \frac{1 - \cos(2 \pi x_a / L_a)}{(2 \pi w / L_a)^2}\right)
            \approx \exp\left(-\frac{|x|^2}{2 w^2}\right)

    A Gaussian where it is narrow against the box, and periodic and analytic whatever its width.

    Args:
        least, most: the number of bumps is drawn uniformly from these.
        width: w, in the unit of length.

    Raises:
        ValueError: unless 1 <= least <= most and the width is positive.

    >>> g = Bumps(width=0.1).sample(0, [0], Grid((64, 64), boundary="periodic"))
    >>> float(g.min()) >= 0 and 0.9 < float(g.max()) <= 1
    True
    """

    least: int = 5
    most: int = 20
    width: float = 0.08

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.most:
            raise ValueError(f"Bumps: expected 1 <= least <= most, found {self.least} and {self.most}")
        if not self.width > 0:
            raise ValueError(f"Bumps.width: expected a positive number, found {self.width}")

    def sample(
        self, seed: int, indices: Sequence[int], grid: Grid, *, key: Sequence[int] = ()
    ) -> Float[torch.Tensor, "sample *shape"]:
        axes = [(grid.axis(i) - grid.extent[i][0]) / grid.lengths[i] for i in range(grid.dim)]
        values = []
        for index in indices:
            random = stream(seed, index, *key)
            count = int(random.integers(self.least, self.most + 1))
            centres = torch.from_numpy(random.uniform(size=(count, grid.dim)))
            left = torch.ones(grid.shape, dtype=torch.float64)
            for centre in centres:
                one = [self._bump(s - c, length) for s, c, length in zip(axes, centre, grid.lengths, strict=True)]
                left *= 1 - reduce(lambda a, b: a[..., None] * b, one)
            values.append(1 - left)
        return stacked(values, grid)

    def _bump(self, s: torch.Tensor, length: float) -> torch.Tensor:
        return torch.exp((torch.cos(2 * pi * s) - 1) / (2 * pi * self.width / length) ** 2)
