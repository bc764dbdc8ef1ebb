import pytest
import torch

from opnet.linops.diagonal import Diagonal, Identity


def test_inverse_undoes_it():
    A = Diagonal(torch.tensor([[2.0, -4.0], [0.5, 1.0]]), axes=2)
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    torch.testing.assert_close(A.inverse() @ (A @ x), x)


def test_trailing_dimensions_are_axes_and_the_others_batch():
    d = torch.ones(2, 3, 4)
    assert (Diagonal(d).in_shape, Diagonal(d).batch_shape) == ((4,), (2, 3))
    assert (Diagonal(d, axes=3).in_shape, Diagonal(d, axes=3).batch_shape) == ((2, 3, 4), ())


def test_identity_gives_a_tensor_of_its_own():
    x = torch.ones(3, dtype=torch.float64)
    y = Identity(3) @ x
    y += 1
    assert x.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Diagonal(torch.ones(3), axes=2), r"at least 2 dimensions, found \(3,\)"),
        (lambda: Diagonal(torch.ones(3), axes=0), "at least 1 dimensions"),
        (lambda: Diagonal(torch.ones(3, dtype=torch.int64)), "floating or complex"),
        (lambda: Identity(3, torch.int64), "floating or complex"),
    ],
)
def test_what_is_no_diagonal_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
