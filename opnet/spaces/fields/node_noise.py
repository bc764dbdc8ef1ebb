"""`NodeNoise`: an independent normal number at every node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from opnet.core.registry import register
from opnet.core.typing import Float
from opnet.spaces.fields.base import RandomField, stacked
from opnet.spaces.grid import Grid
from opnet.spaces.streams import stream


@register("field", "NodeNoise")
@dataclass(frozen=True)
class NodeNoise(RandomField):
    """N(0, sigma^2) at every node, independently: **another function on every grid**, for recipes published so.

    Such numbers have no limit as the grid is refined: results at two resolutions are of two experiments. Any other
    field draws functions.

    Args:
        sigma: standard deviation.

    Raises:
        ValueError: unless sigma is positive.

    >>> NodeNoise().sample(0, [3], Grid((8, 8), nodes="cell")).shape
    torch.Size([1, 8, 8])
    """

    sigma: float = 1.0

    def __post_init__(self) -> None:
        if not self.sigma > 0:
            raise ValueError(f"NodeNoise.sigma: expected a positive number, found {self.sigma}")

    @property
    def depends_on_grid(self) -> bool:
        return True

    def sample(
        self, seed: int, indices: Sequence[int], grid: Grid, *, key: Sequence[int] = ()
    ) -> Float[torch.Tensor, "sample *shape"]:
        draws = [stream(seed, index, *key).standard_normal(grid.shape) for index in indices]
        return stacked([self.sigma * torch.from_numpy(g) for g in draws], grid)
