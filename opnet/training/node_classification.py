"""`fit_nodes`: training a classifier of nodes, on the whole graph or on sub-graphs of it."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import NoReturn

import torch
from torch import Tensor, nn

from opnet.core.errors import SolveError, TrainingError
from opnet.core.expect import expect, integer
from opnet.data.labelled_graph import LabelledGraph
from opnet.evaluation.evaluate import evaluating
from opnet.graphs.graph import Graph
from opnet.spaces.streams import stream
from opnet.training.guards import largest_allowed

_SUBGRAPH = 0  # key of the stream that draws nodes
_MODEL = 1  # key of the stream of what the model draws


@dataclass(frozen=True)
class NodeFitConfig:
    """How `fit_nodes` trains. With the data and the model's first weights it determines the final weights.

    Args:
        epochs: steps at most; each takes all training nodes.
        patience: epochs after which training stops, if the validation accuracy has not grown and the validation loss
            has not fallen in them.
        learning_rate: of Adam.
        weight_decay: coefficient of the squared norm's gradient, added to the loss's (coupled, as Kipf and Welling).
        best_by: whose epoch's weights stay: "accuracy", the highest on the validation nodes and, among equal ones, the
            least loss; or "loss", the least there, which a few nodes more or less move little.
        normalisation: of the adjacency with self-loops; see `normalised_shift`.
        subgraph_share: train on the sub-graph of this share of the nodes, drawn uniformly, and on the training nodes
            that are in it. None: on the whole graph.
        keep_labels: draw all the training nodes, and uniformly what else the share takes.
        resample: draw a sub-graph an epoch, instead of one for all.
        seed: of the sub-graphs, and of what the model draws (dropout).

    Raises:
        ValueError: naming the argument, what was expected and what was found.
    """

    epochs: int = 400
    patience: int = 100
    learning_rate: float = 1e-2
    weight_decay: float = 5e-4
    best_by: str = "accuracy"
    normalisation: str = "symmetric"
    subgraph_share: float | None = None
    keep_labels: bool = False
    resample: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("patience", 1), ("seed", 0)):
            if integer(f"NodeFitConfig.{name}", getattr(self, name)) < least:
                raise ValueError(f"NodeFitConfig.{name}: expected at least {least}, found {getattr(self, name)}")
        if not (self.learning_rate > 0 and isfinite(self.learning_rate)):
            raise ValueError(f"NodeFitConfig.learning_rate: expected a positive number, found {self.learning_rate}")
        if not (self.weight_decay >= 0 and isfinite(self.weight_decay)):
            raise ValueError(f"NodeFitConfig.weight_decay: expected a number of at least 0, found {self.weight_decay}")
        if self.best_by not in ("accuracy", "loss"):
            raise ValueError(f"NodeFitConfig.best_by: expected one of accuracy, loss, found {self.best_by!r}")
        if self.subgraph_share is not None and not 0 < self.subgraph_share <= 1:
            raise ValueError(f"NodeFitConfig.subgraph_share: expected in (0, 1], found {self.subgraph_share}")
        if (self.resample or self.keep_labels) and self.subgraph_share is None:
            raise ValueError("NodeFitConfig: expected a subgraph_share with resample and keep_labels, found None")


@dataclass(frozen=True)
class NodeRun:
    """What `fit_nodes` returns.

    Attributes:
        model: the model of the best epoch, ready for evaluation.
        epoch: that epoch, from 1.
        epochs: how many were run.
        validation: accuracy on the validation nodes of the whole graph then, from 0 to 1.
        losses: the training loss of each epoch.
    """

    model: nn.Module
    epoch: int
    epochs: int
    validation: float
    losses: tuple[float, ...]


def fit_nodes(model: nn.Module, data: LabelledGraph, config: NodeFitConfig | None = None) -> NodeRun:
    """Train a model `(graph, features) -> logits (1, node, class)` by cross-entropy on the training nodes.

    Whatever it trains on, after each epoch it is measured on the validation nodes of the whole graph; the weights that
    are best there stay. Test nodes' classes are never looked at.

    Args:
        model: such as `NodeClassifier` or `GCN`; trained in place, in the data's dtype and on its device.
        data: edges, features, classes and split.
        config: `NodeFitConfig()` by default.

    Raises:
        ValueError: for data without training or validation nodes, or a sub-graph without training nodes.
        TrainingError: naming the epoch, when the loss, its gradient or the solve fails. The model then holds the best
            weights so far.

    >>> import scipy.sparse
    >>> from opnet.linops.sparse import CSR
    >>> from opnet.models.gcn import GCN
    >>> band = scipy.sparse.diags_array([1.0, 1.0, 1.0], offsets=[-1, 0, 1], shape=(6, 6))
    >>> path, parts = CSR.from_scipy(band, torch.float32), torch.tensor([0, 5, 1, 4, 2, 3]).split(2)
    >>> data = LabelledGraph(path, path, torch.tensor([0, 0, 0, 1, 1, 1]), 2, *parts)
    >>> _ = torch.manual_seed(0)
    >>> run = fit_nodes(GCN(6, 2), data, NodeFitConfig(epochs=60))
    >>> run.validation, accuracy(run.model, data, data.test)
    (1.0, 1.0)
    """
    config = NodeFitConfig() if config is None else config
    expect("fit_nodes: model", model, nn.Module, "a model such as GCN(features, classes)")
    expect("fit_nodes: data", data, LabelledGraph, "a LabelledGraph such as read_planetoid(folder, name)")
    if not (len(data.train) and len(data.validation)):
        raise ValueError(
            f"fit_nodes: expected nodes to train and to validate on, found {len(data.train)} and {len(data.validation)}"
        )
    device = data.labels.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        return _Training(model.to(device, data.features.dtype), data, config).run()


def accuracy(model: nn.Module, data: LabelledGraph, nodes: Tensor, normalisation: str = "symmetric") -> float:
    """The share of `nodes` whose class the model finds on the whole graph, from 0 to 1."""
    return _measure(model, data.graph(normalisation), data, nodes)[0]


def _measure(model: nn.Module, graph: Graph, data: LabelledGraph, nodes: Tensor) -> tuple[float, float]:
    """Accuracy and cross-entropy on the nodes."""
    with evaluating(model):
        logits = model(graph, data.features)[0, nodes]
    labels = data.labels[nodes]
    share = float((logits.argmax(-1) == labels).to(torch.float64).mean())
    return share, float(nn.functional.cross_entropy(logits, labels))


class _Training:
    """The state of one call to `fit_nodes`."""

    def __init__(self, model: nn.Module, data: LabelledGraph, config: NodeFitConfig) -> None:
        self.model, self.data, self.config = model, data, config
        self.graph = data.graph(config.normalisation)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(self.parameters, config.learning_rate, weight_decay=config.weight_decay)
        self.losses: list[float] = []
        self.best, self.best_epoch, self.validation = (-float("inf"), 0.0), 0, 0.0
        self.kept = _copy(model)
        self.part = (data, self.graph) if config.subgraph_share is None else self._draw(0)

    def run(self) -> NodeRun:
        seeds = stream(self.config.seed, _MODEL).integers(2**63, size=self.config.epochs)
        most_accurate, least_loss, progress = -1.0, float("inf"), 0
        self.model.train()
        for epoch in range(self.config.epochs):
            torch.manual_seed(int(seeds[epoch]))
            self._step(epoch)
            share, loss = _measure(self.model, self.graph, self.data, self.data.validation)
            standing = (share, -loss) if self.config.best_by == "accuracy" else (-loss, share)
            if standing > self.best:
                self.best, self.best_epoch, self.kept = standing, epoch + 1, _copy(self.model)
                self.validation = share
            if share > most_accurate or loss < least_loss:
                most_accurate, least_loss, progress = max(share, most_accurate), min(loss, least_loss), epoch
            if epoch - progress >= self.config.patience:
                break
        self.model.load_state_dict(self.kept)
        self.model.eval()
        return NodeRun(self.model, self.best_epoch, len(self.losses), self.validation, tuple(self.losses))

    def _step(self, epoch: int) -> None:
        if self.config.resample and epoch:
            self.part = self._draw(epoch)
        data, graph = self.part
        self.optimizer.zero_grad()
        try:
            logits = self.model(graph, data.features)[0, data.train]
        except SolveError as error:
            self._fail(epoch, str(error))
        loss = nn.functional.cross_entropy(logits, data.labels[data.train])
        loss.backward()
        norm = float(nn.utils.get_total_norm([p.grad for p in self.parameters if p.grad is not None]))
        if not (isfinite(float(loss.detach())) and norm < largest_allowed(loss.dtype)):
            self._fail(epoch, f"the loss is {float(loss.detach())}, the norm of its gradient {norm}")
        self.optimizer.step()
        self.losses.append(float(loss.detach()))

    def _draw(self, epoch: int) -> tuple[LabelledGraph, Graph]:
        """The sub-graph of a share of the nodes, in their order."""
        share, n = self.config.subgraph_share, self.data.n
        assert share is not None
        order = torch.from_numpy(stream(self.config.seed, _SUBGRAPH, epoch).permutation(n)).to(self.data.labels.device)
        if self.config.keep_labels:
            order = torch.cat([self.data.train, order[~torch.isin(order, self.data.train)]])
        part = self.data.induced(order[: max(1, round(share * n))].sort().values)
        if not len(part.train):
            raise ValueError(f"NodeFitConfig.subgraph_share: expected a share with training nodes, found {share}: none")
        return part, part.graph(self.config.normalisation)

    def _fail(self, epoch: int, what: str) -> NoReturn:
        self.model.load_state_dict(self.kept)
        raise TrainingError(f"fit_nodes: epoch {epoch + 1} of {self.config.epochs}: {what}")


def _copy(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}
