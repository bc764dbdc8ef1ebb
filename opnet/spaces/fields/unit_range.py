"""`UnitRange`: another field, scaled to lie between 0 and 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from opnet.core.expect import expect
from opnet.core.registry import register
from opnet.core.typing import Float
from opnet.spaces.fields.base import RandomField
from opnet.spaces.grid import Grid


@register("field", "UnitRange")
@dataclass(frozen=True)
class UnitRange(RandomField):
    """`(g - min g) / (max g - min g)` for the samples g of another field.

    The extremes are those at `nodes` midpoints an axis of the box, a property of the distribution and not of the grid
    that is asked for, moved outwards by an eighth of the largest second differences, which is what g can do between
    nodes: smooth samples stay within [0, 1] and reach both ends to that accuracy.

    Args:
        field: g.
        nodes: where extremes are looked for, an axis; None takes the nodes of the grid asked for, as PDEBench does: the
            result is then another function on every grid, and reaches 0 and 1 there.

    Raises:
        ValueError: for fewer than 3 nodes.

    >>> from opnet.spaces.fields.sine_waves import SineWaves
    >>> u = UnitRange(SineWaves()).sample(0, range(9), Grid((100,), boundary="periodic"))
    >>> 0 <= float(u.min()) < 1e-2 and 0.99 < float(u.max()) <= 1
    True
    """

    field: RandomField
    nodes: int | None = 1024

    def __post_init__(self) -> None:
        expect("UnitRange.field", self.field, RandomField, "a random field such as SineWaves()")
        if self.nodes is not None and self.nodes < 3:
            raise ValueError(f"UnitRange.nodes: expected at least 3, or None, found {self.nodes}")

    @property
    def depends_on_grid(self) -> bool:
        return self.nodes is None or self.field.depends_on_grid

    def sample(
        self, seed: int, indices: Sequence[int], grid: Grid, *, key: Sequence[int] = ()
    ) -> Float[torch.Tensor, "sample *shape"]:
        g = self.field.sample(seed, indices, grid, key=key)
        if self.nodes is None:
            low, high = g.flatten(1).aminmax(dim=1)
        else:
            dense = Grid((self.nodes,) * grid.dim, grid.extent, grid.boundary, "cell")
            low, high = _extremes(self.field.sample(seed, indices, dense, key=key))
        low, high = (bound.reshape(-1, *(1,) * grid.dim) for bound in (low, high))
        return (g - low) / (high - low)


def _extremes(g: Tensor) -> tuple[Tensor, Tensor]:
    low, high = g.flatten(1).aminmax(dim=1)
    margin = sum((g.diff(2, dim=axis).abs().flatten(1).amax(1) / 8 for axis in range(1, g.ndim)), torch.zeros(()))
    return low - margin, high + margin
