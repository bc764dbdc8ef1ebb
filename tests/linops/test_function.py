import pytest
import torch

from opnet.linops.function import FunctionOperator


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_given_transpose_is_used():
    calls = []

    def transpose(y, m):
        calls.append(y)
        return y @ m

    A = FunctionOperator(lambda x, m: x @ m.mT, (3,), (2,), tensors=(random(2, 3),), transpose=transpose)
    torch.testing.assert_close(A.T.to_dense(), A.to_dense().mT)
    assert len(calls) == 1
    assert A.T.T.f is A.f


def test_a_network_without_bias_is_an_operator():
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Linear(4, 6, bias=False), torch.nn.Linear(6, 3, bias=False)).double()
    A = FunctionOperator(layers, (4,), (3,))
    matrix = (layers[1].weight @ layers[0].weight).detach()
    torch.testing.assert_close(A.to_dense().detach(), matrix)
    torch.testing.assert_close(A.T.to_dense().detach(), matrix.mT)


def test_a_function_that_ignores_its_argument_is_zero():
    A = FunctionOperator(lambda x: x.new_zeros(*x.shape[:-1], 2), (3,), (2,))
    torch.testing.assert_close(A.T @ random(5, 2), torch.zeros(5, 3, dtype=torch.float64))


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r"expected values of shape \(5, 3\) .* found \(5, 2\)"):
        FunctionOperator(lambda x: x[..., :2], (3,)) @ random(5, 3)
    with pytest.raises(ValueError, match="equal shapes of a symmetric operator"):
        FunctionOperator(lambda x: x[..., :2], (3,), (2,), symmetric=True)


def test_tensors_say_where_and_in_which_precision():
    A = FunctionOperator(lambda x, p: p * x, (3,), tensors=(torch.ones(3),))
    assert A.dtype == torch.float32
    assert A.to(dtype=torch.float64) @ random(3) is not None
    with pytest.raises(ValueError, match="float64"):
        A @ random(3)
