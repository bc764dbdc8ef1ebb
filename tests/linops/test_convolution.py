from itertools import product

import pytest
import torch

from opnet.linops.convolution import Convolution


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("periodic", list(product((False, True), repeat=2)))
@pytest.mark.parametrize("lengths", [(3, 1), (5, 3), (9, 13)])
def test_sums_written_out(lengths, periodic):
    """Also with kernels longer than the axes, of 4 and 5 nodes."""
    kernel, x, expected = random(*lengths), random(4, 5, seed=1), torch.zeros(4, 5, dtype=torch.float64)
    for (i, j), (m, n) in product(product(range(4), range(5)), product(*map(range, lengths))):
        p, q = i - (m - lengths[0] // 2), j - (n - lengths[1] // 2)
        if (periodic[0] or 0 <= p < 4) and (periodic[1] or 0 <= q < 5):
            expected[i, j] += kernel[m, n] * x[p % 4, q % 5]
    torch.testing.assert_close(Convolution(kernel, (4, 5), periodic) @ x, expected)


def test_a_batch_of_kernels_is_a_batch_of_operators():
    kernels, x = random(2, 3), random(5, 2, 6, seed=1)
    expected = torch.stack([Convolution(kernel, (6,)) @ x[:, i] for i, kernel in enumerate(kernels)], 1)
    torch.testing.assert_close(Convolution(kernels, (6,)) @ x, expected)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Convolution(torch.ones(4), (8,)), r"odd length on each of 1 axes, found \(4,\)"),
        (lambda: Convolution(torch.ones(3), (8, 8)), "odd length on each of 2 axes"),
        (lambda: Convolution(torch.ones(3, dtype=torch.int64), (8,)), "floating or complex"),
        (lambda: Convolution(torch.ones(3), (8,), (True, False)), "expected one answer or 1, found 2"),
    ],
)
def test_what_is_no_kernel_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
