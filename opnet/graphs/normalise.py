"""`normalised_shift`: shift operators of a graph's adjacency."""

from __future__ import annotations

import torch

from opnet.core.expect import expect
from opnet.linops.base import LinearOperator
from opnet.linops.diagonal import Identity
from opnet.linops.sparse import CSR

NORMALISATIONS = ("none", "n", "symmetric", "random_walk")


def normalised_shift(
    adjacency: LinearOperator, normalisation: str = "symmetric", *, self_loops: bool = False, density: float = 1.0
) -> LinearOperator:
    """The shift operator S of an adjacency A with degrees `d = A 1`.

    Args:
        adjacency: A, n x n, with entries that are not negative; in any form: S takes the same one where it can.
        normalisation:
            "none": S = A;
            "n": S = A / (density n), as of graphs sampled from a graphon;
            "symmetric": S = D^-1/2 A D^-1/2, D = diag(d), as of graph convolutional networks (Kipf and Welling,
            arXiv 1609.02907, eq. 2); A must be symmetric;
            "random_walk": S = D^-1 A, whose rows sum to 1.
        self_loops: take A + I for A first.
        density: alpha, for "n" alone.

    Raises:
        ValueError: for an adjacency that is not square or not finite, "symmetric" of one that is not symmetric, and
            nodes without edges, or with negative degrees, where degrees are divided by.

    >>> from opnet.linops.dense import Dense
    >>> path = Dense(torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]))
    >>> normalised_shift(path, "random_walk").to_dense()
    tensor([[0.0000, 1.0000, 0.0000],
            [0.5000, 0.0000, 0.5000],
            [0.0000, 1.0000, 0.0000]])
    """
    expect("normalised_shift: adjacency", adjacency, LinearOperator, "a LinearOperator such as CSR.from_scipy(matrix)")
    if normalisation not in NORMALISATIONS:
        raise ValueError(f"normalisation: expected one of {', '.join(NORMALISATIONS)}, found {normalisation!r}")
    rows, columns = adjacency.shape
    if rows != columns:
        raise ValueError(f"adjacency: expected a square operator, found {rows} x {columns}")
    if density != 1 and not (normalisation == "n" and 0 < density <= 1):
        raise ValueError(f"density: expected 1, or in (0, 1] for 'n', found {density} for {normalisation!r}")
    if any(not bool(t.isfinite().all()) for t in adjacency.tensors):
        raise ValueError("adjacency: expected finite weights, found NaN or infinite ones")
    A = with_self_loops(adjacency) if self_loops else adjacency
    if normalisation == "none":
        return A
    ones = torch.ones(rows, dtype=A.dtype, device=A.device)
    if normalisation == "n":
        return A.scaled(ones / (density * rows), ones)
    degree = A.apply(ones)
    if normalisation == "symmetric":
        check_symmetric(A)
    without = degree <= 0
    if bool(without.any()):
        count, first = int(without.sum()), int(without.nonzero()[0, 0])
        what = "negative degrees" if bool((degree < 0).any()) else f"{count} without edges"
        raise ValueError(
            f"normalisation {normalisation!r}: expected nodes with edges of positive weight, found {what} (node "
            f"{first} first); self_loops=True gives every node one"
        )
    if normalisation == "random_walk":
        return A.scaled(1 / degree, ones)
    return A.scaled(degree.rsqrt(), degree.rsqrt())


def with_self_loops(A: LinearOperator) -> LinearOperator:
    """A + I; of CSR in CSR."""
    n = A.shape[0]
    if not isinstance(A, CSR):
        return A + Identity(n, A.dtype, A.device)
    loops = torch.arange(n, device=A.device)
    return CSR.from_entries(
        torch.cat([A.row_index, loops]),
        torch.cat([A.column_index.long(), loops]),
        torch.cat([A.values, A.values.new_ones(n)]),
        (n, n),
    )


def check_symmetric(A: LinearOperator) -> None:
    """Raise a `ValueError` unless A^T = A, as far as products with a random vector can tell."""
    generator = torch.Generator().manual_seed(0)
    probe = (1 + torch.rand(A.shape[1], generator=generator, dtype=torch.float64)).to(A.device, A.dtype)
    along, across = A.apply(probe), A.transpose().apply(probe)
    # Row by row: beside a node of many edges one edge too many would pass for rounding, at its other end it does not.
    beyond = (along - across).abs() - 1e3 * torch.finfo(A.dtype).eps * (along.abs() + across.abs())
    if float(beyond.max()) > 0:
        raise ValueError(
            f"adjacency: expected a symmetric one, found row and column {int(beyond.argmax())} to differ; "
            "(A + A.T) joins nodes both ways"
        )
