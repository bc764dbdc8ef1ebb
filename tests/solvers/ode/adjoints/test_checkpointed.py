"""The gradients of `Direct`, in less memory."""

from math import log2

import pytest
import torch
from torch.utils.weak import WeakIdKeyDictionary

from opnet.solvers.ode.adjoint import Direct
from opnet.solvers.ode.adjoints.checkpointed import Checkpointed
from opnet.solvers.ode.adjoints.replay import Replay
from opnet.solvers.ode.adjoints.tape import Tape
from opnet.solvers.ode.control import PID
from opnet.solvers.ode.fields import SDE, Field, Separable, Split
from opnet.solvers.ode.methods.dop853 import DOP853
from opnet.solvers.ode.methods.esdirk import Kvaerno3, Kvaerno5
from opnet.solvers.ode.methods.explicit import RK4, Dopri5, Tsit5
from opnet.solvers.ode.methods.imex import ARK4
from opnet.solvers.ode.methods.rosenbrock import Rodas5P
from opnet.solvers.ode.methods.stochastic import SRIW1
from opnet.solvers.ode.methods.symplectic import Leapfrog
from opnet.solvers.ode.solve import solve_ode


class Case:
    """Everything that gradients can go to; `log_scale` is used as it is and by what was made of it."""

    def __init__(self, own_times=False):
        torch.manual_seed(0)
        self.net = torch.nn.Sequential(torch.nn.Linear(3, 6), torch.nn.Tanh(), torch.nn.Linear(6, 3)).double()
        self.y0 = torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(4, 3).requires_grad_()
        ts = torch.linspace(0.1, 2, 5, dtype=torch.float64)
        self.ts = (ts * torch.tensor([[1.0], [1.2], [0.7], [1.5]]) if own_times else ts).detach().requires_grad_()
        self.speed = torch.tensor([[1.0], [3.0], [9.0], [0.3]], dtype=torch.float64, requires_grad=True)
        self.log_scale = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
        self.late = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)

    def f(self):
        scale = self.log_scale.exp()

        def f(t, y, speed):
            slope = self.net(y) * scale + torch.sin(speed * t) * self.log_scale
            return slope + self.late * torch.relu(t - 1) ** 4 * y if bool((t > 1).any()) else slope

        return f

    def gradients(self, method, adjoint, form=Field, times=True, **options):
        field = form(self.f(), (self.speed,))
        ts = self.ts if times else self.ts.detach()
        solution = solve_ode(field, self.y0, ts, method, adjoint=adjoint, **options)
        weights = torch.cos(torch.arange(solution.ys.numel())).reshape(solution.ys.shape)
        inputs = [self.y0, self.speed, self.log_scale, self.late, *self.net.parameters(), *([ts] if times else [])]
        return torch.autograd.grad((weights * solution.ys**2).sum(), inputs), solution


def error(found, expected):
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(found, expected, strict=True))


JOINT = {"control": PID(joint=True)}
SLOW = pytest.mark.slow


@pytest.mark.parametrize("memory", [pytest.param(1, marks=SLOW), 3, None, pytest.param(1000, marks=SLOW)])
@pytest.mark.parametrize(
    ("method", "own_times", "options"),
    [
        (Dopri5(), False, {}),
        (Tsit5(), True, {}),
        pytest.param(DOP853(), False, JOINT, marks=SLOW),
        (RK4(), False, {"step": 0.1}),
        (RK4(), True, {"step": 0.1}),
        pytest.param(Kvaerno3(), False, {"rtol": 1e-3}, marks=SLOW),
        (Rodas5P(), True, {}),
        pytest.param(Kvaerno5(), False, JOINT, marks=SLOW),
    ],
)
def test_equals_direct(method, own_times, options, memory):
    case = Case(own_times)
    expected, solution = case.gradients(method, Direct(), **options)
    found, again = case.gradients(method, Checkpointed(memory), **options)
    assert torch.equal(solution.steps, again.steps)
    assert torch.allclose(solution.ys, again.ys, rtol=1e-12)
    assert error(found, expected) < 1e-12


def split(f, args):
    return Split(lambda t, y, *a: f(t, y, *a) + y, lambda t, y, *a: -y, args)


def stochastic(f, args):
    return SDE(f, lambda t, y, *a: 0.1 * torch.tanh(y * a[0]), args, seed=3)


@SLOW
@pytest.mark.parametrize(
    ("method", "form", "options"),
    [
        (ARK4(), split, {}),
        (ARK4(), split, JOINT),
        (SRIW1(), stochastic, {"rtol": 1e-2, "times": False}),
    ],
)
def test_equals_direct_for_methods_of_other_forms(method, form, options):
    case = Case()
    expected, _ = case.gradients(method, Direct(), form, **options)
    found, _ = case.gradients(method, Checkpointed(4), form, **options)
    assert error(found, expected) < 1e-12


