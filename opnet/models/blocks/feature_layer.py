"""`FeatureLayer`: the first layer on the features of nodes, which are mostly zero."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from opnet.graphs.graph import Graph
from opnet.linops.sparse import CSR


class FeatureLayer(nn.Module):
    """`dropout(x) W + b` of features x of a graph's nodes, given as a tensor or as a sparse matrix.

    Of a sparse matrix only the entries are dropped out and multiplied: the same in distribution, in time linear in
    the entries, without a dense copy.

    Args:
        in_features, out_features: the shape of W, which starts as Glorot and Bengio (2010) have it, equation 16.
        dropout: the share of features dropped while training.
        bias: whether there is a b; it starts as zero.

    Raises:
        ValueError: for a share outside [0, 1); on a call, for features that do not fit the graph or the layer.
    """

    def __init__(self, in_features: int, out_features: int, dropout: float, bias: bool = True) -> None:
        super().__init__()
        if in_features < 1 or out_features < 1:
            raise ValueError(f"FeatureLayer: expected at least one feature, found {in_features} and {out_features}")
        self.dropout = nn.Dropout(share("dropout", dropout))
        self.weight = nn.Parameter(torch.empty(in_features, out_features))
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None
        nn.init.xavier_uniform_(self.weight)

    def forward(self, graph: Graph, x: Tensor | CSR) -> Tensor:
        """# shape: (batch, node, in_features), or a CSR (node, in_features) -> (batch or 1, node, out_features)"""
        self._check(graph, x)
        if isinstance(x, CSR):
            y = x.rebuild((self.dropout(x.values),)).columns(self.weight)[None]
        else:
            y = self.dropout(x) @ self.weight
        return y if self.bias is None else y + self.bias

    def _check(self, graph: Graph, x: Tensor | CSR) -> None:
        expected = (graph.n, len(self.weight))
        shape = tuple(x.shape) if isinstance(x, CSR) else tuple(x.shape[1:])
        if shape != expected or (isinstance(x, CSR) and x.batch_shape) or (isinstance(x, Tensor) and x.ndim != 3):
            raise ValueError(
                f"x: expected a tensor of shape (batch, {expected[0]}, {expected[1]}), or a CSR of shape {expected}, "
                f"found {tuple(x.shape)}"
            )
        if (x.dtype, x.device) != (graph.shift.dtype, graph.shift.device):
            raise ValueError(
                f"x: expected {graph.shift.dtype} on {graph.shift.device}, the graph's (see `Graph.to`), found "
                f"{x.dtype} on {x.device}"
            )


def share(name: str, value: float) -> float:
    """The value, if it is a share that may be dropped.

    >>> share("dropout", 1.0)
    Traceback (most recent call last):
    ValueError: dropout: expected a number from 0 up to but not including 1, found 1.0
    """
    if not 0 <= value < 1:
        raise ValueError(f"{name}: expected a number from 0 up to but not including 1, found {value}")
    return value
