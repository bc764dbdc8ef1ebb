"""`NodeClassifier`: a differential equation on a graph that sorts its nodes into classes."""

from __future__ import annotations

from math import isfinite

import torch
from torch import Tensor, nn

from opnet.core.expect import expect
from opnet.core.registry import lookup, register
from opnet.graphs.graph import Graph
from opnet.linops.sparse import CSR
from opnet.models.base import Model
from opnet.models.blocks import activations  # noqa: F401  (registers)
from opnet.models.blocks.feature_layer import FeatureLayer, share
from opnet.models.graph_ode import GraphODE


@register("model", "NodeClassifier")
class NodeClassifier(Model):
    """`X(0) = E(x)`, `dX/dt = f(t, X)` to time T, `logits = rho(dropout(X(T))) V + c`.

    The encoder is `E(x) = dropout(x) W + b`, or of two layers, `E(x) = dropout(rho(dropout(x) W + b)) W' + b'`.

    Args:
        dynamics: the differential equation, such as `GraphDiffusion(64)`; its features are the width of X.
        features: features of a node, of x.
        classes: number of classes.
        horizon: T, in the unit of time of the dynamics.
        hidden: features between the encoder's two layers; None: it has one.
        dropout: the share dropped of the layers after the first while training.
        feature_dropout: the share dropped of x while training.
        activation: rho; see `GraphNDE`.

    Raises:
        ValueError: for an argument out of range; on a call, for features that do not fit the graph or the model.
        SolveError: on a call, if the solve fails.

    Source: Chamberlain et al., GRAND: Graph Neural Diffusion, 2021, arXiv 2106.10934, section 4.

    >>> from opnet.graphs.graphons import tent
    >>> from opnet.graphs.sampling import sample_graph
    >>> from opnet.models.graph_diffusion import GraphDiffusion
    >>> model = NodeClassifier(GraphDiffusion(8), features=5, classes=3)
    >>> model(sample_graph(tent(), 10, dtype=torch.float32), torch.ones(1, 10, 5)).shape
    torch.Size([1, 10, 3])
    """

    domain = "nodes"
    registered_name = "NodeClassifier"

    def __init__(
        self,
        dynamics: GraphODE,
        features: int,
        classes: int,
        horizon: float = 1.0,
        hidden: int | None = None,
        dropout: float = 0.5,
        feature_dropout: float = 0.5,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        expect("NodeClassifier.dynamics", dynamics, GraphODE, "a GraphODE such as GraphDiffusion(64)")
        if not (horizon > 0 and isfinite(horizon)):
            raise ValueError(f"horizon: expected a positive number, found {horizon}")
        if classes < 1:
            raise ValueError(f"classes: expected at least 1, found {classes}")
        self.arguments = {
            "dynamics": dynamics,
            "features": features,
            "classes": classes,
            "horizon": horizon,
            "hidden": hidden,
            "dropout": dropout,
            "feature_dropout": feature_dropout,
            "activation": activation,
        }
        self.horizon, self.activation = float(horizon), lookup("activation", activation)
        self.encoder = FeatureLayer(features, dynamics.features if hidden is None else hidden, feature_dropout)
        self.second = None if hidden is None else FeatureLayer(hidden, dynamics.features, dropout)
        self.dynamics = dynamics
        self.dropout = nn.Dropout(share("dropout", dropout))
        self.decoder = nn.Linear(dynamics.features, classes)

    def forward(self, graph: Graph, x: Tensor | CSR) -> Tensor:
        """Logits of features x, (batch, node, feature) or a sparse matrix (node, feature).

        # shape: (batch or 1, node, class)
        """
        x0 = self.encoder(graph, x)
        if self.second is not None:
            x0 = self.second(graph, self.activation(x0))
        times = torch.tensor([0.0, self.horizon], dtype=x0.dtype, device=x0.device)
        X = self.dynamics(graph, x0, times)[:, -1]
        return self.decoder(self.activation(self.dropout(X)))
