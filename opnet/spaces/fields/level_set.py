"""`LevelSet`: media of two or more phases, cut from a random field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from opnet.core.expect import expect
from opnet.core.registry import register
from opnet.core.typing import Float
from opnet.spaces.fields.base import RandomField
from opnet.spaces.grid import Grid


@register("field", "LevelSet")
@dataclass(frozen=True)
class LevelSet(RandomField):
    """Piecewise constant functions: `values[i]` where `thresholds[i - 1] <= g < thresholds[i]`.

    Args:
        field: g.
        values: one for every phase, from the lowest g to the highest.
        thresholds: where phases meet, ascending; one fewer than values.

    Raises:
        ValueError: for thresholds that do not ascend, or whose number does not fit.

    The two phases of Darcy's flow in the FNO papers, 3 where g < 0 and 12 where g >= 0:

    >>> from opnet.spaces.fields.gaussian import GaussianField
    >>> medium = LevelSet(GaussianField(3.0, 2.0, sigma=3.0), values=(3.0, 12.0))
    >>> medium.sample(0, [0], Grid((64, 64), nodes="cell")).unique().tolist()
    [3.0, 12.0]
    """

    field: RandomField
    values: tuple[float, ...]
    thresholds: tuple[float, ...] = (0.0,)

    def __post_init__(self) -> None:
        expect("LevelSet.field", self.field, RandomField, "a random field such as GaussianField(3.0, 2.0)")
        if len(self.values) != len(self.thresholds) + 1:
            raise ValueError(
                f"LevelSet.values: expected {len(self.thresholds) + 1}, one more than thresholds, "
                f"found {len(self.values)}"
            )
        if not all(a < b for a, b in pairwise(self.thresholds)):
            raise ValueError(f"LevelSet.thresholds: expected ascending numbers, found {self.thresholds}")

    @property
    def depends_on_grid(self) -> bool:
        return self.field.depends_on_grid

    def sample(
        self, seed: int, indices: Sequence[int], grid: Grid, *, key: Sequence[int] = ()
    ) -> Float[torch.Tensor, "sample *shape"]:
        g = self.field.sample(seed, indices, grid, key=key)
        phase = torch.bucketize(g, torch.tensor(self.thresholds, dtype=g.dtype), right=True)
        return torch.tensor(self.values, dtype=g.dtype)[phase]
