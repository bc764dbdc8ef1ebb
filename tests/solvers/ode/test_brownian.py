import math

import pytest
import torch
from scipy import stats

from opnet.solvers.ode import brownian
from opnet.solvers.ode.brownian import BrownianPath

TIMES = [2.0**-40, 1e-9, 0.1, 0.5, 0.77, 1.0, 5.3, 1000.7, 4e6, -0.3, -2.2]
N = 40_000
LIKELY = 4.5  # standard errors; the draws are fixed, so that a test passes always or never


def deviation(sample, expected, variance):
    """By how many standard errors the mean of a sample misses."""
    return abs(float(sample.mean()) - expected) / math.sqrt(variance / sample.numel())


@pytest.mark.parametrize("t", TIMES)
def test_both_are_normal_with_their_covariance(t):
    W, integral = BrownianPath(3, N, 1).with_integral(t)
    T, sign = abs(t), math.copysign(1, t)
    w, a = W / T**0.5, sign * integral / (T**3 / 3) ** 0.5
    rho = math.sqrt(3) / 2
    for x in (w, a):
        assert deviation(x, 0, 1) < LIKELY
        assert deviation(x**2, 1, 2) < LIKELY
        assert deviation(x**3, 0, 15) < LIKELY
        assert deviation(x**4, 3, 96) < LIKELY
        assert stats.kstest(x[:, 0], "norm").pvalue > 1e-3
    assert deviation(w * a, rho, 1 + rho**2) < LIKELY


@pytest.mark.parametrize(
    ("t", "h"), [(0.3, 1e-6), (0.5, 0.25), (0.123, 0.333), (0.7, 2.0**-30), (100.0, 0.01), (-0.4, 0.3), (-0.1, 0.3)]
)
def test_increments_are_independent_of_the_past(t, h):
    path = BrownianPath(5, N, 1)
    W, A = path.with_integral(t)
    W1, A1 = path.with_integral(t + h)
    w, area = (W1 - W) / h**0.5, (A1 - A - h * W) / (h**3 / 3) ** 0.5
    rho = math.sqrt(3) / 2
    assert deviation(w**2, 1, 2) < LIKELY
    assert deviation(area**2, 1, 2) < LIKELY
    assert deviation(w * area, rho, 1 + rho**2) < LIKELY
    assert stats.kstest(w[:, 0], "norm").pvalue > 1e-3
    assert stats.kstest(area[:, 0], "norm").pvalue > 1e-3
    if t > 0:
        for x in (w, area):
            for past in (W / t**0.5, A / (t**3 / 3) ** 0.5):
                assert deviation(x * past, 0, 1) < LIKELY


def test_squares_of_increments_add_up_to_the_time():
    """The quadratic variation of one path, at steps that are no powers of two."""
    path = BrownianPath(1, 1, 4)
    values = path(torch.arange(3001, dtype=torch.float64) / 3000)
    variation = values.diff(dim=0).square().sum(0)
    assert bool(((variation - 1).abs() < LIKELY * math.sqrt(2 / 3000)).all())


def test_the_integral_is_that_of_the_path():
    path = BrownianPath(1, 8, 2)
    t = torch.linspace(0.2, 0.9, 2001, dtype=torch.float64)
    values = torch.stack([BrownianPath(1, torch.tensor([i]), 2)(t) for i in range(8)], 1)
    trapezoids = torch.trapezoid(values, t, dim=0)
    integral = path.with_integral(0.9)[1] - path.with_integral(0.2)[1]
    # each step misses a normal number of variance h^3 / 12
    h = 0.7 / 2000
    torch.testing.assert_close(integral, trapezoids, rtol=0, atol=LIKELY * math.sqrt(2000 * h**3 / 12))


@pytest.mark.parametrize("elements", [1, 3, 8, 33])
@pytest.mark.parametrize("processes", [1, 5, 16])
def test_a_path_does_not_depend_on_what_else_is_asked(elements, processes, monkeypatch):
    """Not on the other elements, their times, the order of queries, other processes or memory: to the last bit."""
    t = torch.rand(elements, 1, dtype=torch.float64) * 3 - 1
    path = BrownianPath(5, elements, processes)
    together = path.with_integral(t)
    monkeypatch.setattr(brownian, "BLOCK", 6)
    again = path.with_integral(t)
    for i in range(0, elements, 3):
        alone = BrownianPath(5, torch.tensor([i]), processes + 2)
        alone(100.0)
        for a, b, c in zip(together, again, alone.with_integral(float(t[i])), strict=True):
            assert torch.equal(a[i : i + 1], c[:, :processes])
            assert torch.equal(a, b)
    rows = torch.arange(0, elements, 2)
    for a, b in zip(together, path.with_integral(t[rows], rows), strict=True):
        assert torch.equal(a[rows], b)


def test_seeds_elements_processes_and_signs_have_paths_of_their_own():
    values = torch.stack([BrownianPath(seed, 200, 200)(t) for seed in (0, 1, 2**64 - 1, -7) for t in (1.0, -1.0)])
    columns = values.reshape(8, -1)
    correlation = torch.corrcoef(columns) - torch.eye(8).double()
    assert float(correlation.abs().max()) < LIKELY / math.sqrt(columns.shape[1])
    for x in (values[0], values[0].T):  # neighbours among elements, and among processes
        assert deviation(x[1:] * x[:-1], 0, 1) < LIKELY
    assert len(values.unique()) == values.numel()


def test_starts_at_zero_and_is_continuous():
    path = BrownianPath(2, 50, 2)
    for part in path.with_integral(0.0):
        assert not part.any()
    for t in (1.0, 0.3, 2.0**-10, -0.5):
        gap = path(t + 2.0**-45) - path(t)
        assert float(gap.abs().max()) < 10 * 2.0**-21


def test_times_out_of_range_are_lost_alone():
    W = BrownianPath(2, 4, 2)(torch.tensor([[1.0], [5e6], [torch.nan], [-torch.inf]]).double())
    assert torch.isfinite(W[0]).all()
    assert torch.isnan(W[1:]).all()


@pytest.mark.parametrize(
    ("elements", "processes", "message"),
    [
        (torch.ones(2), 1, r"elements as a number.*found a torch.float32 Tensor of shape \(2,\) and 1"),
        (torch.ones(2, 1, dtype=torch.long), 1, r"found a torch.int64 Tensor of shape \(2, 1\)"),
        (2, 0, "of one process or more, found .* and 0"),
    ],
)
def test_arguments_are_checked(elements, processes, message):
    with pytest.raises(ValueError, match=message):
        BrownianPath(0, elements, processes)


def test_number_of_times_is_checked():
    with pytest.raises(ValueError, match=r"BrownianPath\.t: expected one time or 3, one an element, found 2"):
        BrownianPath(0, 3, 1)(torch.zeros(2, 1))
