"""Graphs from and to SciPy, networkx and PyTorch Geometric."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from opnet.core.expect import expect
from opnet.graphs.graph import Graph
from opnet.graphs.normalise import normalised_shift
from opnet.linops.base import LinearOperator
from opnet.linops.dense import Dense
from opnet.linops.sparse import CSR


def graph_from_scipy(
    matrix: Any, normalisation: str = "none", *, self_loops: bool = False, dtype: torch.dtype = torch.float32
) -> Graph:
    """The graph whose adjacency is a SciPy sparse matrix or array; entry (i, j) weighs what node i takes from j.

    Args:
        matrix: A, n x n, real.
        normalisation, self_loops: the shift operator made of A; see `normalised_shift`. By default it is A.
        dtype: of the weights.

    Raises:
        ValueError: for what is not a sparse matrix of numbers, not square, or has weights that are not finite; and as
            `normalised_shift`.

    >>> import scipy.sparse
    >>> path = scipy.sparse.diags_array([1.0, 1.0], offsets=[-1, 1], shape=(3, 3))
    >>> graph_from_scipy(path, "random_walk").shift.to_dense()[1]
    tensor([0.5000, 0.0000, 0.5000])
    """
    from scipy.sparse import issparse

    if not issparse(matrix) or matrix.dtype.kind not in "fiub":
        found = f"{type(matrix).__name__} of {getattr(matrix, 'dtype', 'no dtype')}"
        raise ValueError(f"graph_from_scipy: expected a sparse matrix of real numbers, found {found}")
    return _graph(CSR.from_scipy(matrix.astype(np.float64)), normalisation, self_loops, dtype)


def graph_to_scipy(graph: Graph) -> Any:
    """The shift operator of a graph as a `scipy.sparse.csr_array`.

    Raises:
        ValueError: for an operator without known edges, neither CSR nor dense.
    """
    from scipy.sparse import csr_array

    shift = _with_edges(graph.shift)
    return shift.to_scipy() if isinstance(shift, CSR) else csr_array(shift.to_dense().detach().cpu().numpy())


def graph_from_networkx(
    graph: Any,
    normalisation: str = "none",
    *,
    weight: str | None = "weight",
    nodes: Iterable[Any] | None = None,
    self_loops: bool = False,
    dtype: torch.dtype = torch.float32,
) -> Graph:
    """The graph of a networkx one, of any kind; a directed edge i -> j is entry (i, j), parallel edges add up.

    Args:
        graph: of networkx.
        normalisation, self_loops, dtype: see `graph_from_scipy`.
        weight: the edges' attribute that weighs them, 1 where it is missing; None: all weigh 1.
        nodes: all its nodes, in the order wanted; by default the graph's own.

    Raises:
        ValueError: as `graph_from_scipy`, and for nodes that are not the graph's.
    """
    import networkx

    expect("graph_from_networkx", graph, networkx.Graph, "a networkx graph")
    order = list(graph) if nodes is None else list(nodes)
    if len(order) != len(graph) or set(order) != set(graph):
        raise ValueError(f"graph_from_networkx.nodes: expected the graph's {len(graph)} nodes, found others")
    if not order:
        raise ValueError("graph_from_networkx: expected at least one node, found none")
    matrix = networkx.to_scipy_sparse_array(graph, nodelist=order, weight=weight, dtype=np.float64, format="csr")
    return graph_from_scipy(matrix, normalisation, self_loops=self_loops, dtype=dtype)


def graph_to_networkx(graph: Graph) -> Any:
    """A networkx graph of the nodes 0 to n - 1, its attribute "weight" the entries of the shift operator.

    A `networkx.Graph` if the operator is symmetric, else a `DiGraph`; positions become the nodes' attribute "position".

    Raises:
        ValueError: as `graph_to_scipy`.
    """
    import networkx

    matrix = graph_to_scipy(graph)
    kind = networkx.Graph if abs(matrix - matrix.T).max() == 0 else networkx.DiGraph
    found = networkx.from_scipy_sparse_array(matrix, create_using=kind)
    if graph.positions is not None:
        networkx.set_node_attributes(found, dict(enumerate(graph.positions.tolist())), "position")
    return found


def graph_from_pyg(
    data: Any, normalisation: str = "none", *, self_loops: bool = False, dtype: torch.dtype = torch.float32
) -> Graph:
    """The graph of a PyTorch Geometric `Data`: edge j -> i, as messages go, is entry (i, j).

    Args:
        data: with `edge_index`, (2, edge), and weights in `edge_weight` or in an `edge_attr` of one number an edge, 1
            without them.
        normalisation, self_loops, dtype: see `graph_from_scipy`.

    Raises:
        ValueError: for no edge_index, nodes out of range, weights that are not one an edge; and as `graph_from_scipy`.
    """
    index = getattr(data, "edge_index", None)
    if not isinstance(index, torch.Tensor) or index.ndim != 2 or len(index) != 2:
        found = tuple(index.shape) if isinstance(index, torch.Tensor) else type(index).__name__
        raise ValueError(f"graph_from_pyg: expected a Data with edge_index of shape (2, edge), found {found}")
    n, edges = int(data.num_nodes), index.shape[1]
    if edges and not 0 <= int(index.min()) <= int(index.max()) < n:
        raise ValueError(
            f"graph_from_pyg: expected nodes from 0 to {n - 1}, found {int(index.min())} to {int(index.max())}"
        )
    weights = getattr(data, "edge_weight", None)
    weights = getattr(data, "edge_attr", None) if weights is None else weights
    if weights is None:
        weights = torch.ones(edges, device=index.device)
    if weights.numel() != edges or len(weights) != edges:
        raise ValueError(f"graph_from_pyg: expected one weight for each of {edges} edges, found {tuple(weights.shape)}")
    source, target = index
    adjacency = CSR.from_entries(target, source, weights.reshape(-1).to(torch.float64), (n, n))
    return _graph(adjacency, normalisation, self_loops, dtype)


def graph_to_pyg(graph: Graph) -> Any:
    """A PyTorch Geometric `Data` with `edge_index`, `edge_weight` and `num_nodes`; positions become `pos`, (n, 1).

    Raises:
        ValueError: as `graph_to_scipy`.
    """
    from torch_geometric.data import Data

    matrix = graph_to_scipy(graph).tocoo()
    target, source = (torch.from_numpy(part.astype(np.int64)) for part in (matrix.row, matrix.col))
    found = Data(edge_index=torch.stack([source, target]), edge_weight=torch.from_numpy(matrix.data), num_nodes=graph.n)
    if graph.positions is not None:
        found.pos = graph.positions[:, None]
    return found


def _graph(adjacency: CSR, normalisation: str, self_loops: bool, dtype: torch.dtype) -> Graph:
    return Graph(normalised_shift(adjacency, normalisation, self_loops=self_loops).to(dtype=dtype))


def _with_edges(shift: LinearOperator) -> CSR | Dense:
    if not isinstance(shift, (CSR, Dense)) or shift.batch_shape:
        raise ValueError(f"graph_to_scipy: expected a graph of known edges, CSR or Dense, found {type(shift).__name__}")
    return shift
