"""Gradients of the steps taken against finite differences of the discrete solution, its mesh held fixed."""

import pytest
import torch
from discrete_ode import difference, meshes, solve_on

from opnet.solvers.ode.control import PID
from opnet.solvers.ode.fields import Field, Split
from opnet.solvers.ode.methods.dop853 import DOP853
from opnet.solvers.ode.methods.esdirk import Kvaerno3
from opnet.solvers.ode.methods.explicit import BS3, RK4, Dopri5
from opnet.solvers.ode.methods.imex import ARK4
from opnet.solvers.ode.methods.rosenbrock import Rodas4
from opnet.solvers.ode.solve import solve_ode

OPTIONS = {"rtol": 1e-3, "atol": 1e-6, "step": 2.0}  # a first step that is rejected


class Case:
    """A non-autonomous field with elements of different speed, and all that gradients go to."""

    def __init__(self, per_sample_times, backward=False, halves=False):
        self.halves = halves
        self.y0 = torch.tensor([[0.5, -0.2], [0.1, 0.4], [-0.3, 0.9]], dtype=torch.float64)
        ts = torch.tensor([0.2, 0.9, 1.1, 2.0], dtype=torch.float64)
        self.ts = ts * torch.tensor([[1.0], [1.3], [0.6]]).double() if per_sample_times else ts
        if backward:
            self.ts = -self.ts
        self.speed = torch.tensor([[1.0], [6.0], [2.0]], dtype=torch.float64)
        self.matrix = torch.tensor([[-0.5, 1.0], [-1.0, -0.3]], dtype=torch.float64)
        self.scale = torch.tensor(0.7, dtype=torch.float64)
        self.weights = torch.cos(torch.arange(24, dtype=torch.float64)).reshape(4, 3, 2)
        self.inputs = {"y0": self.y0, "ts": self.ts, "args": self.speed, "matrix": self.matrix, "scale": self.scale}

    def field(self, rows=slice(None)):
        def f(t, y, speed):
            return self.scale * torch.sin(speed * t) + torch.tanh(y) @ self.matrix.T

        if self.halves:
            return Split(lambda t, y, speed: f(t, y, speed) + y, lambda t, y, speed: -y, (self.speed[rows],))
        return Field(f, (self.speed[rows],))

    def gradients(self, method, **options):
        for x in self.inputs.values():
            x.requires_grad_()
        solution = solve_ode(self.field(), self.y0, self.ts, method, **options)
        found = torch.autograd.grad((solution.ys * self.weights).sum(), list(self.inputs.values()))
        for x in self.inputs.values():
            x.requires_grad_(False)
        return dict(zip(self.inputs, found, strict=True)), solution


def check(case, found, function):
    for name, x in case.inputs.items():
        expected = difference(function, x)
        error = (found[name] - expected).abs().max() / expected.abs().max()
        assert error < 1e-7, (name, float(error))


ADAPTIVE = [Dopri5(), Rodas4(), *(pytest.param(m, marks=pytest.mark.slow) for m in (BS3(), DOP853(), ARK4()))]


