"""`GraphAveraging`: how much each neighbour of a node counts, by the graph's weights or by attention."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from opnet.graphs.graph import Graph
from opnet.linops.base import LinearOperator
from opnet.models.blocks.graph_attention import GraphAttention, edges_of

ATTENTIONS = ("none", "linear", "nonlinear")


class GraphAveraging(nn.Module):
    """A(X): the shift operator, or attention over its edges, from the start X(0) or from X itself.

    Args:
        features: features of X.
        attention: "none", "linear" (from X(0), so that X -> A X is linear) or "nonlinear" (from X).
        heads: of the attention; see `GraphAttention`.

    Raises:
        ValueError: for another attention; on a call, for attention on a graph of no known edges.
    """

    def __init__(self, features: int, attention: str, heads: int) -> None:
        super().__init__()
        if attention not in ATTENTIONS:
            raise ValueError(f"attention: expected one of {', '.join(ATTENTIONS)}, found {attention!r}")
        self.kind = attention
        self.attention = None if attention == "none" else GraphAttention(features, heads)

    def forward(self, graph: Graph, x0: Tensor) -> Callable[[Tensor], LinearOperator]:
        """X -> A of the solution that starts at x0, for signals (batch, node, feature); apply it by `columns`."""
        attention = self.attention
        if attention is None:
            return lambda X: graph.shift
        edges = edges_of(graph.shift)
        if self.kind == "nonlinear":
            return lambda X: attention(edges, X)
        A = attention(edges, x0)
        return lambda X: A
