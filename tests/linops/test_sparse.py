import numpy as np
import pytest
import scipy.sparse
import torch

from opnet.linops.dense import Dense
from opnet.linops.sparse import CSR, ONE_BY_ONE


def test_scipy_round_trip_keeps_the_matrix():
    matrix = scipy.sparse.random(9, 4, density=0.5, random_state=1)
    back = CSR.from_scipy(matrix).to_scipy()
    assert back.shape == (9, 4)
    np.testing.assert_array_equal(back.toarray(), matrix.toarray())
    assert CSR.from_scipy(matrix, dtype=torch.float32).dtype == torch.float32
    np.testing.assert_array_equal(CSR.from_scipy(1j * matrix).to_scipy().toarray(), 1j * matrix.toarray())
    with pytest.raises(ValueError, match="complex dtype for a complex matrix"):
        CSR.from_scipy(1j * matrix, dtype=torch.float64)


def test_equal_entries_add_up():
    A = CSR(torch.tensor([0, 2, 3]), torch.tensor([0, 0, 1]), torch.tensor([1.0, 2.0, 5.0]), (2, 2))
    assert (A @ torch.tensor([1.0, 1.0])).tolist() == [3.0, 5.0]
    assert A.diagonal().tolist() == [3.0, 5.0]


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        ([0, 1], [0, 1], "rows"),
        ([0, 2, 1], [0, 1], "rows"),
        ([0, 1, 2], [0, 2], "columns"),
        ([0, 1, 2], [-1, 1], "columns"),
        ([0, 1, 3], [0, 1, 1], "as many values"),
    ],
)
def test_structure_is_checked(rows, columns, message):
    with pytest.raises(ValueError, match=message):
        CSR(torch.tensor(rows), torch.tensor(columns), torch.ones(2), (2, 2))


def test_integer_values_are_refused():
    with pytest.raises(ValueError, match="floating"):
        CSR.from_scipy(scipy.sparse.eye(2), dtype=torch.int64)
    with pytest.raises(ValueError, match="floating"):
        Dense(torch.eye(2, dtype=torch.int64))


def test_one_pattern_with_a_batch_of_values_is_a_batch_of_matrices():
    matrix = CSR.from_scipy(scipy.sparse.random(5, 4, density=0.5, random_state=1))
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(3, len(matrix.values), generator=generator, dtype=torch.float64)
    A = CSR(matrix.row_start, matrix.column_index, values, (5, 4))
    alone = [CSR(matrix.row_start, matrix.column_index, v, (5, 4)) for v in values]
    torch.testing.assert_close(A.to_dense(), torch.stack([one.to_dense() for one in alone]))
    x = torch.randn(2, 3, 4, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(A @ x, torch.stack([one @ x[:, i] for i, one in enumerate(alone)], 1))
    with pytest.raises(ValueError, match="found a batch of"):
        A.to_scipy()


def test_one_by_one_vectors_have_the_images_they_have_together():
    n = ONE_BY_ONE
    matrix = scipy.sparse.random(n - 3, n, density=2 / n, random_state=1, format="csr")
    A = CSR.from_scipy(matrix)
    x = torch.randn(2, 3, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = torch.from_numpy((matrix @ x.reshape(6, n).numpy().T).T.reshape(2, 3, n - 3))
    torch.testing.assert_close(A @ x, expected)
    torch.testing.assert_close(A @ x.requires_grad_(), expected)  # together
    x = x.detach()
    torch.testing.assert_close(A @ x[0, 0], expected[0, 0])
    torch.testing.assert_close(A.columns(x.mT), expected.mT)
    assert (A @ x[:, :0]).shape == (2, 0, n - 3)


@pytest.mark.parametrize("index", [torch.int32, torch.int64])
def test_indices_of_either_integer_type_are_kept_short(index):
    A = CSR(torch.tensor([0, 2, 3], dtype=index), torch.tensor([0, 1, 1], dtype=index), torch.ones(3), (2, 2))
    assert A.row_start.dtype == A.column_index.dtype == A.T.column_index.dtype == torch.int32
    assert (A @ torch.tensor([1.0, 2.0])).tolist() == [3.0, 2.0]
    assert (A.T @ torch.tensor([1.0, 2.0])).tolist() == [1.0, 3.0]


def test_gradients_of_values_take_no_dense_matrix():
    """A matrix of 10^10 entries would not fit."""
    n = 100_000
    A = CSR.from_scipy(scipy.sparse.eye(n, format="csr"))
    values, x = A.values.clone().requires_grad_(), torch.arange(n, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((A.rebuild((values,)) @ x).sum(), values)
    torch.testing.assert_close(gradient, x)


def test_moved_it_keeps_its_pattern():
    A = CSR.from_scipy(scipy.sparse.random(5, 4, density=0.5, random_state=1))
    moved = A.to(dtype=torch.complex64)
    assert moved.dtype == torch.complex64
    assert moved.column_index.dtype == torch.int32
    torch.testing.assert_close(moved.to_dense(), A.to_dense().to(torch.complex64))


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_gradients_of_products_are_products_with_the_adjoint(dtype):
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(6, generator=generator, dtype=dtype)
    A = CSR(torch.tensor([0, 2, 2, 5, 6]), torch.tensor([0, 2, 1, 1, 2, 0]), values, (4, 3))
    x = torch.randn(2, 3, 5, generator=generator, dtype=dtype, requires_grad=True)
    assert torch.autograd.gradcheck(A.columns, (x,))
    assert torch.autograd.gradgradcheck(lambda x: A.columns(x) ** 2, (x,))
    assert torch.autograd.gradcheck(A.apply, (x.detach().mT.requires_grad_(),))
