import numpy as np
import pytest
import torch

from opnet.core.status import Status
from opnet.solvers.ode.control import PID
from opnet.solvers.ode.fields import SDE, Field
from opnet.solvers.ode.methods.explicit import RK4, Dopri5
from opnet.solvers.ode.methods.stochastic import SRIW1
from opnet.solvers.ode.methods.symplectic import Leapfrog
from opnet.solvers.ode.methods.torchdiffeq import TorchDiffEq
from opnet.solvers.ode.solve import solve_ode


def lotka_volterra(t, y):
    return torch.stack([1.5 * y[..., 0] - y[..., 0] * y[..., 1], y[..., 0] * y[..., 1] - 3 * y[..., 1]], -1)


def van_der_pol(t, y):
    return torch.stack([y[..., 1], 5 * (1 - y[..., 0] ** 2) * y[..., 1] - y[..., 0]], -1)


@pytest.mark.parametrize("f", [lotka_volterra, van_der_pol])
@pytest.mark.parametrize("rtol", [1e-4, 1e-6, 1e-8])
def test_error_is_at_most_twice_scipys_at_the_same_tolerance(f, rtol):
    from scipy.integrate import solve_ivp

    ts, start = np.linspace(0, 5, 23), [1.0, 1.0]

    def g(t, y):
        return f(torch.tensor(t), torch.tensor(y)).numpy()

    fine = solve_ivp(g, (0, 5), start, "DOP853", t_eval=ts, rtol=1e-12, atol=1e-13).y.T
    peer = solve_ivp(g, (0, 5), start, "RK45", t_eval=ts, rtol=rtol, atol=rtol * 1e-2)
    ours = solve_ode(f, torch.tensor(start).double(), torch.tensor(ts), Dopri5(), rtol=rtol, atol=rtol * 1e-2)
    assert np.abs(ours.ys.numpy() - fine).max() <= 2 * np.abs(peer.y.T - fine).max()
    assert ours.evaluations <= 1.2 * peer.nfev


def test_continuous_extension_is_of_fourth_order():
    y0 = torch.tensor([1.0, 1.0]).double()
    errors = []
    for h in (0.1, 0.05):
        ts = torch.tensor([0, 0.37 * h, 0.61 * h, h], dtype=torch.float64)
        coarse = solve_ode(lotka_volterra, y0, ts, Dopri5(), step=h, rtol=1, atol=1)
        assert coarse.steps == 1
        fine = solve_ode(lotka_volterra, y0, ts, RK4(), step=h / 200)
        errors.append(float((coarse.ys - fine.ys)[1:3].abs().max()))
    assert 4.8 < np.log2(errors[0] / errors[1]) < 6.2  # the local error is one order higher


def test_gradient_of_the_adaptive_method_agrees_with_finite_differences():
    ts = torch.linspace(0, 2, 4).double()

    def loss(a, **options):
        y0 = torch.ones(1).double()
        return solve_ode(lambda t, y: a * torch.cos(t) * y, y0, ts, rtol=1e-10, atol=1e-12, **options).ys.sum()

    a = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(loss(a), a)
    with torch.no_grad():
        difference = (loss(a + 1e-4) - loss(a - 1e-4)) / 2e-4
    assert float(slope) == pytest.approx(float(difference), rel=1e-7)


def test_gradient_reaches_a_parameter_used_only_later():
    a = torch.tensor(2.0, requires_grad=True)

    def f(t, y):
        return y * a if t > 0.5 else y

    y1 = solve_ode(f, torch.ones(1), torch.tensor([0.0, 1.0]), RK4(), step=0.25).ys[-1]
    (slope,) = torch.autograd.grad(y1.sum(), a)
    small = 1e-2
    with torch.no_grad():
        a += small
        y2 = solve_ode(f, torch.ones(1), torch.tensor([0.0, 1.0]), RK4(), step=0.25).ys[-1]
    assert float(slope) == pytest.approx(float(y2 - y1.detach()) / small, rel=2e-2)


