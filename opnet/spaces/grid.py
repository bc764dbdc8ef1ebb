"""`Grid`: where the values of a function on a box sit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from opnet.core.expect import integers
from opnet.core.typing import Float

BOUNDARIES = ("dirichlet", "neumann", "robin", "periodic")
NODES = ("vertex", "cell", "left", "interior")


@dataclass(frozen=True)
class Grid:
    """A tensor-product grid on a box: geometry only, never values.

    Args:
        shape: nodes along each axis.
        extent: `(low, high)` along each axis; the unit box by default. Lengths are in the problem's unit of length.
        boundary: one kind, one an axis, or a `(low, high)` pair an axis, of "dirichlet", "neumann", "robin" and
            "periodic".
        nodes: one placement or one an axis. With n nodes on an axis of length L:
            "vertex": both ends included, spacing L/(n-1) (on a periodic axis, where they are one point: "left");
            "cell": midpoints of n cells, spacing L/n;
            "left": left ends of n cells, spacing L/n, the right end missing;
            "interior": both ends left out, spacing L/(n+1).

    Raises:
        ValueError: for a shape other than integers, an empty axis, an inverted extent, an unknown or mismatched
            boundary or placement.

    >>> grid = Grid((4, 4), nodes="cell")
    >>> grid.spacing
    (0.25, 0.25)
    >>> grid.axis(0)
    tensor([0.1250, 0.3750, 0.6250, 0.8750], dtype=torch.float64)
    >>> float(Grid((5,), nodes="vertex").weights().sum())
    1.0
    """

    shape: tuple[int, ...]
    extent: tuple[tuple[float, float], ...] = ()
    boundary: Any = "dirichlet"
    nodes: Any = "vertex"

    def __post_init__(self) -> None:
        shape = integers("Grid.shape", self.shape, "integers, one for each axis, such as (64, 64)")
        if not shape:
            raise ValueError("Grid.shape: expected at least one axis, found none")
        dim = len(shape)
        extent = tuple((float(a), float(b)) for a, b in self.extent) or ((0.0, 1.0),) * dim
        if len(extent) != dim:
            raise ValueError(f"Grid.extent: expected {dim} (low, high) pairs for shape {shape}, found {len(extent)}")
        nodes = _per_axis("nodes", self.nodes, NODES, dim)
        boundary = _sides(self.boundary, dim)
        for axis in range(dim):
            least = 2 if nodes[axis] == "vertex" else 1
            if shape[axis] < least:
                raise ValueError(f"Grid.shape: expected at least {least} nodes on axis {axis}, found {shape[axis]}")
            if not extent[axis][0] < extent[axis][1]:
                raise ValueError(f"Grid.extent: expected low < high on axis {axis}, found {extent[axis]}")
            if boundary[axis].count("periodic") == 1:
                raise ValueError(
                    f"Grid.boundary: expected both sides of axis {axis} periodic or none, found {boundary[axis]}"
                )
            if boundary[axis][0] == "periodic" and nodes[axis] == "vertex":
                nodes = (*nodes[:axis], "left", *nodes[axis + 1 :])
        for name, value in (("shape", shape), ("extent", extent), ("boundary", boundary), ("nodes", nodes)):
            object.__setattr__(self, name, value)

    @property
    def dim(self) -> int:
        return len(self.shape)

    @property
    def lengths(self) -> tuple[float, ...]:
        return tuple(high - low for low, high in self.extent)

    @property
    def spacing(self) -> tuple[float, ...]:
        return tuple(length / count for length, count in zip(self.lengths, self.intervals, strict=True))

    @property
    def intervals(self) -> tuple[int, ...]:
        """How many times the spacing goes into the length of each axis."""
        more = {"vertex": -1, "cell": 0, "left": 0, "interior": 1}
        return tuple(n + more[kind] for n, kind in zip(self.shape, self.nodes, strict=True))

    def axis(self, axis: int, dtype: torch.dtype = torch.float64, device: Any = None) -> Float[torch.Tensor, " n"]:
        """Coordinates of the nodes along one axis."""
        offset = {"vertex": 0.0, "cell": 0.5, "left": 0.0, "interior": 1.0}[self.nodes[axis]]
        index = torch.arange(self.shape[axis], dtype=torch.float64, device=device)
        return (self.extent[axis][0] + (index + offset) * self.spacing[axis]).to(dtype)

    def coordinates(self, dtype: torch.dtype = torch.float64, device: Any = None) -> Float[torch.Tensor, "dim *shape"]:
        """Coordinates of every node, one component an axis."""
        axes = [self.axis(i, dtype, device) for i in range(self.dim)]
        return torch.stack(torch.meshgrid(*axes, indexing="ij"))

    def unit_coordinates(
        self, dtype: torch.dtype = torch.float64, device: Any = None
    ) -> Float[torch.Tensor, "dim *shape"]:
        """Coordinates of every node scaled to [0, 1]."""
        wide = (-1, *(1,) * self.dim)
        low = torch.tensor([low for low, _ in self.extent], dtype=torch.float64, device=device).reshape(wide)
        lengths = torch.tensor(self.lengths, dtype=torch.float64, device=device).reshape(wide)
        return ((self.coordinates(device=device) - low) / lengths).to(dtype)

    def axis_weights(
        self, axis: int, dtype: torch.dtype = torch.float64, device: Any = None
    ) -> Float[torch.Tensor, " n"]:
        """Quadrature weights along one axis: trapezoidal for "vertex", the spacing otherwise.

        For "interior" this is the trapezoidal rule of a function that vanishes at both ends; for "left" that of a
        periodic function, or of one that vanishes at the right end and nearly so at the left.
        """
        weights = torch.full((self.shape[axis],), self.spacing[axis], dtype=dtype, device=device)
        if self.nodes[axis] == "vertex":
            weights[0] *= 0.5
            weights[-1] *= 0.5
        return weights

    def weights(self, dtype: torch.dtype = torch.float64, device: Any = None) -> Float[torch.Tensor, "*shape"]:
        """Quadrature weights of every node; they sum to the box's volume (less what "interior" leaves out)."""
        total = torch.ones((), dtype=dtype, device=device)
        for axis in range(self.dim):
            total = total.unsqueeze(-1) * self.axis_weights(axis, dtype, device)
        return total

    def resized(self, shape: int | Sequence[int]) -> Grid:
        """The same box, boundaries and placement with another number of nodes (one int: the same on every axis)."""
        return replace(self, shape=(shape,) * self.dim if isinstance(shape, int) else tuple(shape))

    def describe(self) -> dict[str, Any]:
        """Plain data that `Grid.from_description` takes back; what stores and checkpoints write."""
        return {
            "shape": list(self.shape),
            "extent": [list(pair) for pair in self.extent],
            "boundary": [list(pair) for pair in self.boundary],
            "nodes": list(self.nodes),
        }

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> Grid:
        """The grid that `describe` described."""
        return cls(
            tuple(description["shape"]),
            tuple((low, high) for low, high in description["extent"]),
            tuple((low, high) for low, high in description["boundary"]),
            tuple(description["nodes"]),
        )


def _per_axis(name: str, value: Any, allowed: tuple[str, ...], dim: int) -> tuple[str, ...]:
    kinds = (value,) * dim if isinstance(value, str) else tuple(value)
    if len(kinds) != dim:
        raise ValueError(f"Grid.{name}: expected one value or {dim}, found {len(kinds)}")
    for kind in kinds:
        if kind not in allowed:
            raise ValueError(f"Grid.{name}: expected one of {', '.join(allowed)}, found {kind!r}")
    return kinds


def _sides(value: Any, dim: int) -> tuple[tuple[str, str], ...]:
    kinds = (value,) * dim if isinstance(value, str) else tuple(value)
    if len(kinds) != dim:
        raise ValueError(f"Grid.boundary: expected one value or {dim}, found {len(kinds)}")
    pairs = tuple((kind, kind) if isinstance(kind, str) else tuple(kind) for kind in kinds)
    for axis, pair in enumerate(pairs):
        if len(pair) != 2 or any(side not in BOUNDARIES for side in pair):
            raise ValueError(
                f"Grid.boundary: expected a kind or a (low, high) pair of {', '.join(BOUNDARIES)} on axis {axis}, "
                f"found {kinds[axis]!r}"
            )
    return pairs
