import pytest
import torch

from opnet.graphs import graphons
from opnet.graphs.tent import TentSum


@pytest.mark.parametrize("keep", [True, False])
def test_tent_sums_are_those_of_the_matrix_in_any_order(keep):
    generator = torch.Generator().manual_seed(0)
    x, w, left = torch.rand(3, 40, generator=generator, dtype=torch.float64)
    S = TentSum(x, w, left, keep_diagonal=keep)
    matrix = 1 - (x[:, None] - x).abs()
    expected = left[:, None] * (matrix if keep else matrix.fill_diagonal_(0)) * w
    for found in (S.to_dense(), S.transpose().to_dense().T, S.columns(torch.eye(40).double())):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)
    torch.testing.assert_close(S.diagonal(), expected.diag())
    assert isinstance(graphons.tent().weighted_sum(torch.rand(300), torch.rand(300)), TentSum)


def test_tent_sums_keep_their_digits_in_float32():
    n = 100_000
    x = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    g = torch.cos(20 * x) + 3
    w = torch.full((n,), 1 / n)
    exact = TentSum(x, w.double()) @ g
    assert ((TentSum(x.float(), w) @ g.float()).double() - exact).abs().max() < 1e-6