def test_equals_direct_for_states_of_other_forms():
    stiffness = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    field = Separable(lambda t, p: p, lambda t, q: -stiffness * torch.sin(q))
    start = [torch.tensor([0.5, 1.0], dtype=torch.float64, requires_grad=True) for _ in range(2)]
    ts = torch.tensor([0.0, 1.0, 3.0], dtype=torch.float64, requires_grad=True)

    def gradients(adjoint):
        q, p = solve_ode(field, tuple(start), ts, Leapfrog(), step=0.1, adjoint=adjoint).ys
        return torch.autograd.grad((q**2 + p).sum(), [*start, ts, stiffness])

    assert error(gradients(Checkpointed()), gradients(Direct())) < 1e-12


@SLOW
def test_an_element_that_fails_spoils_no_gradient():
    scale = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    y0 = torch.tensor([[0.5, 1.0], [1.0, 2.0], [0.2, 0.3]], dtype=torch.float64, requires_grad=True)
    grows = torch.tensor([[0.0], [4.0], [0.0]], dtype=torch.float64)

    def f(t, y, grows):
        return torch.where(y > 20, torch.nan, scale * (grows * y**2 - torch.cos(t) * y) + torch.sqrt(scale) * y)

    def gradients(adjoint, method, **options):
        ts = torch.linspace(0, 2, 5, dtype=torch.float64)
        solution = solve_ode(Field(f, (grows,)), y0, ts, method, adjoint=adjoint, throw=False, **options)
        assert solution.status.ne(0).tolist() == [False, True, False]
        return torch.autograd.grad(solution.ys.nan_to_num().sum(), [y0, scale])

    for method, options in ((Dopri5(), {}), (Dopri5(), JOINT), (RK4(), {"step": 0.05})):
        assert error(gradients(Checkpointed(3), method, **options), gradients(Direct(), method, **options)) < 1e-12


def test_gradients_can_be_asked_for_twice_and_not_of_gradients():
    case = Case()
    ys = solve_ode(Field(case.f(), (case.speed,)), case.y0, case.ts, adjoint=Checkpointed()).ys
    first = torch.autograd.grad(ys.sum(), case.late, retain_graph=True)
    assert torch.equal(first[0], torch.autograd.grad(ys.sum(), case.late, retain_graph=True)[0])
    with pytest.raises(RuntimeError, match=r"expected first derivatives with adjoint=Checkpointed\(...\)"):
        torch.autograd.grad((ys**2).sum(), case.late, create_graph=True)


@pytest.mark.parametrize("memory", [3, 8, None])
def test_memory_and_work_are_what_they_are_said_to_be(memory, monkeypatch):
    steps, calls, most, alive = 256, 0, 0, WeakIdKeyDictionary()

    def counted(method, states):
        def counting(self, *arguments):
            nonlocal most
            result = method(self, *arguments)
            alive.update({state.y: None for state in states(self, result)})
            most = max(most, len(alive))
            return result

        return counting

    monkeypatch.setattr(Tape, "add", counted(Tape.add, lambda tape, _: tape.states.values()))
    monkeypatch.setattr(Replay, "_advance", counted(Replay._advance, lambda _, state: [state]))
    matrix = torch.eye(3, dtype=torch.float64, requires_grad=True)

    def f(t, y):
        nonlocal calls
        calls += 1
        return -y @ matrix

    ts = torch.tensor([0.0, 1.0], dtype=torch.float64)
    y0 = torch.ones(1, 3, dtype=torch.float64)
    solve_ode(f, y0, ts, RK4(), step=1 / steps, adjoint=Checkpointed(memory)).ys.sum().backward()
    kept = memory or 2 * (log2(steps) + 1) + 2
    assert kept / 2 <= most <= kept + 1  # with the one that is differentiated
    assert 2 <= calls / (4 * steps) < {3: 12, 8: 6, None: 4.5}[memory]  # in forward solves
    assert torch.isfinite(matrix.grad).all()


def test_what_has_no_gradients_here_is_refused():
    y0, ts = torch.ones(2, 1, requires_grad=True), torch.tensor([0.0, 1.0])
    with pytest.raises(ValueError, match=r"dense: expected adjoint=Direct\(\).*found Checkpointed"):
        solve_ode(lambda t, y: -y, y0, ts, adjoint=Checkpointed(), dense=True)
    with pytest.raises(ValueError, match="nothing random"):
        solve_ode(lambda t, y: torch.nn.functional.dropout(y, 0.5), y0.expand(2, 99), ts, RK4(), adjoint=Checkpointed())
    with pytest.raises(ValueError, match=r"Checkpointed.memory: expected at least 1, found 0"):
        Checkpointed(0)


def test_costs_nothing_where_no_gradient_is_wanted():
    y0, ts = torch.ones(2, 1, requires_grad=True), torch.tensor([0.0, 1.0])
    with torch.no_grad():
        assert not solve_ode(lambda t, y: -y, y0, ts, adjoint=Checkpointed()).ys.requires_grad
    assert not solve_ode(lambda t, y: -y, y0.detach(), ts, adjoint=Checkpointed()).ys.requires_grad
