import pytest
import torch

from opnet.core.registry import lookup, names
from opnet.graphs import graphons
from opnet.graphs.tent import TentSum

EXAMPLES = {"tent": {}, "arithmetic_mean": {}, "hsbm": {"levels": 3}, "checkerboard": {"m": 5}}


def test_every_registered_graphon_has_an_example():
    assert set(names("graphon")) == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_is_symmetric_in_the_unit_interval_and_sums_what_it_says(name):
    W = lookup("graphon", name)(**EXAMPLES[name])
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(40, generator=generator, dtype=torch.float64)
    w = torch.rand(40, generator=generator, dtype=torch.float64)
    matrix = W(x[:, None], x[None, :])
    assert torch.equal(matrix, matrix.T)
    assert 0 <= matrix.min() <= matrix.max() <= W.supremum
    if W.zero_one:
        assert set(matrix.unique().tolist()) <= {0.0, 1.0}
    for keep in (True, False):
        expected = (matrix if keep else matrix - torch.diag(matrix.diag())) * w
        S = W.weighted_sum(x, w, keep_diagonal=keep)
        for found in (S.to_dense(), S.transpose().to_dense().T, S.columns(torch.eye(40).double())):
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)
        torch.testing.assert_close(S.diagonal(), expected.diag())
    if W.rank is not None:
        phi, M = W.factors(x)
        assert phi.shape == (40, W.rank)
        torch.testing.assert_close(phi @ M @ phi.T, matrix)


def test_hsbm_has_thue_morse_signs():
    assert graphons.hsbm(3).signs == (1, -1, -1, 1, -1, 1, 1, -1)


def test_points_on_breakpoints_belong_to_the_block_on_the_right():
    W = graphons.checkerboard(10)
    breakpoints = torch.arange(10, dtype=torch.float64) / 10
    assert W.sign(breakpoints).tolist() == [1, -1] * 5
    assert W.sign(torch.tensor([1.0, 1.0])).tolist() == [-1, -1]


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


@pytest.mark.parametrize("call", [lambda: graphons.hsbm(0), lambda: graphons.checkerboard(1)])
def test_sizes_are_checked(call):
    with pytest.raises(ValueError, match=r"expected .*found"):
        call()
