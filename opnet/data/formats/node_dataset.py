"""`NodeDataset`: one graph whose nodes are classified, some of them known."""

from __future__ import annotations

from torch import Tensor

from opnet.data.batch import ArrayDataset
from opnet.graphs.graph import Graph


class NodeDataset(ArrayDataset):
    """One sample: features of all nodes to classes of some.

    Inputs are (1, node, feature); targets (1, node, class) are one at the class of each node in `nodes` and zero at all
    others, so that no other label can leak; losses and scores take the rows `nodes` alone.

    Args:
        features: (node, feature), floating.
        labels: the class of every node, an integer below `classes`; (node,).
        nodes: the nodes whose class this data set knows; ascending.
        classes: how many there are.
        graph: whose nodes they are.

    Raises:
        ValueError: for labels or nodes out of range, or another number of nodes than the graph's.

    >>> import torch
    >>> from opnet.linops.diagonal import Identity
    >>> graph = Graph(Identity(3, dtype=torch.float32))
    >>> data = NodeDataset(torch.eye(3), torch.tensor([0, 1, 1]), torch.tensor([2]), 2, graph)
    >>> data.all().targets
    tensor([[[0., 0.], [0., 0.], [0., 1.]]])
    """

    def __init__(self, features: Tensor, labels: Tensor, nodes: Tensor, classes: int, graph: Graph) -> None:
        if features.ndim != 2 or len(features) != graph.n or tuple(labels.shape) != (graph.n,):
            raise ValueError(
                f"NodeDataset: expected features and labels of {graph.n} nodes, found {tuple(features.shape)} and "
                f"{tuple(labels.shape)}"
            )
        known = labels[nodes] if len(nodes) and 0 <= int(nodes.min()) <= int(nodes.max()) < graph.n else None
        if known is None or not 0 <= int(known.min()) <= int(known.max()) < classes:
            raise ValueError(f"NodeDataset: nodes: expected nodes of classes below {classes}, found others or none")
        targets = features.new_zeros(1, graph.n, classes)
        targets[0, nodes, known] = 1
        super().__init__(features[None], targets, graph)
        self.nodes, self.labels, self.classes = nodes, known, classes
