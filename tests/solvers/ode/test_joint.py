import pytest
import torch

from opnet.core.status import Status
from opnet.solvers.ode.control import PID
from opnet.solvers.ode.methods.explicit import RK4, Dopri5, Euler, Heun
from opnet.solvers.ode.solve import solve_ode

F64 = torch.float64


def f(t, y):
    return torch.cos(t) * y


@pytest.mark.parametrize(
    ("ts", "step", "steps"),
    [
        ([0, 1], None, 1),
        ([0, 1, 3], None, 2),
        ([0, 1], 0.25, 4),
        ([0, 1], 0.3, 4),
        ([0, 1, 1.1], 0.5, 3),
        ([1, 0], 0.5, 2),
    ],
)
@pytest.mark.parametrize("joint", [False, True])
def test_equal_steps_none_longer_than_asked_for(ts, step, steps, joint):
    times = torch.tensor(ts, dtype=F64)
    sol = solve_ode(f, torch.ones(2, 1, dtype=F64), times, Euler(), step=step, control=PID(joint=joint))
    assert sol.steps.tolist() == [steps] * 2
    assert sol.rejected.tolist() == [0, 0]
    assert sol.reached.tolist() == [ts[-1]] * 2


def test_equal_steps_are_counted_to_the_limit():
    ts = torch.tensor([0.0, 1.0, 2.0], dtype=F64)
    sol = solve_ode(f, torch.ones(2, 1, dtype=F64), ts, RK4(), step=0.1, max_steps=15, throw=False)
    assert [Status(int(s)) for s in sol.status] == [Status.MAX_STEPS] * 2
    torch.testing.assert_close(sol.reached, torch.full((2,), 1.5, dtype=F64))
    assert sol.ys[1].isfinite().all()
    assert sol.ys[2].isnan().all()


def test_one_step_for_the_batch():
    rates = torch.tensor([[1.0], [20.0]], dtype=F64)
    ts = torch.tensor([0.0, 2.0], dtype=F64)
    joint = solve_ode(lambda t, y: -rates * y, torch.ones(2, 1, dtype=F64), ts, control=PID(joint=True))
    assert joint.steps[0] == joint.steps[1]
    exact = torch.exp(-rates * 2)
    torch.testing.assert_close(joint.ys[-1], exact, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", [Dopri5(), Heun()], ids=repr)
def test_one_element_is_the_same_in_both_loops(method):
    """A batch of one and a batch of two equal ones, each with its own step."""
    ts = torch.tensor([0.0, 0.7, 3.0], dtype=F64)
    one = solve_ode(f, torch.ones(1, 1, dtype=F64), ts, method)
    two = solve_ode(f, torch.ones(2, 1, dtype=F64), ts, method)
    torch.testing.assert_close(one.ys.expand(3, 2, 1), two.ys, rtol=1e-12, atol=1e-12)
    assert one.steps.expand(2).tolist() == two.steps.tolist()
    assert one.rejected.expand(2).tolist() == two.rejected.tolist()


def test_rejected_steps_are_counted():
    sol = solve_ode(f, torch.ones(1, 1, dtype=F64), torch.tensor([0.0, 3.0], dtype=F64), step=3.0, rtol=1e-8)
    assert sol.rejected.item() > 0
    assert sol.evaluations >= 6 * (int(sol.steps) + int(sol.rejected))
