import pytest
import torch

from opnet.solvers.ode.fields import Field
from opnet.solvers.ode.methods.dop853 import DOP853, ERROR3
from opnet.solvers.ode.problem import Problem

DECAY = torch.tensor([[1.0], [3.0]], dtype=torch.float64)


def step_of(h, f=lambda t, y: -DECAY * y, y0=None):
    y0 = torch.ones(2, 3, dtype=torch.float64) if y0 is None else y0
    problem = Problem(Field(f), y0, joint=True, rtol=1e-5, atol=1e-7, keep=False, estimates=False)
    return problem, DOP853().step(problem, 0.0, y0, h, DOP853().start(problem, 0.0, y0, problem.f(0.0, y0)))


def test_error_estimate_is_of_order_8():
    errors = torch.stack([step_of(h)[1].error.abs()[:, 0] for h in (0.2, 0.1)])
    slopes = torch.log2(errors[0] / errors[1])
    assert slopes.sub(8).abs().max() < 0.5, slopes


def test_error_estimate_is_zero_where_nothing_happens():
    _, step = step_of(0.1, lambda t, y: 0 * y)
    assert step.error.eq(0).all()


def test_error_estimate_counts_the_entries_that_the_norm_counts():
    y0 = torch.ones(2, 3, dtype=torch.float64)

    def f(t, y):
        return torch.cat([-y[:, :1], -9 * y[:, 1:]], 1)

    problem, whole = step_of(0.1, f, y0)
    problem.seminorm = 1
    first = DOP853().step(problem, 0.0, y0, 0.1, (problem.f(0.0, y0),)).error
    _, alone = step_of(0.1, lambda t, y: -y, y0[:, :1])
    torch.testing.assert_close(first[:, :1], alone.error, rtol=1e-8, atol=0)
    assert not torch.allclose(whole.error[:, :1], alone.error, rtol=0.1, atol=0)


def test_extension_is_of_order_7_locally_8():
    errors = []
    for h in (0.4, 0.2):
        _, step = step_of(h)
        exact = torch.exp(-DECAY * 0.37 * h)
        errors.append((step.interpolant()(0.37, None) - exact).abs()[1, 0])
    assert torch.log2(errors[0] / errors[1]) == pytest.approx(8, abs=0.4)


def test_third_order_error_weights_need_no_slope_at_the_end():
    assert ERROR3[-1] == 0
    assert DOP853().tableau.error[-1] == 0
