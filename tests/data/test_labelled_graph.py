from dataclasses import replace

import pytest
import scipy.sparse
import torch

from opnet.data.labelled_graph import LabelledGraph
from opnet.linops.sparse import CSR


def ring(n=8):
    """A ring; node i has the features i and 1 at two places."""
    A = scipy.sparse.csr_array(scipy.sparse.coo_array(([1.0] * n, (range(n), [(i + 1) % n for i in range(n)]))))
    x = torch.zeros(n, 3)
    x[:, 0], x[:, 2] = torch.arange(n), 1
    x[0] = 0
    nodes = torch.arange(n)
    return LabelledGraph(
        CSR.from_scipy(A + A.T, torch.float32),
        CSR.from_scipy(scipy.sparse.csr_array(x.numpy()), torch.float32),
        nodes % 2,
        2,
        nodes[:2],
        nodes[2:4],
        nodes[4:],
    )


def test_an_induced_graph_has_the_rows_and_columns_of_its_nodes():
    data, nodes = ring(), torch.tensor([7, 0, 1, 4])
    part = data.induced(nodes)
    assert torch.equal(part.adjacency.to_dense(), data.adjacency.to_dense()[nodes][:, nodes])
    assert torch.equal(part.features.to_dense(), data.features.to_dense()[nodes])
    assert torch.equal(part.labels, data.labels[nodes])
    assert (part.train.tolist(), part.validation.tolist(), part.test.tolist()) == ([1, 2], [], [3, 0])
    with pytest.raises(ValueError, match=r"induced: expected different nodes from 0 to 7"):
        data.induced(torch.tensor([1, 1]))


def test_an_induced_graph_is_normalised_by_its_own_degrees():
    part = ring().induced(torch.tensor([0, 1, 5]))
    expected = torch.tensor([[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1]])
    torch.testing.assert_close(part.graph().shift.to_dense(), expected)
    with pytest.raises(ValueError, match="1 without edges"):
        part.graph(self_loops=False)


@pytest.mark.parametrize("order", [1, 2])
def test_features_of_norm_one(order):
    dense = ring().with_features_of_norm_one(order).features.to_dense()
    torch.testing.assert_close(torch.linalg.vector_norm(dense, order, 1), torch.tensor([0.0] + [1.0] * 7))
    torch.testing.assert_close(dense[3, 0] / dense[3, 2], torch.tensor(3.0))
    with pytest.raises(ValueError, match="expected an order of at least 1, found 0"):
        ring().with_features_of_norm_one(0)


def test_another_precision():
    assert ring().to(dtype=torch.float64).graph().shift.dtype == torch.float64


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": torch.zeros(7, dtype=torch.int64)}, "expected edges, features and labels of 7 nodes"),
        ({"train": torch.tensor([8])}, "train: expected nodes from 0 to 7"),
        ({"train": torch.tensor([4])}, "each node in one part"),
        ({"classes": 1}, "train: expected nodes of classes below 1"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(ring(), **changes)


def test_features_that_are_not_finite_are_refused():
    data = ring()
    values = data.features.values.clone()
    values[3] = float("nan")
    with pytest.raises(ValueError, match="features: expected finite values, found NaN"):
        replace(data, features=data.features.rebuild((values,)))
