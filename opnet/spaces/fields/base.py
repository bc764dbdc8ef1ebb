"""`RandomField`: a distribution of functions on a box."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch

from opnet.core.typing import Float
from opnet.spaces.grid import Grid


class RandomField(ABC):
    """A distribution of functions on a box. Concrete fields are frozen dataclasses.

    Unless a field says otherwise, sample i of a seed is one continuous function of the box: the same on every grid that
    lies on it, and whatever other samples are drawn with it.
    """

    @property
    def depends_on_grid(self) -> bool:
        """Whether a sample is another function on every grid, as some recipes were published."""
        return False

    @abstractmethod
    def sample(
        self, seed: int, indices: Sequence[int], grid: Grid, *, key: Sequence[int] = ()
    ) -> Float[torch.Tensor, "sample *shape"]:
        """The samples `indices` of `seed` at the nodes of `grid`, in float64.

        Args:
            key: what else the stream is keyed by, after the index, such as the number of a component.
        """


def stacked(values: list[torch.Tensor], grid: Grid) -> Float[torch.Tensor, "sample *shape"]:
    """Samples of one function each, which may be none."""
    return torch.stack(values) if values else torch.empty(0, *grid.shape, dtype=torch.float64)
