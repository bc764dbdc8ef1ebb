"""Drawing a graph with n nodes from a graphon."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from opnet.core.expect import expect, integer
from opnet.graphs.graph import Graph
from opnet.graphs.graphon import Graphon
from opnet.linops.base import LinearOperator
from opnet.linops.dense import Dense
from opnet.linops.diagonal import Diagonal
from opnet.linops.low_rank import LowRank
from opnet.linops.sparse import CSR
from opnet.spaces.streams import stream

REGIMES = ("weighted", "cell", "centre", "published", "random")
PLACEMENTS = ("midpoint", "linspace", "uniform")
_NODES, _EDGES = 0, 1  # keys of the random streams


def sample_graph(
    W: Graphon,
    n: int,
    *,
    regime: str = "weighted",
    nodes: str = "midpoint",
    density: float = 1.0,
    keep_diagonal: bool = True,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
) -> Graph:
    """A graph with n nodes drawn from W; its shift operator is `S = A / (alpha n)`.

    Args:
        W: the graphon.
        n: number of nodes.
        regime: how the adjacency A comes from W:
            "weighted": A_ij = W(x_i, x_j);
            "cell": A_ij = 1 where the half-open cell I_i x I_j meets the support of a {0,1}-valued W;
            "centre": A_ij = W at the cell's centre, for a {0,1}-valued W;
            "published": A_ij = 1 where one of five points on the cell's diagonal, its corners among them, meets the
            support of a {0,1}-valued W, each taken to the nearest of 5000 x 5000 points from 0 to 1: the rule of
            arXiv 2510.03923;
            "random": A_ij = A_ji ~ Bernoulli(alpha W(x_i, x_j)), independent for i <= j.
        nodes: where the nodes sit:
            "midpoint": x_i = (i - 1/2) / n, for weights and features;
            "linspace": features at linspace(0, 1, n) but weights at midpoints, the choice of arXiv 2510.03923;
            "uniform": sorted independent uniforms, for both.
        density: alpha, of the random regime alone.
        keep_diagonal: whether A_ii is kept; arXiv 2510.03923 sets it to zero, which costs O(1/n) and the nodal rate
            -2.
        seed: of the nodes and edges drawn.
        dtype: of shift and positions.

    Returns:
        A `Graph`: S of low rank for graphons of finite rank and smooth ones, in prefix-sum form for the tent, by FFT
        for graphons of the distance alone (both on more than 256 nodes), in runs for {0,1}-valued graphons with a
        boundary of curves, CSR for random graphs of less than one entry in ten, dense otherwise up to 8,192 nodes, and
        by tiles beyond. Random edges are found by skipping: about alpha n^2 / 2 draws.

    Raises:
        ValueError: for an unknown regime or placement, or arguments that do not go together.

    >>> from opnet.graphs.graphons import tent
    >>> graph = sample_graph(tent(), 4)
    >>> graph.positions, graph.shift.to_dense()[0]
    (tensor([0.1250, 0.3750, 0.6250, 0.8750], dtype=torch.float64),
     tensor([0.2500, 0.1875, 0.1250, 0.0625], dtype=torch.float64))
    """
    _check(W, n, regime, nodes, density)
    weight_nodes, feature_nodes = _place(n, nodes, seed)
    if regime == "random":
        shift = _random_shift(W, weight_nodes, density, keep_diagonal, seed, dtype)
    elif regime in ("cell", "published"):
        A = W.cell_adjacency(n) if regime == "cell" else Dense(_published_adjacency(W, n))
        share = torch.full((n,), 1.0 / n, dtype=torch.float64)
        shift = (A if keep_diagonal else _bare(A)).scaled(share, torch.ones_like(share)).to(dtype=dtype)
    else:
        shift = W.weighted_sum(
            weight_nodes.to(dtype), torch.full((n,), 1.0 / n, dtype=dtype), keep_diagonal=keep_diagonal
        )
    return Graph(shift, feature_nodes.to(dtype))


def _check(W: Graphon, n: int, regime: str, nodes: str, density: float) -> None:
    expect("sample_graph: W", W, Graphon, "a graphon such as graphons.tent()")
    if integer("sample_graph: n", n) < 1:
        raise ValueError(f"n: expected at least one node, found {n}")
    for argument, value, known in (("regime", regime, REGIMES), ("nodes", nodes, PLACEMENTS)):
        if value not in known:
            raise ValueError(f"{argument}: expected one of {', '.join(known)}, found {value!r}")
    if not 0 < density <= 1 or (density != 1 and regime != "random"):
        raise ValueError(f"density: expected 1, or in (0, 1] for regime 'random', found {density} for {regime!r}")
    if regime in ("cell", "centre", "published"):
        if not W.zero_one:
            raise ValueError(f"regime {regime!r}: expected a {{0,1}}-valued graphon, found {W.name}")
        if nodes == "uniform":
            raise ValueError(
                f"nodes: regime {regime!r} has equal cells, expected midpoint or linspace, found 'uniform'"
            )


def _place(n: int, nodes: str, seed: int) -> tuple[Tensor, Tensor]:
    """Where the graphon is sampled, and where the nodes are said to sit."""
    if nodes == "uniform":
        x = torch.from_numpy(np.sort(stream(seed, _NODES).random(n)))
        return x, x
    midpoints = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    return midpoints, torch.linspace(0, 1, n, dtype=torch.float64) if nodes == "linspace" else midpoints


def _bare(A: LinearOperator) -> LinearOperator:
    """A without its diagonal."""
    if isinstance(A, LowRank):
        assert A.d is None, "adjacencies of low rank are whole"
        return LowRank(A.U, A.V, -A.diagonal())
    return A - Diagonal(A.diagonal())


def _published_adjacency(W: Graphon, n: int) -> Tensor:
    tick, A = torch.arange(n, dtype=torch.float64), torch.zeros(n, n, dtype=torch.bool)
    raster = _raster(W, 5000)
    for part in (0.0, 0.25, 0.5, 0.75, 1.0):
        place = ((tick + part) / n * 4999).round().long()
        A |= raster[place][:, place]
    return A.to(torch.float64)


@lru_cache(maxsize=1)
def _raster(W: Graphon, points: int) -> Tensor:
    """Whether W is 1 at points x points equidistant points, those on the edges of the square among them."""
    x = torch.linspace(0, 1, points, dtype=torch.float64)
    return torch.cat([W(rows[:, None], x) > 0.5 for rows in x.split(100)])


def _random_shift(
    W: Graphon, x: Tensor, density: float, keep_diagonal: bool, seed: int, dtype: torch.dtype
) -> LinearOperator:
    n = len(x)
    row, column = _bernoulli_edges(W, x, density, seed)
    if not keep_diagonal:
        row, column = row[row != column], column[row != column]
    off = row != column
    rows, columns = torch.cat([row, column[off]]), torch.cat([column, row[off]])
    value = 1.0 / (density * n)
    if len(rows) > 0.1 * n * n:
        matrix = torch.zeros(n, n, dtype=dtype)
        matrix[rows, columns] = value
        return Dense(matrix)
    return CSR.from_entries(rows, columns, torch.full((len(rows),), value, dtype=dtype), (n, n))


def _bernoulli_edges(W: Graphon, x: Tensor, density: float, seed: int) -> tuple[Tensor, Tensor]:
    """Pairs i <= j joined with probability density W(x_i, x_j), by skipping.

    The pairs, numbered through the upper triangle, are first kept with the constant probability density sup W, whose
    gaps are geometric; each one kept then survives with probability W / sup W.
    """
    generator = stream(seed, _EDGES)
    n, p = len(x), density * W.supremum
    pairs = n * (n + 1) // 2
    kept, last, chunk = [], -1, int(1.1 * pairs * p) + 64
    while last < pairs:
        position = last + np.cumsum(generator.geometric(p, chunk))
        kept.append(position[position < pairs])
        last, chunk = int(position[-1]), chunk // 8 + 64
    number = np.concatenate(kept)
    # Pair number k = j (j + 1) / 2 + i with i <= j; the root is corrected for rounding.
    j = ((np.sqrt(8.0 * number + 1) - 1) / 2).astype(np.int64)
    j -= j * (j + 1) // 2 > number
    j += (j + 1) * (j + 2) // 2 <= number
    i = number - j * (j + 1) // 2
    values = W(x[torch.from_numpy(i)], x[torch.from_numpy(j)]).numpy()
    survives = generator.random(len(number)) * W.supremum < values
    return torch.from_numpy(i[survives]), torch.from_numpy(j[survives])
