import pytest
import torch

from opnet.linops.dense import Dense
from opnet.linops.diagonal import Identity
from opnet.linops.sparse import CSR
from opnet.models.blocks.graph_attention import GraphAttention, edges_of


def attention(features=3, heads=2, width=4):
    torch.manual_seed(0)
    return GraphAttention(features, heads, width).double()


@pytest.fixture
def edges():
    mask = torch.rand(7, 7, generator=torch.Generator().manual_seed(1)) < 0.4
    mask[4] = False  # a node that takes from no other
    return edges_of(Dense(mask.double()))


def test_weights_are_the_softmax_of_scaled_products(edges):
    block, X = attention(), torch.randn(2, 7, 3, dtype=torch.float64)
    key, query = block.key(X).unflatten(-1, (2, 4)), block.query(X).unflatten(-1, (2, 4))
    scores = torch.einsum("bihd,bjhd->bijh", key, query) / 2
    scores = scores.masked_fill((edges.to_dense() == 0)[None, :, :, None], -torch.inf)
    expected = scores.softmax(2).nan_to_num(0).mean(-1)
    A = block(edges, X)
    torch.testing.assert_close(A.to_dense(), expected)
    ones = torch.ones(7, dtype=torch.float64)
    ones[4] = 0
    torch.testing.assert_close(A.to_dense().sum(-1), ones.expand(2, 7))


def test_large_scores_do_not_overflow(edges):
    weights = attention()(edges, 1e4 * torch.randn(1, 7, 3, dtype=torch.float64)).values
    assert torch.isfinite(weights).all()
    assert weights.max() <= 1


def test_gradients_are_those_of_finite_differences(edges):
    block, X = attention(), torch.randn(1, 7, 3, dtype=torch.float64, requires_grad=True)
    Y = torch.randn(1, 7, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda X, Y: block(edges, X).columns(Y), (X, Y))


def test_edges_are_what_is_stored_or_not_zero(edges):
    assert edges_of(edges) is edges
    assert isinstance(edges, CSR)
    assert torch.equal(edges_of(Dense(edges.to_dense())).to_dense(), edges.to_dense())
    for operator in (Identity(3, torch.float64), Dense(torch.ones(2, 3, 3)), edges + edges):
        with pytest.raises(ValueError, match="attention: expected a graph whose edges are known, a CSR or Dense"):
            edges_of(operator)


def test_arguments_are_checked():
    for heads, width in ((0, None), (1, 0)):
        with pytest.raises(ValueError, match="expected at least one head and width 1"):
            GraphAttention(3, heads, width)
    assert GraphAttention(7, 2).width == 3
