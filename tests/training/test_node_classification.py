from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse
import torch

from opnet.core.errors import TrainingError
from opnet.data.labelled_graph import LabelledGraph
from opnet.linops.sparse import CSR
from opnet.models.gcn import GCN
from opnet.models.graph_diffusion import GraphDiffusion
from opnet.models.node_classifier import NodeClassifier
from opnet.training.node_classification import NodeFitConfig, accuracy, fit_nodes


def two_groups(n=60, seed=0):
    """Two groups with edges mostly inside, and features that tell them apart poorly."""
    chance = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    likely = np.where(labels[:, None] == labels, 0.25, 0.02)
    A = np.triu(chance.random((n, n)) < likely, 1)
    x = chance.random((n, 8)) + 0.3 * np.eye(8)[labels]
    order = torch.from_numpy(chance.permutation(n))
    return LabelledGraph(
        CSR.from_scipy(scipy.sparse.csr_array((A | A.T).astype(float)), torch.float32),
        CSR.from_scipy(scipy.sparse.csr_array(x), torch.float32),
        torch.from_numpy(labels),
        2,
        order[:12],
        order[12:30],
        order[30:],
    )


def gcn(dropout=0.2):
    torch.manual_seed(0)
    return GCN(8, 2, dropout=dropout)


def test_neighbours_help():
    data = two_groups()
    config = NodeFitConfig(epochs=100, learning_rate=0.05)
    alone = replace(data, adjacency=data.adjacency.rebuild((0 * data.adjacency.values,)))
    found = {}
    for name, graph in (("edges", data), ("no edges", alone)):
        run = fit_nodes(gcn(), graph, config)
        found[name] = accuracy(run.model, graph, graph.test)
    assert found["edges"] > 0.9 > found["no edges"] + 0.05


def test_the_best_weights_on_validation_nodes_stay():
    data = two_groups()
    run = fit_nodes(gcn(), data, NodeFitConfig(epochs=30, learning_rate=0.05))
    assert accuracy(run.model, data, data.validation) == run.validation
    assert 1 <= run.epoch <= run.epochs == len(run.losses) == 30
    assert run.losses[-1] < run.losses[0]
    assert not run.model.training
    again = fit_nodes(gcn(), data, NodeFitConfig(epochs=run.epoch, learning_rate=0.05))
    for a, b in zip(run.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_training_stops_when_nothing_improves():
    config = NodeFitConfig(epochs=500, patience=5, learning_rate=0.3)
    run = fit_nodes(gcn(), two_groups(), config)
    assert run.epochs < 500


def test_the_seed_alone_decides():
    data, state = two_groups(), torch.random.get_rng_state()
    runs = [fit_nodes(gcn(0.5), data, NodeFitConfig(epochs=5, seed=seed)).losses for seed in (3, 3, 4)]
    assert runs[0] == runs[1] != runs[2]
    torch.manual_seed(99)
    assert fit_nodes(gcn(0.5), data, NodeFitConfig(epochs=5, seed=3)).losses == runs[0]
    assert torch.random.get_rng_state().shape == state.shape


def test_classes_of_test_nodes_are_not_looked_at():
    data = two_groups()
    labels = data.labels.clone()
    labels[data.test] = 1 - labels[data.test]
    losses = [fit_nodes(gcn(), d, NodeFitConfig(epochs=5)).losses for d in (data, replace(data, labels=labels))]
    assert losses[0] == losses[1]


class Recorder(GCN):
    def __init__(self):
        super().__init__(8, 2)
        self.sizes = []

    def forward(self, graph, x):
        if self.training:
            self.sizes.append((graph.n, round(float(graph.shift.values.sum()), 4)))
        return super().forward(graph, x)


@pytest.mark.parametrize("resample", [False, True])
def test_sub_graphs_train_and_the_whole_graph_validates(resample):
    model, data = Recorder(), two_groups()
    config = NodeFitConfig(epochs=6, subgraph_share=0.5, resample=resample)
    run = fit_nodes(model, data, config)
    assert [n for n, _ in model.sizes] == [30] * 6
    assert len(set(model.sizes)) == (6 if resample else 1)
    assert accuracy(run.model, data, data.validation) == run.validation


def test_labels_may_be_kept_in_a_small_sub_graph():
    data = two_groups()
    counts = {}
    for keep in (False, True):
        seen = []

        class Counting(Recorder):
            def forward(self, graph, x, seen=seen):
                if self.training:
                    seen.append(graph.n)
                return super().forward(graph, x)

        fit_nodes(Counting(), data, NodeFitConfig(epochs=1, subgraph_share=0.3, keep_labels=keep))
        counts[keep] = seen
    assert counts == {False: [18], True: [18]}
    losses = [
        fit_nodes(gcn(0.0), data, NodeFitConfig(epochs=1, subgraph_share=1.0, keep_labels=keep)).losses[0]
        for keep in (False, True)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_sub_graph_without_labels_is_refused():
    data = two_groups()
    with pytest.raises(ValueError, match=r"subgraph_share: expected a share with training nodes, found 0\.01: none"):
        fit_nodes(gcn(), replace(data, train=data.train[:1]), NodeFitConfig(subgraph_share=0.01))
    with pytest.raises(ValueError, match="expected nodes to train and to validate on, found 12 and 0"):
        fit_nodes(gcn(), replace(data, validation=data.validation[:0]))


def test_a_training_that_fails_says_when_and_keeps_the_best_weights():
    data = two_groups()
    data = replace(data, features=data.features.rebuild((1e30 * data.features.values,)))
    model = gcn()
    before = [p.clone() for p in model.parameters()]
    with pytest.raises(TrainingError, match=r"fit_nodes: epoch 1 of 5: the loss is .*, the norm of its gradient"):
        fit_nodes(model, data, NodeFitConfig(epochs=5))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), before, strict=True))
    runaway = NodeClassifier(GraphDiffusion(4, diffusion=-1e4, solver={"method": "RK4", "step": 0.1}), 8, 2)
    with pytest.raises(TrainingError, match="fit_nodes: epoch 1 of 5: solve_ode"):
        fit_nodes(runaway, two_groups(), NodeFitConfig(epochs=5))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": 0}, "epochs: expected at least 1, found 0"),
        ({"learning_rate": 0.0}, "learning_rate: expected a positive number"),
        ({"weight_decay": float("inf")}, "weight_decay: expected a number of at least 0"),
        ({"subgraph_share": 1.5}, r"subgraph_share: expected in \(0, 1\], found 1.5"),
        ({"resample": True}, "expected a subgraph_share with resample and keep_labels, found None"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        NodeFitConfig(**arguments)
