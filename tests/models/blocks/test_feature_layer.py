import pytest
import scipy.sparse
import torch

from opnet.graphs.graph import Graph
from opnet.linops.diagonal import Identity
from opnet.linops.sparse import CSR
from opnet.models.blocks.feature_layer import FeatureLayer

GRAPH = Graph(Identity(30, torch.float64))


def features():
    return CSR.from_scipy(scipy.sparse.random(30, 12, density=0.3, random_state=0))


def layer(dropout=0.0, bias=True):
    torch.manual_seed(0)
    return FeatureLayer(12, 5, dropout, bias).double()


@pytest.mark.parametrize("bias", [True, False])
def test_sparse_features_are_those_of_a_tensor(bias):
    x, block = features(), layer(bias=bias)
    values, gradients = [], []
    for form in (x, x.to_dense()[None]):
        y = block(GRAPH, form)
        block.zero_grad()
        y.square().sum().backward()
        values.append(y)
        gradients.append(block.weight.grad.clone())
    assert values[0].shape == (1, 30, 5)
    torch.testing.assert_close(values[0], values[1])
    torch.testing.assert_close(gradients[0], gradients[1])


def test_sparse_dropout_has_the_mean_and_spread_of_dropout():
    x, block = features(), layer(0.4)
    moments = []
    for form in (x, x.to_dense()[None]):
        torch.manual_seed(1)
        draws = torch.stack([block(GRAPH, form).detach() for _ in range(2000)])
        moments.append((draws.mean(0), draws.std(0)))
    block.eval()
    plain, spread = block(GRAPH, x).detach(), moments[1][1]
    for mean, deviation in moments:
        assert ((mean - plain).abs() < 5 * spread / 2000**0.5 + 1e-12).all()
        assert ((deviation - spread).abs() < 0.15 * spread + 1e-12).all()
    assert float(spread.max()) > 0.05  # the law is not empty


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (
            torch.ones(1, 29, 12).double(),
            r"expected a tensor of shape \(batch, 30, 12\), or a CSR .* found \(1, 29, 12\)",
        ),
        (torch.ones(30, 12).double(), r"found \(30, 12\)"),
        (torch.ones(1, 30, 12), r"expected torch.float64 on cpu, the graph's .* found torch.float32"),
        (CSR.from_scipy(scipy.sparse.eye_array(30, 11)), r"or a CSR of shape \(30, 12\), found \(30, 11\)"),
    ],
)
def test_features_are_checked(x, message):
    with pytest.raises(ValueError, match=message):
        layer()(GRAPH, x)


def test_arguments_are_checked():
    for share in (1.0, -0.1, float("nan")):
        with pytest.raises(ValueError, match="dropout: expected a number from 0"):
            FeatureLayer(3, 3, share)
    with pytest.raises(ValueError, match="at least one feature, found 0 and 3"):
        FeatureLayer(0, 3, 0.5)
