"""`GCN`: the graph convolutional network of two layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from opnet.core.registry import register
from opnet.graphs.graph import Graph
from opnet.linops.sparse import CSR
from opnet.models.base import Model
from opnet.models.blocks.feature_layer import FeatureLayer


@register("model", "GCN")
class GCN(Model):
    """`logits = S dropout(relu(S dropout(x) W_1 + b_1)) W_2 + b_2`, S the graph's shift operator.

    Args:
        features: features of a node, of x.
        classes: number of classes.
        width: features between the layers.
        dropout: the share dropped before each layer while training.

    Raises:
        ValueError: for an argument out of range; on a call, for features that do not fit the graph or the model.

    Source: Kipf and Welling, Semi-Supervised Classification with Graph Convolutional Networks, 2017, arXiv 1609.02907,
    equation 9; there S is symmetrically normalised with self-loops.

    >>> GCN(1433, 7).n_parameters
    23063
    """

    domain = "nodes"
    registered_name = "GCN"

    def __init__(self, features: int, classes: int, width: int = 16, dropout: float = 0.5) -> None:
        super().__init__()
        self.arguments = {"features": features, "classes": classes, "width": width, "dropout": dropout}
        self.first = FeatureLayer(features, width, dropout, bias=False)
        self.second = FeatureLayer(width, classes, dropout, bias=False)
        self.biases = nn.ParameterList(torch.zeros(n) for n in (width, classes))

    def forward(self, graph: Graph, x: Tensor | CSR) -> Tensor:
        """Logits of features x, (batch, node, feature) or a sparse matrix (node, feature).

        # shape: (batch or 1, node, class)
        """
        hidden = torch.relu(graph.shift.columns(self.first(graph, x)) + self.biases[0])
        return graph.shift.columns(self.second(graph, hidden)) + self.biases[1]
