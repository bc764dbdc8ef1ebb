import numpy as np
import pytest
import scipy.sparse
import torch

from opnet.graphs.convert import (
    graph_from_networkx,
    graph_from_pyg,
    graph_from_scipy,
    graph_to_networkx,
    graph_to_pyg,
    graph_to_scipy,
)
from opnet.graphs.graph import Graph
from opnet.graphs.graphons import hsbm
from opnet.graphs.sampling import sample_graph
from opnet.linops.dense import Dense
from opnet.linops.diagonal import Identity

# Node 0 takes from 1 and 2, node 2 from 0; node 3 stands alone.
MATRIX = np.array([[0, 2.0, 0.5, 0], [0, 0, 0, 0], [1.0, 0, 0, 0], [0, 0, 0, 0]])
SYMMETRIC = MATRIX[:3, :3] + MATRIX[:3, :3].T


def scipy_matrix(A):
    return scipy.sparse.csr_array(A)


def networkx_graph(A):
    networkx = pytest.importorskip("networkx")
    graph = networkx.DiGraph()
    graph.add_nodes_from(range(len(A)))
    graph.add_weighted_edges_from((int(i), int(j), float(A[i, j])) for i, j in np.argwhere(A))
    return graph


def pyg_data(A):
    data = pytest.importorskip("torch_geometric.data")
    i, j = A.nonzero()
    return data.Data(edge_index=torch.tensor(np.array([j, i])), edge_weight=torch.tensor(A[i, j]), num_nodes=len(A))


FROM = {
    "scipy": (graph_from_scipy, scipy_matrix),
    "networkx": (graph_from_networkx, networkx_graph),
    "pyg": (graph_from_pyg, pyg_data),
}
TO = {"scipy": graph_to_scipy, "networkx": graph_to_networkx, "pyg": graph_to_pyg}


@pytest.mark.parametrize("kind", FROM)
class TestConversion:
    def test_entries_keep_their_place(self, kind):
        graph_from, make = FROM[kind]
        shift = graph_from(make(MATRIX), dtype=torch.float64).shift
        assert torch.equal(shift.to_dense(), torch.from_numpy(MATRIX))

    @pytest.mark.parametrize("A", [MATRIX, SYMMETRIC], ids=["directed", "symmetric"])
    def test_there_and_back(self, kind, A):
        graph_from, _ = FROM[kind]
        pytest.importorskip({"pyg": "torch_geometric", "networkx": "networkx"}.get(kind, "scipy"))
        for shift in (graph_from_scipy(scipy_matrix(A)).shift, Dense(torch.from_numpy(A).float())):
            assert torch.equal(graph_from(TO[kind](Graph(shift))).shift.to_dense(), torch.from_numpy(A).float())

    def test_normalised_with_self_loops(self, kind):
        graph_from, make = FROM[kind]
        A = SYMMETRIC + np.eye(3)
        scale = A.sum(1) ** -0.5
        found = graph_from(make(SYMMETRIC), "symmetric", self_loops=True, dtype=torch.float64).shift.to_dense()
        torch.testing.assert_close(found, torch.from_numpy(scale[:, None] * A * scale))

    @pytest.mark.parametrize(
        ("A", "normalisation", "message"),
        [
            (MATRIX, "random_walk", "2 without edges"),
            (MATRIX[:3, :3], "symmetric", "expected a symmetric one"),
            (np.where(MATRIX == 2, np.nan, MATRIX), "none", "expected finite weights"),
            (np.where(MATRIX == 2, np.inf, MATRIX), "n", "expected finite weights"),
            (MATRIX, "rows", "normalisation: expected one of none, n, symmetric, random_walk, found 'rows'"),
        ],
    )
    def test_what_cannot_be_a_shift_is_refused(self, kind, A, normalisation, message):
        graph_from, make = FROM[kind]
        with pytest.raises(ValueError, match=message):
            graph_from(make(A), normalisation)

    def test_a_graph_without_known_edges_is_refused(self, kind):
        pytest.importorskip({"pyg": "torch_geometric", "networkx": "networkx"}.get(kind, "scipy"))
        with pytest.raises(ValueError, match="expected a graph of known edges, CSR or Dense, found Identity"):
            TO[kind](Graph(Identity(3, torch.float32)))


def test_a_matrix_that_is_not_square_or_not_sparse_is_refused():
    with pytest.raises(ValueError, match="expected a square operator, found 2 x 4"):
        graph_from_scipy(scipy_matrix(MATRIX[:2]))
    for matrix, found in ((MATRIX, "ndarray of float64"), (scipy_matrix(MATRIX * 1j), "csr_array of complex128")):
        with pytest.raises(ValueError, match=f"expected a sparse matrix of real numbers, found {found}"):
            graph_from_scipy(matrix)


def test_networkx_nodes_in_an_order_of_their_own():
    networkx = pytest.importorskip("networkx")
    graph = networkx.path_graph(["a", "b", "c"])
    shift = graph_from_networkx(graph, nodes=["b", "a", "c"]).shift.to_dense()
    assert torch.equal(shift, torch.tensor([[0.0, 1, 1], [1, 0, 0], [1, 0, 0]]))
    weighed = networkx.Graph([("a", "b", {"weight": 5.0, "cost": 2.0})])
    assert graph_from_networkx(weighed, weight="cost").shift.to_dense().max() == 2
    assert graph_from_networkx(weighed, weight=None).shift.to_dense().max() == 1
    parallel = networkx.MultiGraph([(0, 1), (0, 1)])
    assert graph_from_networkx(parallel).shift.to_dense().max() == 2
    with pytest.raises(ValueError, match="nodes: expected the graph's 3 nodes, found others"):
        graph_from_networkx(graph, nodes=["a", "b", "d"])
    with pytest.raises(ValueError, match="expected at least one node"):
        graph_from_networkx(networkx.Graph())
    with pytest.raises(ValueError, match="expected a networkx graph, found 3"):
        graph_from_networkx(3)


def test_positions_go_along():
    graph = sample_graph(hsbm(2), 6, regime="random", seed=1)
    networkx = pytest.importorskip("networkx")
    assert list(networkx.get_node_attributes(graph_to_networkx(graph), "position").values()) == graph.positions.tolist()
    pytest.importorskip("torch_geometric")
    assert torch.equal(graph_to_pyg(graph).pos[:, 0], graph.positions)


def test_odd_pyg_data_is_refused():
    data = pytest.importorskip("torch_geometric.data")
    edges = torch.tensor([[0, 1], [1, 2]])
    weighed = data.Data(edge_index=edges, edge_attr=torch.tensor([[2.0], [3.0]]), num_nodes=3)
    assert graph_from_pyg(weighed).shift.to_dense()[2, 1] == 3
    for changes, message in (
        ({"edge_index": edges[:1]}, r"edge_index of shape \(2, edge\), found \(1, 2\)"),
        ({"edge_index": None}, r"edge_index of shape \(2, edge\), found NoneType"),
        ({"edge_index": edges + 1}, "expected nodes from 0 to 2, found 1 to 3"),
        ({"edge_attr": torch.ones(2, 4)}, r"expected one weight for each of 2 edges, found \(2, 4\)"),
    ):
        with pytest.raises(ValueError, match=message):
            graph_from_pyg(data.Data(**{"edge_index": edges, "num_nodes": 3, **changes}))
