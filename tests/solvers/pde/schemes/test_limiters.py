import pytest
import torch

from opnet.solvers.pde.schemes.limiters import LIMITERS


@pytest.mark.parametrize("limiter", LIMITERS.values(), ids=LIMITERS)
def test_second_order_and_monotone(limiter):
    a, b = torch.randn(2, 1000, dtype=torch.float64)
    s = limiter(a, b)
    assert bool((s[a * b <= 0] == 0).all())
    assert bool((s * a >= 0).all())
    assert bool((s.abs() <= 2 * torch.minimum(a.abs(), b.abs()) * (1 + 1e-15)).all())
    torch.testing.assert_close(limiter(a, a), a)  # a straight line keeps its slope
    torch.testing.assert_close(limiter(b, a), s)
    torch.testing.assert_close(limiter(3 * a, 3 * b), 3 * s)
    zero = torch.zeros(3)
    assert limiter(zero, torch.tensor([0.0, 1.0, -1.0])).tolist() == [0, 0, 0]
