"""Problems that must fail: every method says so, typed, with a time and the element, and never takes long."""

import pytest
import torch

from opnet.core.errors import SolveError
from opnet.core.status import Status
from opnet.solvers.ode.methods.explicit import RK4, Dopri5, Euler, Midpoint
from opnet.solvers.ode.solve import solve_ode
from opnet.solvers.ode.methods.torchdiffeq import TorchDiffEq

nan, inf = float("nan"), float("inf")


def after(value):
    return lambda t, y: torch.where(t > 0.5, torch.full_like(y, value), -y)


# name: f, y0, (start, end), the least and the latest time that may be reported
PROBLEMS = {
    "blow-up": (lambda t, y: y**2, 1.0, (0, 2), 0.0, 1.7),
    "rhs NaN after t = 0.5": (after(nan), 1.0, (0, 1), 0.4, 0.52),
    "rhs Inf after t = 0.5": (after(inf), 1.0, (0, 1), 0.4, 0.52),
    "NaN at t0": (lambda t, y: torch.where(t <= 0, torch.full_like(y, nan), -y), 1.0, (0, 1), 0, 0),
    "NaN y0": (lambda t, y: -y, nan, (0, 1), 0, 0),
    "Inf y0": (lambda t, y: -y, inf, (0, 1), 0, 0),
    "square root of a negative": (lambda t, y: -1 - torch.sqrt(y), 1.0, (0, 2), 0.5, 0.7),
    "pole": (lambda t, y: 1 / (t - 0.5) + 0 * y, 1.0, (0, 1), 0.4, 0.52),
    "step below float spacing": (lambda t, y: -y, 1.0, (1e17, 1e17 + 64), 1e17, 1e17 + 64),
    "overflow of exp": (lambda t, y: torch.exp(y), 1.0, (0, 1), 0.3, 0.8),
}
METHODS = [Euler(), Midpoint(), RK4(), Dopri5(adaptive=False), Dopri5(), TorchDiffEq(), TorchDiffEq("rk4")]


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_fails_typed(problem, method, dtype):
    f, start, span, least, latest = PROBLEMS[problem]
    # Steps of 1/64 meet t = 0.5; equal steps can only see what they evaluate.
    ts = torch.linspace(*span, 5, dtype=torch.float64)
    y0 = torch.full((2,), start, dtype=dtype)
    adaptive = method in (Dopri5(), TorchDiffEq())
    with pytest.raises(SolveError) as caught:
        solve_ode(f, y0, ts, method, step=None if adaptive else 1 / 64)
    failure = caught.value
    assert failure.status in (Status.NON_FINITE, Status.STEP_UNDERFLOW)
    assert failure.index == 0
    if isinstance(method, TorchDiffEq):  # knows the time to the interval of ts
        assert span[0] <= failure.time <= max(span[0] + 0.75 * (span[1] - span[0]), latest)
    else:
        assert least <= failure.time <= latest + 1e-3


# torchdiffeq's adaptive methods fail as a whole batch.
@pytest.mark.parametrize("method", [m for m in METHODS if m != TorchDiffEq()], ids=repr)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("kind", ["start", "middle", "blow-up"])
def test_a_bad_element_is_named_and_the_others_are_unharmed(method, dtype, kind):
    y0 = torch.tensor([[1.0], [2.0], [3.0]], dtype=dtype)
    if kind == "start":
        y0[1] = nan

    def f(t, y):
        bad = {"start": -y, "middle": torch.where(t > 0.5, torch.full_like(y, nan), -y), "blow-up": y**2}[kind]
        return torch.where(torch.arange(3)[:, None] == 1, bad, -y)

    ts = torch.linspace(0, 1, 9, dtype=torch.float64)
    sol = solve_ode(f, y0, ts, method, step=None if method == Dopri5() else 1 / 128, throw=False)
    assert [bool(s) for s in sol.status] == [False, True, False]
    assert sol.reached[0] == sol.reached[2] == 1
    assert sol.reached[1] <= 0.7
    exact = y0[[0, 2]] * torch.exp(-ts.to(dtype))[:, None, None]
    torch.testing.assert_close(sol.ys[:, [0, 2]], exact, rtol=8e-3 if method == Euler() else 2e-5, atol=0)
    assert not torch.isfinite(sol.ys[-1, 1]).any()
    with pytest.raises(SolveError, match="batch element 1 of 3"):
        solve_ode(f, y0, ts, method, step=None if method == Dopri5() else 1 / 128)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_stiff_problem_is_solved_or_refused_never_wrong(dtype):
    def f(t, y):
        return -1e6 * (y - torch.cos(t))

    y0 = torch.zeros(1, dtype=dtype)
    for method in METHODS:
        adaptive = method in (Dopri5(), TorchDiffEq())
        ts = torch.tensor([0.0, 0.002 if adaptive else 0.05], dtype=torch.float64)
        sol = solve_ode(f, y0, ts, method, step=None if adaptive else 1e-4, throw=False)
        assert (int(sol.status) == 0) == adaptive, method
        if adaptive:
            assert abs(float(sol.ys[-1]) - 1) < 1e-3, method
    short = solve_ode(f, y0, torch.tensor([0.0, 1.0]), max_steps=500, throw=False)
    assert Status(int(short.status)) is Status.MAX_STEPS
    assert 0 < float(short.reached) < 1
