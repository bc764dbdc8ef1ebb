from itertools import product

import numpy as np
import pytest
import torch

from opnet.linops.stencil import Stencil, shifted


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def every_offset(shape, seed=0):
    offsets = product((-1, 0, 1), repeat=len(shape))
    return {q: random(*shape, seed=seed + i) for i, q in enumerate(offsets)}


def assemble(coefficients, shape, periodic):
    """The matrix, entry by entry."""
    matrix = torch.zeros(*shape, *shape, dtype=torch.float64)
    for q, c in coefficients.items():
        for p in product(*map(range, shape)):
            r = [i + step for i, step in zip(p, q, strict=True)]
            if all(wraps or 0 <= i < n for i, n, wraps in zip(r, shape, periodic, strict=True)):
                matrix[p + tuple(i % n for i, n in zip(r, shape, strict=True))] += c[p]
    size = int(np.prod(shape))
    return matrix.reshape(size, size)


GRIDS = [
    (shape, periodic)
    for shape in ((4,), (2,), (1,), (3, 4), (1, 3), (2, 2), (3, 2, 4))
    for periodic in product((False, True), repeat=len(shape))
]


@pytest.mark.parametrize(("shape", "periodic"), GRIDS)
def test_matrix_is_the_coefficients(shape, periodic):
    coefficients = every_offset(shape)
    A, expected = Stencil(coefficients, periodic), assemble(coefficients, shape, periodic)
    torch.testing.assert_close(A.to_dense(), expected)
    torch.testing.assert_close(A.T.to_dense(), expected.mT)
    torch.testing.assert_close(A.diagonal().flatten(), expected.diagonal())
    torch.testing.assert_close(torch.from_numpy(A.to_scipy().toarray()), expected)
    torch.testing.assert_close(assemble(A.coefficients, shape, periodic), expected)


@pytest.mark.parametrize(("shape", "periodic"), GRIDS)
def test_half_of_a_symmetric_stencil_is_enough(shape, periodic):
    """A + A^T from all its coefficients, and from either half of them."""
    A = Stencil(every_offset(shape), periodic)
    opposite = A.T.coefficients
    both = {q: c + opposite[q] for q, c in A.coefficients.items()}
    zero = (0,) * len(shape)
    for part in (both, {q: both[q] for q in both if q >= zero}, {q: both[q] for q in both if q <= zero}):
        B = Stencil(part, periodic, symmetric=True)
        torch.testing.assert_close(B.to_dense(), A.to_dense() + A.to_dense().mT)
        torch.testing.assert_close(B.diagonal(), 2 * A.diagonal())
        assert B.T is B
        for q, c in B.coefficients.items():
            torch.testing.assert_close(c, both[q])


def test_coefficients_beyond_the_end_are_zero_and_the_given_ones_untouched():
    given = torch.ones(3, 3)
    A = Stencil({(1, -1): given}, (False, True))
    assert A.coefficients[1, -1].tolist() == [[1, 1, 1], [1, 1, 1], [0, 0, 0]]
    assert bool((given == 1).all())
    assert shifted(given, (1, 0), (False, True)).tolist() == [[1, 1, 1], [1, 1, 1], [0, 0, 0]]


@pytest.mark.parametrize(
    ("coefficients", "message"),
    [
        ({}, "at least one, found none"),
        ({(1,): torch.ones(3, 3)}, r"expected offsets of 2 numbers -1, 0 or 1, found \(1,\)"),
        ({(0, 2): torch.ones(3, 3)}, r"found \(0, 2\)"),
        ({(0, 0): torch.ones(3, 3), (0, 1): torch.ones(3, 4)}, "one dtype and shape"),
        ({(0, 0): torch.ones(3, 3), (0, 1): torch.ones(3, 3).double()}, "one dtype and shape"),
        ({(0, 0): torch.ones(3)}, "one dtype and shape"),
        ({(0, 0): torch.ones(3, 3, dtype=torch.int64)}, "floating or complex"),
        ({(0, 0): torch.ones(2, 3, 3), (0, 1): torch.ones(4, 3, 3)}, r"batches that broadcast, found \(2,\), \(4,\)"),
    ],
)
def test_what_is_no_stencil_is_refused(coefficients, message):
    with pytest.raises(ValueError, match=message):
        Stencil(coefficients, (False, False))


def test_a_batch_is_no_scipy_matrix():
    with pytest.raises(ValueError, match="found a batch of"):
        Stencil({(0,): torch.ones(2, 3)}, [False]).to_scipy()
