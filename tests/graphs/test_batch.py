import pytest
import torch

from opnet.evaluation.metrics import MSE, AbsoluteL2, RelativeL2
from opnet.graphs.batch import batch_graphs
from opnet.graphs.graph import Graph
from opnet.graphs.graphons import hsbm, tent
from opnet.graphs.sampling import sample_graph
from opnet.linops.block_diagonal import BlockDiagonal
from opnet.linops.dense import Dense
from opnet.linops.sparse import CSR
from opnet.models.graph_nde import GraphNDE

MIXED = [sample_graph(tent(), 7), sample_graph(hsbm(2), 12), sample_graph(tent(), 300)]
SPARSE = [sample_graph(tent(), n, regime="random", density=0.05, seed=n) for n in (30, 50, 41)]


@pytest.mark.parametrize(("graphs", "form"), [(MIXED, BlockDiagonal), (SPARSE, CSR)], ids=["mixed", "sparse"])
def test_a_model_does_on_a_batch_what_it_does_on_each(graphs, form):
    whole = batch_graphs(graphs)
    assert isinstance(whole.shift, form)
    assert whole.sizes == tuple(graph.n for graph in graphs)
    torch.testing.assert_close(whole.shift.to_dense(), torch.block_diag(*(g.shift.to_dense() for g in graphs)))
    torch.manual_seed(0)
    model = GraphNDE((2, 4, 2), solver={"method": "RK4", "step": 0.25}).double()
    ts = torch.tensor([0.0, 1.0], dtype=torch.float64)
    starts = [torch.randn(1, graph.n, 2).double() for graph in graphs]
    together = whole.split(model(whole, torch.cat(starts, 1), ts))
    for graph, start, found in zip(graphs, starts, together, strict=True):
        torch.testing.assert_close(found, model(graph, start, ts))


def test_metrics_measure_each_graph_by_itself():
    whole = batch_graphs(SPARSE)
    u, v = (torch.randn(1, 3, whole.n, 2, generator=torch.Generator().manual_seed(i)).double() for i in (0, 1))
    for metric in (RelativeL2(), RelativeL2(time="max"), AbsoluteL2(), MSE()):
        each = [metric(a, b, g) for a, b, g in zip(whole.split(u), whole.split(v), SPARSE, strict=True)]
        torch.testing.assert_close(metric(u, v, whole), torch.cat(each))


def test_batches_of_batches_and_moves_keep_the_sizes():
    whole = batch_graphs([batch_graphs(SPARSE[:2]), SPARSE[2]])
    assert whole.to(dtype=torch.float32).sizes == (30, 50, 41)
    assert whole.positions is not None
    assert batch_graphs([Graph(Dense(torch.eye(2).double())), SPARSE[0]]).positions is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: batch_graphs([]), "at least one graph, found none"),
        (lambda: batch_graphs([SPARSE[0], SPARSE[1].to(dtype=torch.float32)]), "one dtype and device"),
        (lambda: Graph(Dense(torch.eye(3)), members=(Graph(Dense(torch.eye(2))),)), "add up to 3"),
        (lambda: batch_graphs(SPARSE).split(torch.zeros(1, 5, 2)), "expected .*121, feature"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
