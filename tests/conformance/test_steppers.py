"""Laws of every registered stepper."""

import math

import pytest
import torch

import opnet.solvers.ode.methods.explicit
import opnet.solvers.ode.methods.torchdiffeq  # noqa: F401  (register)
from opnet.core.registry import lookup, names
from opnet.solvers.ode.solve import solve_ode

# The form of each stepper that takes equal steps.
EQUAL_STEPS = {"Dopri5": {"adaptive": False}, "TorchDiffEq": {"name": "rk4"}}
STEPPERS = {name: lookup("stepper", name)(**EQUAL_STEPS.get(name, {})) for name in names("stepper")}
DEFAULTS = {name: lookup("stepper", name)() for name in names("stepper")}


def f(t, y):
    """Nonlinear and not autonomous: y' = cos(t) y^2, y = 1 / (1 / y0 - sin t)."""
    return torch.cos(t) * y**2


def pendulum(t, y):
    """Driven and damped by time: nothing cancels to make a method look better than it is."""
    return torch.stack([y[1], -4 * torch.sin(y[0]) + torch.cos(3 * t) * (1 + y[1])])


@pytest.mark.parametrize("name", STEPPERS)
@pytest.mark.parametrize("span", [(0.0, 3.0), (3.0, 0.0)], ids=["forward", "backward"])
def test_observed_order(name, span):
    stepper = STEPPERS[name]
    y0, ts = torch.tensor([0.3, 0.8], dtype=torch.float64), torch.tensor(span, dtype=torch.float64)
    fine = solve_ode(pendulum, y0, ts, STEPPERS["Dopri5"], step=1 / 300).ys[-1]
    errors = [
        float(torch.linalg.vector_norm(solve_ode(pendulum, y0, ts, stepper, step=1 / n).ys[-1] - fine))
        for n in (32, 64)
    ]
    assert errors[-1] > 1e-12  # above the rounding range
    assert abs(math.log2(errors[0] / errors[1]) - stepper.order) < 0.2, errors


@pytest.mark.parametrize("name", DEFAULTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_solves_a_batch_at_every_time_and_dtype(name, dtype):
    y0 = torch.tensor([[0.2, -0.5], [0.6, 0.1]], dtype=dtype)
    ts = torch.linspace(0, 1, 5, dtype=dtype)
    sol = solve_ode(f, y0, ts, DEFAULTS[name], step=2e-3, rtol=1e-5, atol=1e-7)
    expected = 1 / (1 / y0 - torch.sin(ts)[:, None, None])
    tolerance = {1: 3e-3, 2: 1e-5}.get(DEFAULTS[name].order, 2e-5)
    torch.testing.assert_close(sol.ys, expected, rtol=tolerance, atol=tolerance)
    assert sol.ys.dtype == dtype
    assert torch.equal(sol.ys[0], y0)
    assert sol.status.tolist() == [0, 0]
    assert sol.evaluations > 0


@pytest.mark.parametrize("name", DEFAULTS)
def test_gradient_is_that_of_the_discrete_solution(name):
    stepper = STEPPERS[name]
    ts = torch.linspace(0, 1, 3, dtype=torch.float64)

    def loss(y0, a):
        return solve_ode(lambda t, y: a * torch.sin(t + y), y0, ts, stepper, step=0.1).ys.square().sum()

    y0 = torch.tensor([0.3, 0.7], dtype=torch.float64, requires_grad=True)
    a = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(loss, (y0, a))


@pytest.mark.parametrize("name", DEFAULTS)
def test_one_time_is_the_start(name):
    y0 = torch.ones(3)
    assert torch.equal(solve_ode(f, y0, torch.zeros(1), DEFAULTS[name]).ys, y0[None])
