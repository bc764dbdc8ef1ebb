"""Values at the times asked for, whatever the steps."""

import pytest
import torch

from opnet.solvers.ode.adjoint import Direct
from opnet.solvers.ode.control import PID
from opnet.solvers.ode.methods.explicit import RK4, Dopri5, Heun
from opnet.solvers.ode.solve import solve_ode

F64 = torch.float64
LOOPS = {"per sample": {}, "joint": {"control": PID(joint=True)}, "equal steps": {"method": RK4(), "step": 0.05}}


def f(t, y):
    return torch.cos(t) * y


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("sign", [1, -1], ids=["forward", "backward"])
@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("count", [2, 3, 200])
def test_all_in_order(loop, sign, dtype, count):
    y0 = torch.tensor([[1.0], [-2.0]], dtype=dtype)
    ts = sign * torch.linspace(0.5, 4, count, dtype=dtype)
    sol = solve_ode(f, y0, ts, rtol=1e-5, atol=1e-7, **LOOPS[loop])
    exact = y0[:, 0] * torch.exp(torch.sin(ts) - torch.sin(ts[0]))[:, None]
    assert sol.ys.dtype == dtype
    torch.testing.assert_close(sol.ys[..., 0], exact, rtol=3e-4, atol=0)
    assert sol.reached.tolist() == [float(ts[-1])] * 2


@pytest.mark.parametrize("method", [Dopri5(), RK4()], ids=repr)
@pytest.mark.parametrize("sign", [1, -1], ids=["forward", "backward"])
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_times_of_each_element_are_as_solved_alone(method, sign, dtype):
    y0 = torch.tensor([[1.0], [2.0], [3.0], [4.0]], dtype=dtype)
    ts = sign * torch.tensor([[0, 0.1, 0.2], [1, 1.5, 9], [-2, 0, 2], [5, 5.01, 8]], dtype=dtype)
    options = {} if method == Dopri5() else {"step": 0.1}
    together = solve_ode(f, y0, ts, method, **options)
    assert together.reached.tolist() == ts[:, -1].double().tolist()
    for i in range(4):
        alone = solve_ode(f, y0[i : i + 1], ts[i], method, **options)
        # equal steps are those of the longest interval
        torch.testing.assert_close(together.ys[:, i], alone.ys[:, 0], rtol=1e-4, atol=0)
        if method == Dopri5() and dtype == F64:
            assert together.steps[i] == alone.steps[0]
            assert together.rejected[i] == alone.rejected[0]


def test_times_of_each_element_need_steps_of_their_own():
    with pytest.raises(ValueError, match=r"ts: expected times of shape \(time,\) .*found \(2, 2\)"):
        solve_ode(f, torch.ones(2, 1), torch.tensor([[0.0, 1], [0, 2]]), control=PID(joint=True))


@pytest.mark.parametrize("loop", LOOPS)
def test_one_time_is_the_start(loop):
    y0 = torch.ones(2, 3)
    sol = solve_ode(f, y0, torch.zeros(1), **LOOPS[loop])
    assert torch.equal(sol.ys, y0[None])
    assert sol.steps.tolist() == [0, 0]
    assert sol.status.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("y0", "batch"),
    [(torch.ones(2), None), (torch.tensor(1.0), None), (torch.ones(3, 2), 3), (torch.ones(3, 2, 4), 3)],
)
@pytest.mark.parametrize("joint", [False, True])
def test_the_form_of_t(y0, batch, joint):
    seen = set()

    def g(t, y):
        seen.add(tuple(t.shape))
        assert t.dtype == y.dtype
        return -t * y

    solve_ode(g, y0, torch.tensor([0.0, 1.0]), control=PID(joint=joint))
    ones = (1,) * (y0.ndim - 1)
    expected = {()} if joint or batch is None else {(n, *ones) for n in (1, 2, 3)}
    assert seen <= expected


@pytest.mark.parametrize("loop", LOOPS)
def test_gradients_to_times(loop):
    """d y(t) / dt = f, d y(t) / dt0 = -f(t0) dy/dy0, as finite differences have them."""
    options = {**LOOPS[loop], "rtol": 1e-10, "atol": 1e-12}
    if loop == "equal steps":
        options["step"] = 0.07  # the same number of steps for all differences
    ts = torch.tensor([0.0, 0.4, 1.0], dtype=F64, requires_grad=True)
    y0 = torch.tensor([[1.0], [2.0]], dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda y0, ts: solve_ode(f, y0, ts, **options).ys, (y0, ts), eps=1e-5, atol=1e-5)


@pytest.mark.parametrize("loop", LOOPS)
def test_estimates_are_one_row_a_step(loop):
    y0 = torch.tensor([[1.0], [2.0], [0.0]], dtype=F64, requires_grad=True)
    options = {"method": Heun(), "rtol": 1e-3, **LOOPS[loop]}
    if loop == "equal steps":
        options["method"] = Heun(adaptive=False)
    ts = torch.tensor([0.0, 0.3, 2.0], dtype=F64)
    sol = solve_ode(f, y0, ts, adjoint=Direct(estimates=True), **options)
    estimates = sol.estimates
    assert estimates.times.shape[1] == 3
    taken = estimates.steps != 0
    assert taken.sum(0).tolist() == sol.steps.tolist()
    torch.testing.assert_close(estimates.steps.sum(0), torch.full((3,), 2.0, dtype=F64))
    for i in range(3):
        begin, h = estimates.times[taken[:, i], i], estimates.steps[taken[:, i], i]
        torch.testing.assert_close(begin[1:], (begin + h)[:-1])
    assert (estimates.error[:, :2][taken[:, :2]] > 0).all()
    assert estimates.error[:, 2].eq(0).all()
    (slope,) = torch.autograd.grad(estimates.error.sum(), y0)
    assert (slope[:2] != 0).all()
    assert slope.isfinite().all()
