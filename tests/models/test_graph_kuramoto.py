from math import pi

import torch

from opnet.graphs.graph import Graph
from opnet.graphs.graphons import hsbm
from opnet.graphs.sampling import sample_graph
from opnet.linops.dense import Dense
from opnet.models.graph_kuramoto import GraphKuramoto


def signal(n, seed=0):
    return torch.randn(2, n, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_vector_field_is_the_sum_over_pairs():
    graph, x0, X = sample_graph(hsbm(2), 8), signal(8), signal(8, 1)
    S = graph.shift.to_dense()
    pairs = torch.sin(X[:, None] - X[:, :, None])  # shape: (batch, i, j, feature)
    expected = 0.5 * x0 + 2 * torch.einsum("ij,bijf->bif", S, pairs)
    model = GraphKuramoto(3, coupling=2.0, frequency=0.5).double()
    torch.testing.assert_close(model.vector_field(graph, x0)(torch.tensor(0.0), X), expected)


def test_two_oscillators_synchronise_as_known():
    """For two with S symmetric, tan(phi / 2) of the difference phi falls as exp(-2 K S_12 t)."""
    pair = Graph(Dense(torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=torch.float64)))
    x0 = torch.tensor([[[0.0], [2.0]]], dtype=torch.float64)
    solver = {"method": "Dopri5", "rtol": 1e-10, "atol": 1e-12}
    model = GraphKuramoto(1, coupling=0.75, frequency=0.0, solver=solver).double()
    end = model(pair, x0, torch.tensor([0.0, 1.5], dtype=torch.float64))[0, -1, :, 0]
    expected = 2 * torch.atan(torch.tan(torch.tensor(1.0, dtype=torch.float64)) * torch.exp(torch.tensor(-2.25)))
    torch.testing.assert_close(end[1] - end[0], expected, rtol=1e-7, atol=1e-9)
    turned = model.vector_field(pair, x0)(torch.tensor(0.0), x0 + torch.tensor([[0.0], [2 * pi]]).double())
    torch.testing.assert_close(turned, model.vector_field(pair, x0)(torch.tensor(0.0), x0))