@pytest.mark.parametrize("method", ADAPTIVE, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize(
    "setting", ["per sample", "joint", *(pytest.param(s, marks=pytest.mark.slow) for s in ("own times", "backward"))]
)
def test_gradients_of_chosen_steps(method, setting):
    joint = setting == "joint"
    case = Case(setting == "own times", setting == "backward", halves=isinstance(method, ARK4))
    found, solution = case.gradients(method, control=PID(joint=joint), **OPTIONS)
    assert solution.rejected.any()
    if joint:
        (mesh,) = meshes(case.field(), method, case.y0, case.ts, joint=True, **OPTIONS)

        def loss():
            ys = solve_on(mesh, case.field(), method, case.y0, case.ts, joint=True)
            return (ys * case.weights).sum()
    else:
        own = meshes(case.field(), method, case.y0, case.ts, joint=False, **OPTIONS)

        def loss():
            total = 0.0
            for i, mesh in enumerate(own):
                row = slice(i, i + 1)
                ts = case.ts[i] if case.ts.ndim > 1 else case.ts
                ys = solve_on(mesh, case.field(row), method, case.y0[row], ts, joint=False)
                total = total + (ys[:, 0] * case.weights[:, i]).sum()
            return total

    check(case, found, loss)


@pytest.mark.parametrize("method", [RK4(), Dopri5(adaptive=False), Kvaerno3(adaptive=False), Rodas4(adaptive=False)])
@pytest.mark.parametrize("own_times", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_gradients_of_equal_steps(method, own_times):
    case = Case(own_times)
    found, _ = case.gradients(method, step=0.28)
    check(case, found, lambda: (solve_ode(case.field(), case.y0, case.ts, method, step=0.28).ys * case.weights).sum())


@pytest.mark.parametrize("method", [RK4(), Dopri5(adaptive=False)])
def test_second_derivatives_of_states_of_any_form(method):
    ts = torch.tensor([0.0, 0.5, 1.2], dtype=torch.float64)

    def slopes(t, q, p, scale):
        return p * torch.cos(t), -scale * torch.sin(q)

    def as_tuple(q, p, scale, ts):
        return solve_ode(lambda t, y: slopes(t, *y, scale), (q, p), ts, method, step=0.4).ys

    def as_dict(q, p, scale, ts):
        def f(t, y):
            return dict(zip("qp", slopes(t, y["q"], y["p"], scale), strict=True))

        return tuple(solve_ode(f, {"q": q, "p": p}, ts, method, step=0.4).ys.values())

    inputs = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in ([0.3, -0.8], [0.1, 0.5], 1.3)]
    for function in (as_tuple, as_dict):
        assert torch.autograd.gradcheck(function, (*inputs, ts.requires_grad_()))
        assert torch.autograd.gradgradcheck(function, (*inputs, ts.requires_grad_()))


@pytest.mark.parametrize(
    ("method", "options"),
    [
        (Dopri5(), {}),
        (Dopri5(), {"control": PID(joint=True)}),
        (RK4(), {"step": 0.05}),
        (Kvaerno3(), {}),
        (Rodas4(), {}),
    ],
)
def test_an_element_that_fails_spoils_no_gradient(method, options):
    scale = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    y0 = torch.tensor([[0.5, 1.0], [1.0, 2.0], [0.2, 0.3]], dtype=torch.float64, requires_grad=True)
    ts = torch.linspace(0, 2, 5, dtype=torch.float64)
    blows_up = torch.tensor([[0.0], [4.0], [0.0]], dtype=torch.float64)

    def f(t, y, blows_up):
        rate = scale * (blows_up * y**2 - torch.cos(t) * y) + torch.sqrt(scale) * y
        return torch.where(y > 20, torch.nan, rate)

    def gradients(rows):
        solution = solve_ode(Field(f, (blows_up[rows],)), y0[rows], ts, method, throw=False, **options)
        first = solution.ys[:2].sum() + solution.ys[2:].nan_to_num().sum()
        return torch.autograd.grad(first, [y0, scale]), solution

    (to_y0, to_scale), solution = gradients([0, 1, 2])
    assert solution.status[1] != 0
    assert to_y0.isfinite().all()
    assert to_scale.isfinite()
    assert to_y0[1].any()  # by the outputs before the failure
    (alone, _), _ = gradients([0, 2])
    assert torch.allclose(to_y0[[0, 2]], alone[[0, 2]], rtol=1e-3 if "control" in options else 1e-12)


def test_one_time_is_no_interval():
    ts = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
    y0 = torch.ones(2, 3, dtype=torch.float64, requires_grad=True)
    for control in (PID(), PID(joint=True)):
        ys = solve_ode(lambda t, y: -y * t, y0, ts, Dopri5(), control=control).ys
        assert torch.equal(torch.autograd.grad(ys.sum(), y0)[0], torch.ones(2, 3).double())
