"""`GraphDiffusion`: diffusion on a graph, with the graph's weights or by attention."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from opnet.core.registry import register
from opnet.graphs.graph import Graph
from opnet.models.blocks.graph_averaging import GraphAveraging
from opnet.models.blocks.strength import strength
from opnet.models.graph_ode import GraphODE


@register("model", "GraphDiffusion")
class GraphDiffusion(GraphODE):
    """`dX/dt = a (A X - X) + b X0`: each node moves towards the average of its neighbours.

    A is the graph's shift operator, or attention over its edges: from X0 ("linear", GRAND-l) or from X(t)
    ("nonlinear", GRAND-nl).

    Args:
        features: features of X.
        attention: "none", "linear" or "nonlinear"; the last two need a shift operator whose edges are known, CSR or
            dense.
        heads: of the attention, averaged.
        diffusion: a, of unit 1 / time.
        source: b, of unit 1 / time.
        learnable: whether a and b are learned, starting there.
        solver: see `GraphODE`.

    Raises:
        ValueError: for an argument out of range; on a call, as `GraphODE`, and for a graph without known edges.
        SolveError: on a call, naming the sample, if the solve fails.

    Source: Chamberlain et al., GRAND: Graph Neural Diffusion, 2021, arXiv 2106.10934, section 4.

    >>> import torch
    >>> from opnet.linops.dense import Dense
    >>> pair = Graph(Dense(torch.tensor([[0.0, 1.0], [1.0, 0.0]])))
    >>> x0 = torch.tensor([[[0.0], [1.0]]])
    >>> GraphDiffusion(1)(pair, x0, torch.tensor([0.0, 10.0]))[0, -1].round(decimals=3).flatten()
    tensor([0.5000, 0.5000], grad_fn=<ViewBackward0>)
    """

    registered_name = "GraphDiffusion"
    diffusion: Tensor
    source: Tensor

    def __init__(
        self,
        features: int,
        attention: str = "none",
        heads: int = 1,
        diffusion: float = 1.0,
        source: float = 0.0,
        learnable: bool = True,
        solver: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(features, solver)
        self.arguments = {
            "features": features,
            "attention": attention,
            "heads": heads,
            "diffusion": diffusion,
            "source": source,
            "learnable": learnable,
            "solver": None if solver is None else dict(solver),
        }
        self.averaging = GraphAveraging(features, attention, heads)
        strength(self, "diffusion", diffusion, learnable)
        strength(self, "source", source, learnable)

    def vector_field(self, graph: Graph, x0: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        averaging, source = self.averaging(graph, x0), self.source * x0
        return lambda t, X: self.diffusion * (averaging(X).columns(X) - X) + source
