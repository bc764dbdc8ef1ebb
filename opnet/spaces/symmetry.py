"""`dihedral`: the eight symmetries of the square, acting on fields."""

from __future__ import annotations

from torch import Tensor

from opnet.spaces.grid import Grid
from opnet.spaces.interpolation import close_ends, open_ends

N_ELEMENTS = 8


def dihedral(field: Tensor, grid: Grid, element: int, fill: str = "edge") -> Tensor:
    """The field g f, `(g f)(x) = f(g^-1 x)`, for a symmetry g of the square.  # shape: (batch, channel, n, n)

    Bits of `element`: 1 reflects the first axis, 2 the second, and then 4 swaps the axes. Element 0 is the identity.
    Reflections map the box onto itself: on "left" nodes i -> n - i, and the value at the missing node n is first filled
    by `fill`, with the nearest value ("edge", for a coefficient) or with 0 ("zero", for a solution that vanishes
    there). On a periodic axis node n is node 0.

    Raises:
        ValueError: for an element outside 0..7, an unknown fill, or a grid that is not square or whose axes differ.

    >>> import torch
    >>> grid = Grid((2, 2), nodes="cell")
    >>> dihedral(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), grid, 1)[0, 0].tolist()
    [[3.0, 4.0], [1.0, 2.0]]
    >>> left = Grid((4, 4), nodes="left")
    >>> dihedral(left.coordinates()[None, :1], left, 1, "zero")[0, 0, :, 0].tolist()
    [0.0, 0.75, 0.5, 0.25]
    """
    check_square(grid)
    if element not in range(N_ELEMENTS):
        raise ValueError(f"element: expected 0 to {N_ELEMENTS - 1}, found {element}")
    closed, _ = close_ends(field, grid, fill)
    for axis in (0, 1):
        if element >> axis & 1:
            closed = closed.flip(2 + axis)
            if grid.boundary[axis][0] == "periodic" and grid.nodes[axis] == "left":
                closed = closed.roll(1, 2 + axis)
    moved = open_ends(closed, grid)
    return moved.transpose(2, 3) if element & 4 else moved


def inverse(element: int) -> int:
    """The element that undoes `element`: only the two quarter turns are not their own inverses.

    >>> [inverse(element) for element in range(8)]
    [0, 1, 2, 3, 4, 6, 5, 7]
    """
    return {5: 6, 6: 5}.get(element, element)


def compose(second: int, first: int) -> int:
    """The element that acts as `first`, then `second`.

    >>> compose(4, 1), compose(1, 4)
    (5, 6)
    """
    # A reflection after a swap is the swap after the reflection of the other axis.
    flips = second & 3
    if first & 4:
        flips = (flips & 1) << 1 | flips >> 1
    return (first & 4 ^ second & 4) | (first & 3 ^ flips)


def check_square(grid: Grid) -> None:
    """Raise a `ValueError` unless the symmetries of the square map the grid onto itself."""
    if grid.dim != 2:
        raise ValueError(f"grid: expected two axes, found {grid.dim}")
    same = all(len(set(values)) == 1 for values in (grid.shape, grid.lengths, grid.nodes, grid.boundary))
    if not same or any(low != high for low, high in grid.boundary):
        raise ValueError(f"grid: expected a square, the same on both axes and at both ends, found {grid}")
