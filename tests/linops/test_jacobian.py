import pytest
import torch

from opnet.linops.jacobian import Jacobian


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def f(x):
    return torch.stack([x[..., 0] * x[..., 1], x[..., 1].sin(), x.square().sum(-1)], -1)


def test_matrix_is_that_of_torch():
    x = random(2)
    J = Jacobian(f, x)
    expected = torch.autograd.functional.jacobian(f, x)
    torch.testing.assert_close(J.to_dense(), expected)
    torch.testing.assert_close(J.T.to_dense(), expected.mT)
    torch.testing.assert_close(J.value, f(x))


def test_elements_of_a_batch_have_their_own():
    x = random(3, 2)
    J = Jacobian(f, x, batch_axes=1)
    assert (J.batch_shape, J.in_shape, J.out_shape) == ((3,), (2,), (3,))
    torch.testing.assert_close(J.to_dense(), torch.stack([Jacobian(f, xi).to_dense() for xi in x]))


def test_f_is_evaluated_once():
    calls = []

    def counted(x):
        calls.append(1)
        return f(x)

    J = Jacobian(counted, random(2))
    for _ in range(3):
        _ = J @ random(2), J.T @ random(3)
    assert len(calls) == 1


def test_second_derivatives_reach_the_point():
    """d/dx of w^T f'(x) v."""
    v, w = random(2, seed=1), random(3, seed=2)
    x = random(2).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: (w * (Jacobian(f, x) @ v)).sum(), (x,))
    assert torch.autograd.gradcheck(lambda x: (v * (Jacobian(f, x).T @ w)).sum(), (x,))


def test_a_function_that_ignores_its_argument_has_none():
    J = Jacobian(lambda x: torch.ones(3, dtype=x.dtype), random(2))
    torch.testing.assert_close(J.to_dense(), torch.zeros(3, 2, dtype=torch.float64))
    torch.testing.assert_close(J.T.to_dense(), torch.zeros(2, 3, dtype=torch.float64))


def test_values_of_another_kind_are_refused():
    with pytest.raises(ValueError, match=r"expected a value of torch.float64 and batch"):
        Jacobian(lambda x: x.float(), random(2))
    with pytest.raises(ValueError, match=r"batch \(3,\), found \(2,\)"):
        Jacobian(lambda x: x.sum(0), random(3, 2), batch_axes=1)
