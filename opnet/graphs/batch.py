"""`batch_graphs`: several graphs, of different sizes, as one without edges between them."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from opnet.core.expect import expect
from opnet.graphs.graph import Graph
from opnet.linops.block_diagonal import BlockDiagonal
from opnet.linops.sparse import CSR


def batch_graphs(graphs: Sequence[Graph]) -> Graph:
    """One graph whose nodes are those of all graphs, one after the other; `Graph.members` are the graphs.

    A model on graphs runs on it as it runs on each: signals are (1, node of any graph, feature), and no node hears of
    another graph's. An adaptive solver takes one step for all.

    Args:
        graphs: with shift operators of one dtype and device. Sparse ones become one sparse operator, others stand side
            by side in a `BlockDiagonal`.

    Raises:
        ValueError: for no graphs, or operators that do not fit together.

    >>> from opnet.graphs.graphons import tent
    >>> from opnet.graphs.sampling import sample_graph
    >>> both = batch_graphs([sample_graph(tent(), 3), sample_graph(tent(), 5)])
    >>> both.n, both.sizes, [part.shape[1] for part in both.split(torch.zeros(1, 8, 2))]
    (8, (3, 5), [3, 5])
    """
    graphs = list(graphs)
    if not graphs:
        raise ValueError("batch_graphs: expected at least one graph, found none")
    for graph in graphs:
        expect("batch_graphs: graphs", graph, Graph, "graphs such as sample_graph(W, n)")
    shifts = [graph.shift for graph in graphs]
    members = tuple(member for graph in graphs for member in graph.members or (graph,))
    positions = [graph.positions for graph in graphs]
    known = [x for x in positions if x is not None]
    together = torch.cat(known) if len(known) == len(graphs) else None
    sparse = [S for S in shifts if isinstance(S, CSR) and not S.batch_shape]
    if len(sparse) < len(shifts):
        return Graph(BlockDiagonal(shifts), together, members)
    BlockDiagonal(shifts)  # says what does not fit
    entries = torch.tensor([0, *(len(S.values) for S in sparse)]).cumsum(0)
    nodes = torch.tensor([0, *(graph.n for graph in graphs)]).cumsum(0)
    rows = [S.row_start[:-1].long() + int(start) for S, start in zip(sparse, entries, strict=False)]
    columns = [S.column_index.long() + int(start) for S, start in zip(sparse, nodes, strict=False)]
    start = torch.cat([*rows, rows[0].new_tensor([int(entries[-1])])])
    n = int(nodes[-1])
    return Graph(CSR(start, torch.cat(columns), torch.cat([S.values for S in sparse]), (n, n)), together, members)
