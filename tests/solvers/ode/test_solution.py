import pytest
import torch

from opnet.solvers.ode.control import PID
from opnet.solvers.ode.events import Event
from opnet.solvers.ode.fields import Field
from opnet.solvers.ode.methods.dop853 import DOP853
from opnet.solvers.ode.methods.explicit import BS3, RK4, Tsit5
from opnet.solvers.ode.solve import solve_ode

F64 = torch.float64
METHODS = [(Tsit5(), None), (BS3(), None), (DOP853(), None), (RK4(), 0.02), (Tsit5(adaptive=False), 0.05)]
RATES = torch.tensor([[1.0], [2.0], [3.0]], dtype=F64)


def decay(sign):
    """y' = -a cos(t) y forward, and the mirror image backward."""
    return Field(lambda t, y, a: -a * sign * torch.cos(t) * y, (RATES,))


def exact(start, t, sign):
    return torch.exp(-RATES * sign * (torch.sin(t) - torch.sin(start)))


@pytest.mark.parametrize(("method", "step"), METHODS, ids=lambda x: repr(x))
@pytest.mark.parametrize("sign", [1, -1], ids=["forward", "backward"])
@pytest.mark.parametrize("own", [False, True])
def test_between_the_times_asked_for(method, step, sign, own):
    ts = sign * torch.tensor([[0.0, 1.0], [0.0, 2.0], [0.5, 3.0]] if own else [0.0, 1.0, 2.0], dtype=F64)
    y0 = torch.ones(3, 1, dtype=F64)
    sol = solve_ode(decay(sign), y0, ts, method, step=step, rtol=1e-7, atol=1e-9, dense=True)
    limits = ts[:, [0, -1]] if own else ts[[0, -1]].expand(3, 2)
    at = limits[:, :1] + (limits[:, 1:] - limits[:, :1]) * torch.linspace(0, 1, 9, dtype=F64)
    values = sol.dense(at)
    assert values.shape == (9, 3, 1)
    torch.testing.assert_close(values[..., 0].T, exact(limits[:, :1], at, sign), rtol=3e-6, atol=3e-6)
    assert torch.equal(values[0], y0)
    torch.testing.assert_close(values[-1], sol.ys[-1], rtol=1e-13, atol=1e-13)
    shared = sign * torch.tensor([0.9, 0.6, 0.75], dtype=F64)  # in any order
    torch.testing.assert_close(sol.dense(shared), sol.dense(shared.expand(3, 3)))
    torch.testing.assert_close(sol.dense(float(shared[1])), sol.dense(shared)[1])


def test_where_the_times_asked_for_are_it_is_the_solution():
    ts = torch.linspace(0, 2, 7, dtype=F64)
    for control in (PID(), PID(joint=True)):
        sol = solve_ode(decay(1), torch.ones(3, 1, dtype=F64), ts, dense=True, control=control)
        torch.testing.assert_close(sol.dense(ts), sol.ys, rtol=1e-13, atol=1e-13)


def test_nan_beyond_what_was_reached():
    y0 = torch.tensor([[1.0], [0.1], [-1.0]], dtype=F64)
    ts = torch.tensor([0.0, 2.0], dtype=F64)
    event = Event(lambda t, y: y[:, 0] - 0.11)
    for control in (PID(), PID(joint=True)):
        sol = solve_ode(lambda t, y: y**2, y0, ts, dense=True, events=(event,), control=control, throw=False)
        assert [bool(s) for s in sol.status] == [True, False, False]
        assert 0.9 < sol.reached[0] <= 1.0001  # 1 / (1 - t)
        stop = 10 - 1 / 0.11
        values = sol.dense(torch.tensor([0.5, stop - 1e-4, stop + 1e-4, 1.5], dtype=F64))[..., 0]
        assert values.isfinite().tolist() == [[True] * 3, [True] * 3, [True, False, True], [False, False, True]]
        torch.testing.assert_close(values[0], 1 / (1 / y0[:, 0] - 0.5), rtol=1e-4, atol=0)
        assert sol.dense(2.0).isfinite().tolist() == [[False], [False], [True]]


