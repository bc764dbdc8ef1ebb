import pytest
import torch

from opnet.solvers.ode.elimination import inverses, product

F64 = torch.float64


def _matrices(n, batch=50):
    return torch.randn(batch, n, n, dtype=F64, generator=torch.Generator().manual_seed(n))


@pytest.mark.parametrize("n", range(1, 9))
def test_inverses(n):
    W = _matrices(n)
    inverse, singular = inverses(W)
    assert not singular.any()
    condition = torch.linalg.cond(W)
    error = torch.linalg.matrix_norm(inverse - torch.linalg.inv(W)) / torch.linalg.matrix_norm(inverse)
    assert (error < 1e-15 * n * condition).all()


def test_pivots_are_the_largest_left():
    """Without pivots 1e-20 would be one, and the answer wrong in all digits; here each row has its own order."""
    W = torch.tensor([[1e-20, 1.0, 2.0], [1.0, 1.0, 0.0], [3.0, 0.0, 1.0]], dtype=F64)
    W = torch.stack([W, W.flip(0), W[[1, 0, 2]]])
    torch.testing.assert_close(inverses(W)[0], torch.linalg.inv(W), rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("bad", [0.0, torch.nan])
def test_a_matrix_without_an_inverse_fails_alone(n, bad):
    W = _matrices(n, 3)
    exact = torch.linalg.inv(W)
    W[1, :, 0] = bad
    inverse, singular = inverses(W)
    torch.testing.assert_close(inverse[[0, 2]], exact[[0, 2]])
    assert not singular[[0, 2]].any()
    assert singular[1] if bad == 0 else not inverse[1].isfinite().all()


def test_product():
    A, b = _matrices(4), _matrices(4)[:, 0]
    torch.testing.assert_close(product(A, b), torch.einsum("bij,bj->bi", A, b))
