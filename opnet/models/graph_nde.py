"""`GraphNDE`: a graph neural differential equation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from opnet.core.registry import lookup, register
from opnet.graphs.graph import Graph
from opnet.models.blocks import activations  # noqa: F401  (registers)
from opnet.models.blocks.graph_filter import GraphFilter
from opnet.models.blocks.time_basis import TimeBasis
from opnet.models.graph_ode import GraphODE


@register("model", "GraphNDE")
class GraphNDE(GraphODE):
    """`dX/dt = Phi(X; S, H(t))`, `X(0) = x0`: a stack of filter layers as the vector field on a graph's nodes.

        Y^f = rho( sum_g sum_{k<K} h_k^{fg}(t) S^k X^g + b^f ),   the last layer linear.

    The same weights run on every graph: nothing but S knows the nodes, and relabelling them relabels the solution.

    Args:
        features: features of each layer, from X to dX/dt; first and last are equal.
        taps: K, the number of powers of S; 2 means {I, S}.
        activation: rho: "tanh", "relu", "gelu", "softplus" or "sin".
        time_basis: the basis of h in time, as plain data such as `{"kind": "fourier", "terms": 3, "horizon": 1.0}`;
            see `opnet.models.blocks.time_basis`. None: constant coefficients.
        solver: see `GraphODE`.

    Raises:
        ValueError: for an argument out of range; on a call, for a signal that does not fit the graph or the features.
        SolveError: on a call, naming the sample, if the solve fails.

    Source: Yan, Kulick, Tang, arXiv 2510.03923.

    >>> from opnet.graphs.graphons import tent
    >>> from opnet.graphs.sampling import sample_graph
    >>> model = GraphNDE((2, 16, 2))
    >>> graph = sample_graph(tent(), 10, dtype=torch.float32)
    >>> model(graph, torch.zeros(3, 10, 2), torch.linspace(0, 1, 5)).shape
    torch.Size([3, 5, 10, 2])
    """

    registered_name = "GraphNDE"

    def __init__(
        self,
        features: Sequence[int] = (2, 16, 2),
        taps: int = 2,
        activation: str = "tanh",
        time_basis: Mapping[str, Any] | None = None,
        solver: Mapping[str, Any] | None = None,
    ) -> None:
        features = [int(f) for f in features]
        if len(features) < 2 or min(features) < 1 or features[0] != features[-1]:
            raise ValueError(
                f"features: expected at least two positive numbers, first and last equal, found {features}"
            )
        if taps < 1:
            raise ValueError(f"taps: expected at least 1, found {taps}")
        super().__init__(features[0], solver)
        self.arguments = {
            "features": features,
            "taps": taps,
            "activation": activation,
            "time_basis": None if time_basis is None else dict(time_basis),
            "solver": None if solver is None else dict(solver),
        }
        basis, rho = TimeBasis.of(time_basis), lookup("activation", activation)
        self.layers = nn.ModuleList(
            GraphFilter(g, f, taps, rho if i < len(features) - 2 else None, basis)
            for i, (g, f) in enumerate(pairwise(features))
        )

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw new weights, from `generator` where one is given."""
        for layer in self.layers:
            assert isinstance(layer, GraphFilter)
            layer.reset_parameters(generator)

    def vector_field(self, graph: Graph, x0: Tensor | None = None) -> Callable[[Tensor, Tensor], Tensor]:
        """`f(t, X) = Phi(X; S, H(t))` for signals X (batch, node, feature); x0 does not count."""

        def field(t: Tensor, X: Tensor) -> Tensor:
            Y = X.transpose(0, 1)
            for layer in self.layers:
                Y = layer(graph.shift, Y, t)
            return Y.transpose(0, 1)

        return field
