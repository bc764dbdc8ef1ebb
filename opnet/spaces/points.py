"""`Points`: scattered nodes and what each counts in an integral."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from opnet.spaces.grid import Grid


@dataclass(frozen=True, eq=False)
class Points:
    """Nodes of a function on a domain of any shape: geometry only, never values.

    Args:
        positions: of each node; (point, dim).
        weights: quadrature weight of each, positive; (point,). They are scaled to sum to 1, so that integrals are
            averages over the domain. None: all equal, as for points drawn uniformly.
        periods: of each axis, None where it is not periodic; by default no axis is.

    Raises:
        ValueError: for positions that are not finite or not (point, dim), weights that are not positive or not one a
            point, periods that are not positive or not one an axis.

    >>> Points(torch.tensor([[0.0], [0.5], [1.0]]), torch.tensor([1.0, 2.0, 1.0])).weights
    tensor([0.2500, 0.5000, 0.2500], dtype=torch.float64)
    """

    positions: Tensor
    weights: Tensor | None = None
    periods: Sequence[float | None] = ()

    def __post_init__(self) -> None:
        # Geometry is decided once, in double precision, whatever precision a model then works in, and outlives the
        # call that first needs it, which may be in inference mode.
        with torch.inference_mode(False), torch.no_grad():
            positions = _plain("positions", self.positions)
            if positions.ndim != 2 or not positions.numel():
                raise ValueError(f"Points: positions: expected (point, dim), found {tuple(positions.shape)}")
            n, dim = positions.shape
            weights = _plain("weights", torch.ones(n) if self.weights is None else self.weights).to(positions.device)
            if weights.shape != (n,) or not bool((weights > 0).all()):
                raise ValueError(
                    f"Points: weights: expected {n} positive numbers, one for each point, found "
                    f"{'some that are not positive' if weights.shape == (n,) else tuple(weights.shape)}"
                )
            weights = weights / weights.sum()
        periods = tuple(self.periods) or (None,) * dim
        if len(periods) != dim or not all(period is None or period > 0 for period in periods):
            raise ValueError(
                f"Points: periods: expected a positive number or None for each of {dim} axes, found {periods}"
            )
        for name, value in (("positions", positions), ("weights", weights), ("periods", periods)):
            object.__setattr__(self, name, value)

    @classmethod
    def of_grid(cls, grid: Grid, device: torch.device | str | None = None) -> Points:
        """The nodes of a grid in row-major order, in units of the box's longest side from its low corner.

        >>> Points.of_grid(Grid((2,), extent=((3.0, 5.0),), nodes="cell")).positions.flatten()
        tensor([0.2500, 0.7500], dtype=torch.float64)
        """
        longest = max(grid.lengths)
        sides = torch.tensor(grid.lengths, dtype=torch.float64, device=device) / longest
        periods = [
            length / longest if boundary[0] == "periodic" else None
            for length, boundary in zip(grid.lengths, grid.boundary, strict=True)
        ]
        positions = grid.unit_coordinates(device=device).flatten(1).T * sides
        return cls(positions, grid.weights(device=device).flatten(), periods)

    @property
    def n(self) -> int:
        return len(self.positions)

    @property
    def dim(self) -> int:
        return self.positions.shape[1]

    def is_same(self, other: Points) -> bool:
        """Whether the nodes are the same ones in the same order."""
        if self.periods != other.periods or self.positions.shape != other.positions.shape:
            return False
        if self.positions.device != other.positions.device:
            return False
        return torch.equal(self.positions, other.positions) and torch.equal(self.measure, other.measure)

    @property
    def measure(self) -> Tensor:
        """The weights, never None.  # shape: (point,)"""
        assert self.weights is not None
        return self.weights

    def pooled(self, side: float) -> tuple[Points, Tensor]:
        """One node for each box of that side which holds any, and the box each of these nodes is in.

        A box's node is its nodes' centre of mass and has their weight together. Boxes start at 0, and do not depend on
        the order of the nodes.

        >>> coarse, box = Points(torch.tensor([[0.0], [0.2], [0.9]])).pooled(0.5)
        >>> coarse.positions.flatten(), box
        (tensor([0.1000, 0.9000], dtype=torch.float64), tensor([0, 0, 1]))
        """
        # A node on a wall belongs to the box above it, whichever way its coordinate was rounded.
        corners, box = torch.unique(torch.floor(self.positions / side + 1e-9), dim=0, return_inverse=True)
        mass = self.measure.new_zeros(len(corners)).index_add(0, box, self.measure)
        centres = average(self.positions, self.measure, box, len(corners))
        return Points(centres, mass, self.periods), box


def average(values: Tensor, weights: Tensor, box: Tensor, count: int) -> Tensor:
    """The weighted mean over each of `count` boxes of values whose first axis is the point's."""
    shares = weights / weights.new_zeros(count).index_add(0, box, weights)[box]
    wide = shares.to(values.dtype).reshape(-1, *(1,) * (values.ndim - 1))
    return values.new_zeros(count, *values.shape[1:]).index_add(0, box, values * wide)


def _plain(name: str, values: Tensor) -> Tensor:
    plain = values.detach().to(torch.float64).clone()
    if not bool(torch.isfinite(plain).all()):
        raise ValueError(f"Points: {name}: expected finite numbers, found others")
    return plain