SHARED = torch.tensor([0.0, 1.0])
OWN = SHARED.repeat(3, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ts": torch.tensor([0.0, 1.0, 1.0])}, "strictly increasing or decreasing times, found 0, 1, 1"),
        ({"ts": torch.tensor([0, 1])}, "ts: expected a floating tensor of shape .*, found torch.int64"),
        ({"ts": torch.tensor([0.0, float("nan")])}, "ts: expected finite"),
        ({"ts": torch.tensor(0.0)}, r"ts: expected a floating tensor of shape .*, found torch.float32 of \(\)"),
        ({"ts": torch.zeros(0)}, "ts: expected a floating tensor"),
        ({"ts": OWN[:2]}, r"ts: expected .* \(time,\) or \(3, time\), found torch.float32 of \(2, 2\)"),
        ({"ts": torch.cat([OWN[:2], 1 - OWN[:1]])}, "ts: expected finite, strictly increasing or decreasing"),
        ({"ts": OWN, "control": PID(joint=True)}, r"ts: expected times of shape \(time,\) with PID\(joint=True\)"),
        ({"ts": OWN, "control": PID(joint=True), "method": RK4()}, r"ts: expected times of shape \(time,\)"),
        ({"ts": OWN, "y0": torch.ones(3)}, r"ts: expected .* shape \(time,\), found torch.float32 of \(3, 2\)"),
        ({"y0": torch.ones(2, dtype=torch.long)}, "y0: expected non-empty floating tensors, found a torch.int64"),
        ({"y0": torch.ones(0)}, "y0: expected non-empty floating tensors"),
        ({"y0": ()}, "y0: expected .*, found an empty tuple"),
        ({"y0": [1.0]}, r"y0: expected a floating Tensor, or a tuple or dict of them, found \[1.0\]"),
        ({"y0": (torch.ones(2), torch.ones(2).double())}, "y0: expected one dtype and device"),
        ({"f": lambda t, y: y.sum()}, r"f: expected the form of y, torch.float32 of \(3, 2\), found .* \(\)"),
        ({"f": lambda t, y: y.double()}, "f: expected the form of y, torch.float32 .*, found torch.float64"),
        ({"f": lambda t, y: 1.0}, "f: expected the form of y, .*, found 1.0"),
        ({"f": lambda t, y: y.roll(1, 0)}, r"f: expected .* that element alone.*PID\(joint=True\)"),
        ({"f": lambda t, y: y.flip(0)}, r"f: expected .* that element alone.*PID\(joint=True\)"),
        ({"f": lambda t, y: t * (y.mean(0) - y)}, r"f: expected .* that element alone.*PID\(joint=True\)"),
        ({"f": lambda t, y: y.neg_()}, "f: expected a function that leaves y as it is"),
        ({"f": lambda t, y: y * torch.rand(())}, "f: expected .* on nothing random"),
        ({"rtol": -1.0}, "rtol, atol: expected non-negative"),
        ({"rtol": 0.0, "atol": 0.0}, "rtol, atol: expected .*not both zero"),
        ({"step": 0.0}, "step: expected a positive number, found 0.0"),
        ({"step": float("inf")}, "step: expected a positive number, found inf"),
        ({"max_steps": 0}, "max_steps: expected at least 1, found 0"),
        ({"f": Field(lambda t, y: -y, mass=torch.eye(2))}, "Field.mass: expected none for Dopri5"),
        ({"f": SDE(lambda t, y: -y, lambda t, y: y)}, r"f: expected an ordinary .* for Dopri5, found SDE"),
        ({"f": SDE(lambda t, y: -y, lambda t, y: y), "method": TorchDiffEq()}, "for TorchDiffEq, found SDE"),
        (
            {"f": SDE(lambda t, y: -y, lambda t, y: y), "method": SRIW1(), "ts": 1 - SHARED},
            "ts: expected increasing times for SDE",
        ),
        ({"method": Leapfrog()}, r"f: Leapfrog needs the structure of Separable\(...\), found Field\(...\)"),
    ],
)
def test_arguments_are_checked(arguments, message):
    defaults = {"f": lambda t, y: -y, "y0": torch.ones(3, 2), "ts": SHARED}
    f, y0, ts, *rest = ({**defaults, **arguments}).items()
    with pytest.raises(ValueError, match=message):
        solve_ode(f[1], y0[1], ts[1], **dict(rest))


def test_elements_that_f_tells_by_their_number_are_not_dropped():
    mu = torch.tensor([0.5, 10.0, 20.0, 1.0]).double()
    ts = torch.tensor([0.0, 3.0]).double()
    sol = solve_ode(lambda t, y: -mu[: len(y), None] * y, torch.ones(4, 1).double(), ts, rtol=1e-8)
    torch.testing.assert_close(sol.ys[-1, :, 0], torch.exp(-3 * mu), rtol=0, atol=1e-7)


def test_a_coupled_state_that_steps_together_ends_as_a_whole():
    f, ts = lambda t, y: torch.stack([y[0] ** 2, 1 / (1 + y[0])]), torch.tensor([0.0, 0.9, 2.0]).double()
    y0 = torch.tensor([[1.0], [0.0]]).double()
    sol = solve_ode(f, y0, ts, control=PID(joint=True), throw=False)
    assert sol.status.tolist() == [Status.STEP_UNDERFLOW] * 2
    assert bool(sol.ys[2].isnan().all())


def test_times_in_single_precision_with_gradients_and_far_from_zero():
    ts = torch.tensor([100.0, 101.3], requires_grad=True)
    y0, joint = torch.zeros(3, 1).double(), PID(joint=True)

    def f(t, y):
        return 5 * torch.cos(5 * t) * y.new_ones(3, 1)

    sol = solve_ode(f, y0, ts, rtol=1e-8, atol=1e-10, control=joint)
    exact = torch.sin(5 * ts[1].double()) - torch.sin(5 * ts[0].double())
    torch.testing.assert_close(sol.ys[-1], exact.expand(3, 1), rtol=0, atol=1e-7)
    (slopes,) = torch.autograd.grad(sol.ys[-1, 0, 0], ts)
    torch.testing.assert_close(
        slopes, torch.stack([-5 * torch.cos(5 * ts[0]), 5 * torch.cos(5 * ts[1])]), rtol=1e-4, atol=1e-4
    )
    later = torch.tensor([1000.0, 1001.0])
    assert float(solve_ode(lambda t, y: torch.ones_like(y), torch.zeros(1, 1), later).ys[-1]) == pytest.approx(
        1, abs=1e-5
    )


def test_a_field_that_gives_the_same_memory_each_time():
    buffer, one, ts = torch.empty(3, 2).double(), torch.ones(3, 2).double(), torch.tensor([0.0, 1.0]).double()
    f = lambda t, y: torch.mul(y, -5, out=buffer)  # noqa: E731
    sol = solve_ode(f, one, ts, rtol=1e-9, atol=1e-12, control=PID(joint=True))
    other = solve_ode(lambda t, y: -5 * y, one, ts, rtol=1e-9, atol=1e-12, control=PID(joint=True))
    torch.testing.assert_close(sol.ys, other.ys, rtol=1e-10, atol=0)
