"""Gradients by the adjoint equation against those of the steps, at tight tolerances."""

import pytest
import torch

from opnet.core.errors import SolveError
from opnet.core.status import Status
from opnet.solvers.ode.adjoint import Direct
from opnet.solvers.ode.adjoints.backsolve import Backsolve
from opnet.solvers.ode.adjoints.interpolated import Interpolated
from opnet.solvers.ode.control import PID
from opnet.solvers.ode.fields import SDE, Field, Split
from opnet.solvers.ode.methods.esdirk import Kvaerno3
from opnet.solvers.ode.methods.explicit import RK4, Dopri5, Tsit5
from opnet.solvers.ode.methods.imex import ARK4
from opnet.solvers.ode.methods.rosenbrock import Rodas5P
from opnet.solvers.ode.methods.stochastic import EulerMaruyama
from opnet.solvers.ode.solve import solve_ode

ADJOINTS = [Backsolve(), Interpolated(), Backsolve(seminorm=False), Interpolated(rtol=1e-9, atol=1e-11)]


def case(own_times=False):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(2, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2)).double()
    log_scale = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    scale = log_scale.exp()
    speed = torch.tensor([[1.0], [3.0], [0.3]], dtype=torch.float64, requires_grad=True)
    y0 = torch.linspace(-1, 1, 6, dtype=torch.float64).reshape(3, 2).requires_grad_()
    ts = torch.tensor([0.1, 0.7, 1.5], dtype=torch.float64)
    ts = (ts * torch.tensor([[1.0], [1.2], [0.7]]) if own_times else ts).detach().requires_grad_()

    def f(t, y, speed):
        return net(y) * scale + torch.sin(speed * t) * log_scale

    return f, speed, y0, ts, [log_scale, *net.parameters()]


def gradients(method, adjoint, own_times=False, form=Field, **options):
    f, speed, y0, ts, parameters = case(own_times)
    ys = solve_ode(form(f, (speed,)), y0, ts, method, adjoint=adjoint, rtol=1e-8, atol=1e-10, **options).ys
    weights = torch.cos(torch.arange(ys.numel())).reshape(ys.shape)
    return torch.autograd.grad((weights * ys**2).sum(), [y0, ts, speed, *parameters])


def error(found, expected):
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("adjoint", ADJOINTS, ids=str)
@pytest.mark.parametrize(
    ("method", "own_times", "options"),
    [
        (Dopri5(), False, {}),
        pytest.param(Tsit5(), True, {}, marks=pytest.mark.slow),
        pytest.param(Dopri5(), False, {"control": PID(joint=True)}, marks=pytest.mark.slow),
        pytest.param(RK4(), False, {"step": 0.02}, marks=pytest.mark.slow),
        (RK4(), True, {"step": 0.02}),
        pytest.param(Rodas5P(), False, {}, marks=pytest.mark.slow),
    ],
)
def test_equals_direct_at_tight_tolerance(method, own_times, options, adjoint):
    expected = gradients(method, Direct(), own_times, **options)
    assert error(gradients(method, adjoint, own_times, **options), expected) < 2e-5


def split(f, args):
    return Split(lambda t, y, *a: f(t, y, *a) + y, lambda t, y, *a: -y, args)


@pytest.mark.slow
def test_another_method_may_go_backward():
    expected = gradients(ARK4(), Direct(), form=split)
    assert error(gradients(ARK4(), Backsolve(method=Dopri5()), form=split), expected) < 2e-5


@pytest.mark.parametrize("kind", [Backsolve, Interpolated])
def test_the_seminorm_saves_steps(kind):
    """y and a are smooth, and the integrand of the gradient oscillates."""
    push = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
    calls = 0

    def f(t, y):
        nonlocal calls
        calls += 1
        return -y + push * torch.sin(20 * t)

    def calls_backward(adjoint):
        nonlocal calls
        ts = torch.tensor([0.0, 3.0], dtype=torch.float64)
        ys = solve_ode(f, torch.ones(1, 1, dtype=torch.float64), ts, adjoint=adjoint, rtol=1e-6, atol=1e-6).ys
        calls = 0
        ys[-1].sum().backward()
        return calls

    assert calls_backward(kind()) < 0.7 * calls_backward(kind(seminorm=False))