def test_forms_of_state():
    y0 = (torch.ones(2, 3, dtype=F64), torch.zeros(2, dtype=F64))
    sol = solve_ode(lambda t, y: (-y[0], y[0][:, 0]), y0, torch.tensor([0.0, 1.0], dtype=F64), dense=True)
    a, b = sol.dense(torch.tensor([0.25, 0.5], dtype=F64))
    assert a.shape == (2, 2, 3)
    assert b.shape == (2, 2)
    assert sol.dense(0.5)[1].shape == (2,)
    torch.testing.assert_close(b[:, 0], 1 - torch.exp(torch.tensor([-0.25, -0.5], dtype=F64)), rtol=1e-4, atol=1e-5)
    scalar = solve_ode(lambda t, y: -y, torch.tensor(1.0), torch.tensor([0.0, 1.0]), dense=True)
    assert scalar.dense(0.5).shape == ()
    assert scalar.dense(0.5).dtype == torch.float32
    assert scalar.dense(torch.tensor([0.5, 0.6])).shape == (2,)
    assert scalar.dense(torch.tensor([0.5])).shape == (1,)


@pytest.mark.parametrize("method", [pytest.param(Tsit5(), marks=pytest.mark.slow), DOP853(), RK4()], ids=repr)
def test_gradients(method):
    """To y0, args, ts and the times it is called with, the very start included."""
    ts, at = torch.tensor([0.1, 1.0], dtype=F64), torch.tensor([0.1, 0.35, 0.8], dtype=F64)
    y0, a = torch.tensor([[0.7], [0.4]], dtype=F64), torch.tensor([[1.2], [0.3]], dtype=F64)

    def values(y0, a, ts, at):
        field = Field(lambda t, y, a: -a * y**2 + torch.cos(t), (a,))
        sol = solve_ode(field, y0, torch.cat([at[:1], ts[1:]]), method, step=0.07, rtol=1e-11, atol=1e-13, dense=True)
        return sol.dense(at)

    inputs = tuple(x.requires_grad_() for x in (y0, a, ts, at))
    assert torch.autograd.gradcheck(values, inputs, eps=1e-5, atol=2e-5, rtol=1e-5)


def test_slope_at_the_start():
    at = torch.zeros(1, dtype=F64).requires_grad_()
    sol = solve_ode(lambda t, y: -3 * y, torch.ones(1, dtype=F64), torch.tensor([0.0, 1.0], dtype=F64), dense=True)
    (slope,) = torch.autograd.grad(sol.dense(at).sum(), at)
    torch.testing.assert_close(slope, torch.tensor([-3.0], dtype=F64))


def test_no_interval():
    sol = solve_ode(lambda t, y: -y, torch.ones(2, 1), torch.zeros(1), dense=True)
    assert torch.equal(sol.dense(0.0), torch.ones(2, 1))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("time", [1.5, -0.1, float("nan")])
def test_times_outside_are_refused(sign, time):
    sol = solve_ode(decay(sign), torch.ones(3, 1, dtype=F64), sign * torch.tensor([0.0, 1.0], dtype=F64), dense=True)
    limits = ("0", "1") if sign > 0 else ("-1", "0")
    with pytest.raises(ValueError, match=rf"dense: expected times between {limits[0]} and {limits[1]}, found"):
        sol.dense(torch.tensor([0.5 * sign, time * sign], dtype=F64))
    with pytest.raises(ValueError, match=r"of shape \(time,\) or \(3, time\), found \(2, 1\)"):
        sol.dense(torch.zeros(2, 1))


def test_kept_only_where_asked_for():
    sol = solve_ode(decay(1), torch.ones(3, 1, dtype=F64), torch.tensor([0.0, 1.0], dtype=F64))
    assert sol.dense is None
    assert sol.estimates is None
    assert sol.events == ()
