"""`GraphonNDE`: the limit of a graph neural differential equation as its graph grows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from opnet.graphs.graph import Graph
from opnet.graphs.graphon import Graphon
from opnet.graphs.limit import Panels, integral_operator
from opnet.models.graph_nde import GraphNDE

NodeFunction = Callable[[Tensor], Tensor]
"""x0(u): functions on [0, 1] at points u.  # shape: (point,) -> (batch, point, feature)"""


@dataclass(frozen=True)
class GraphonNDE:
    """`dX/dt = Phi(X; T_W, H(t))`, `X(u, 0) = x0(u)`, with the weights of a `GraphNDE`.

    The integral operator is discretised by quadrature (Nystrom): the limit equation is the same model on a graph whose
    nodes are quadrature nodes, and points where the answer is wanted are carried along. Spectral accuracy for x0 smooth
    on the panels. Use float64 weights (`gnde.double()`) to see it.

    Args:
        gnde: the model; the weights are shared, and its solver is used.
        W: the graphon.
        quadrature: panels and their order; by default at least 24 panels of 12 Gauss nodes, none across a block
            boundary. `Panels(torch.linspace(0, 1, N + 1).double(), 1)` is the graph of N = q n midpoints.

    >>> from opnet.graphs.graphons import tent
    >>> limit = GraphonNDE(GraphNDE((1, 4, 1)).double(), tent())
    >>> ts, u = torch.tensor([0.0, 1.0], dtype=torch.float64), torch.tensor([0.3], dtype=torch.float64)
    >>> limit(lambda u: torch.cos(u)[None, :, None], ts, u).shape
    torch.Size([1, 2, 1, 1])
    """

    gnde: GraphNDE
    W: Graphon
    quadrature: Panels | None = None

    @property
    def panels(self) -> Panels:
        return Panels.smooth(self.W) if self.quadrature is None else self.quadrature

    def __call__(self, x0: NodeFunction, ts: Tensor, points: Tensor | None = None) -> Tensor:
        """The solution at `points`, or at the quadrature nodes.  # shape: (batch, time, point, feature)"""
        panels = self.panels
        dtype = next(self.gnde.parameters()).dtype
        u = panels.nodes if points is None else torch.cat([panels.nodes, points.to(torch.float64)])
        graph = Graph(integral_operator(self.W, panels, points, dtype=dtype))
        solution = self.gnde(graph, x0(u).to(dtype), ts)
        return solution if points is None else solution[:, :, len(panels.nodes) :]