@pytest.mark.parametrize("adjoint", [Backsolve(), Interpolated()], ids=str)
def test_an_element_that_fails_spoils_no_gradient(adjoint):
    scale = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    y0 = torch.tensor([[0.5, 1.0], [1.0, 2.0], [0.2, 0.3]], dtype=torch.float64, requires_grad=True)
    grows = torch.tensor([[0.0], [4.0], [0.0]], dtype=torch.float64, requires_grad=True)

    def f(t, y, grows):
        return torch.where(y > 20, torch.nan, scale * (grows * y**2 - torch.cos(t) * y) + torch.sqrt(scale) * y)

    def found(adjoint, control=None):
        ts = torch.linspace(0, 2, 5, dtype=torch.float64, requires_grad=True)
        field, options = Field(f, (grows,)), {"rtol": 1e-8, "atol": 1e-10, "control": control}
        solution = solve_ode(field, y0, ts, adjoint=adjoint, throw=False, **options)
        assert solution.status.ne(0).tolist() == [False, True, False]
        return torch.autograd.grad(solution.ys.nan_to_num().sum(), [y0, scale, grows])

    assert error(found(adjoint), found(Direct())) < 1e-5
    with pytest.raises(SolveError, match="part of the common state"):
        found(adjoint, PID(joint=True))


def test_a_backward_solve_that_fails_says_so():
    """y' = -y^3 explodes backward in time from what the forward solve left of y, unless its past is known."""
    y0 = torch.tensor([[1e6]], dtype=torch.float64, requires_grad=True)
    ts = torch.tensor([0.0, 1.0], dtype=torch.float64)

    def loss(adjoint):
        return solve_ode(lambda t, y: -(y**3), y0, ts, adjoint=adjoint, rtol=1e-6, atol=1e-9).ys[-1].sum()

    with pytest.raises(SolveError, match=r"backward solve of Backsolve: .* \(between t = 0 and t = 1\)") as caught:
        loss(Backsolve()).backward()
    assert not Status(caught.value.status).ok
    (slope,) = torch.autograd.grad(loss(Interpolated()), y0)
    assert slope.isfinite().all()


def test_what_makes_no_sense_is_refused():
    y0, ts = torch.ones(2, 1, requires_grad=True), torch.tensor([0.0, 1.0])

    def f(t, y):
        return -y

    noisy = SDE(f, lambda t, y: 0.1 * y)
    with pytest.raises(ValueError, match=r"adjoint: Backsolve expected an ordinary differential equation, found SDE"):
        solve_ode(noisy, y0, ts, EulerMaruyama(), step=0.1, adjoint=Backsolve())
    with pytest.raises(ValueError, match=r"adjoint: Interpolated expected no mass matrix"):
        solve_ode(Field(f, mass=torch.eye(1)), y0, ts, Kvaerno3(), adjoint=Interpolated())
    with pytest.raises(ValueError, match=r"Backsolve.method: expected a method for the backward solve.*of Split"):
        solve_ode(Split(f, f), y0, ts, ARK4(), adjoint=Backsolve())
    with pytest.raises(ValueError, match=r"Interpolated.rtol: expected a non-negative tolerance, found -1"):
        Interpolated(rtol=-1)
    with pytest.raises(ValueError, match=r"Backsolve.method: expected a stepper"):
        Backsolve(method="dopri5")


def test_a_second_derivative_is_refused():
    f, speed, y0, ts, _ = case()
    ys = solve_ode(Field(f, (speed,)), y0, ts, adjoint=Backsolve()).ys
    with pytest.raises(RuntimeError, match=r"expected first derivatives with adjoint=Backsolve\(...\)"):
        torch.autograd.grad((ys**2).sum(), y0, create_graph=True)
