"""`PeriodicProblem`: equations on periodic boxes, which begin with random fields."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import torch
from torch import Tensor

from opnet.core.expect import expect
from opnet.solvers.pde.evolution import Evolution
from opnet.solvers.pde.periodic_box import evaluate
from opnet.spaces.fields.base import RandomField
from opnet.spaces.grid import Grid


class PeriodicProblem(Evolution):
    """Solved on a grid of its own, fine enough for the solution, and evaluated at the nodes that are asked for.

    Attributes:
        initial: of the first channel.
    """

    initial: RandomField

    @property
    def extent(self) -> tuple[tuple[float, float], ...]:
        """The box that is asked for."""
        return ((0.0, 1.0),)

    @property
    def initial_fields(self) -> tuple[RandomField, ...]:
        """Of each channel."""
        return (self.initial,)

    def grid(self, resolution: int) -> Grid:
        self.check_resolution(resolution)
        return self.box(resolution)

    def box(self, nodes: int) -> Grid:
        """A grid to solve on."""
        return Grid((nodes,) * len(self.extent), self.extent, "periodic")

    def start(self, seed: int, indices: Sequence[int], grid: Grid, box: Grid) -> Tensor:
        """The initial state on the box; of fields that depend on the grid, the interpolant of their nodes' values.

        # shape: (sample, channel, *box)
        """
        keys = [(component,) if component else () for component in range(len(self.initial_fields))]
        fields = zip(self.initial_fields, keys, strict=True)
        return torch.stack([self.drawn(field, seed, indices, grid, box, key) for field, key in fields], 1)

    def drawn(
        self, field: RandomField, seed: int, indices: Sequence[int], grid: Grid, box: Grid, key: Sequence[int]
    ) -> Tensor:
        """A field on the box.  # shape: (sample, *box)"""
        if field.depends_on_grid:
            return evaluate(field.sample(seed, indices, grid, key=key), grid, box)
        return field.sample(seed, indices, box, key=key)

    @property
    def depends_on_grid(self) -> bool:
        """Whether the initial state is another function on every grid."""
        return any(field.depends_on_grid for field in self.initial_fields)

    def check_resolution(self, resolution: int) -> None:
        """Raise a `ValueError` for a grid of fewer than 2 nodes."""
        if resolution < 2:
            raise ValueError(f"{type(self).__name__}: expected a resolution of at least 2, found {resolution}")

    def check(
        self,
        *positive: str,
        finite: Sequence[str] = (),
        fields: Sequence[str] = ("initial",),
        dims: Sequence[int] = (),
    ) -> None:
        """Raise a `ValueError` unless these arguments are positive, finite or fields, and `dim` one of these."""
        name = type(self).__name__
        for argument in fields:
            expect(f"{name}.{argument}", getattr(self, argument), RandomField, "a random field such as SineWaves()")
        for argument in (*positive, *finite):
            value, least = getattr(self, argument), 0 if argument in positive else -inf
            if not least < value < inf:
                kind = "positive finite" if argument in positive else "finite"
                raise ValueError(f"{name}.{argument}: expected a {kind} number, found {value}")
        if dims and getattr(self, "dim", None) not in dims:
            raise ValueError(f"{name}.dim: expected {' or '.join(map(str, dims))}, found {getattr(self, 'dim', None)}")
