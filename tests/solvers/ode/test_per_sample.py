import pytest
import torch

from opnet.core.status import Status
from opnet.solvers.ode.control import PID
from opnet.solvers.ode.fields import Field
from opnet.solvers.ode.methods.explicit import BS3, Dopri5
from opnet.solvers.ode.solve import solve_ode

F64 = torch.float64
RATES = torch.tensor([[1.0], [30.0], [0.1], [5.0]], dtype=F64)
TS = torch.tensor([0.0, 1.0, 2.0], dtype=F64)


def sizes_seen(field_or_function, args=()):
    sizes = []

    def f(t, y, *rest):
        sizes.append(len(y))
        return field_or_function(t, y, *rest)

    return Field(f, args), sizes


@pytest.mark.parametrize("method", [Dopri5(), BS3()], ids=repr)
def test_each_element_is_as_solved_alone(method):
    y0 = torch.ones(4, 1, dtype=F64)
    field, sizes = sizes_seen(lambda t, y, a: -a * (y - torch.cos(t)), (RATES,))
    together = solve_ode(field, y0, TS, method)
    for i in range(4):
        alone = solve_ode(Field(lambda t, y, a: -a * (y - torch.cos(t)), (RATES[i : i + 1],)), y0[:1], TS, method)
        torch.testing.assert_close(together.ys[:, i], alone.ys[:, 0], rtol=1e-9, atol=1e-11)
        assert together.steps[i] == alone.steps[0]
        assert together.rejected[i] == alone.rejected[0]
    assert len(set(together.steps.tolist())) > 2
    assert sizes[-1] == 1  # the slowest alone at the end


def test_values_closed_over_keep_all_elements_in():
    def f(t, y):
        return -RATES * (y - torch.cos(t))

    field, sizes = sizes_seen(f)
    y0 = torch.ones(4, 1, dtype=F64)
    closed = solve_ode(field, y0, TS)
    with_args = solve_ode(Field(lambda t, y, a: -a * (y - torch.cos(t)), (RATES,)), y0, TS)
    assert set(sizes) <= {1, 4}
    assert sizes[-1] == 4
    torch.testing.assert_close(closed.ys, with_args.ys, rtol=1e-12, atol=1e-12)
    assert torch.equal(closed.steps, with_args.steps)


@pytest.mark.parametrize("coupling", [lambda y: y.mean(), lambda y: y.roll(1, 0), torch.rand_like])
def test_elements_that_depend_on_each_other_are_refused(coupling):
    def f(t, y):
        return coupling(y) - y

    with pytest.raises(ValueError, match=r"for a coupled state give control=PID\(joint=True\), or a leading dimension"):
        solve_ode(f, torch.rand(4, 2, dtype=F64), TS)


def test_a_coupled_batch_under_joint_control():
    def f(t, y):
        return y.mean() - y

    y0 = torch.rand(4, 2, dtype=F64)
    exact = y0.mean() + (y0 - y0.mean()) * torch.exp(-TS)[:, None, None]
    for start, control in ((y0, PID(joint=True)), (y0[None], PID())):
        sol = solve_ode(f, start, TS, control=control, rtol=1e-8, atol=1e-10)
        torch.testing.assert_close(sol.ys.reshape(exact.shape), exact, rtol=1e-6, atol=1e-7)


def test_the_step_limit_is_each_elements_own():
    y0 = torch.ones(4, 1, dtype=F64)
    field = Field(lambda t, y, a: -a * (y - torch.cos(t)), (RATES,))
    free = solve_ode(field, y0, TS)
    limit = int((free.steps + free.rejected).median())
    sol = solve_ode(field, y0, TS, max_steps=limit, throw=False)
    fits = free.steps + free.rejected <= limit
    assert 0 < int(fits.sum()) < 4
    assert [Status(int(s)) for s in sol.status] == [Status.CONVERGED if x else Status.MAX_STEPS for x in fits]
    assert torch.equal(sol.reached == 2, fits)
    assert ((sol.steps + sol.rejected)[~fits] == limit).all()
    assert (sol.reached[~fits] > 0).all()
    torch.testing.assert_close(sol.ys[:, fits], free.ys[:, fits])
    assert sol.ys[-1, ~fits].isnan().all()


def test_gradients_of_elements_that_end_at_different_times():
    a, y0 = RATES.clone().requires_grad_(), torch.full((4, 1), 0.5, dtype=F64, requires_grad=True)
    ts = torch.tensor([[0, 1.0], [0, 0.1], [1, 9], [2, 3]], dtype=F64)

    def final(y0, a):
        return solve_ode(Field(lambda t, y, a: -a * y**2, (a,)), y0, ts, rtol=1e-10, atol=1e-12).ys[-1]

    assert torch.autograd.gradcheck(final, (y0, a), eps=1e-5, atol=1e-6)
