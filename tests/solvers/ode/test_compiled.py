import os
import shutil
import subprocess
import sys
import textwrap

import pytest
import torch

from opnet.solvers.ode.adjoint import Direct
from opnet.solvers.ode.control import PID
from opnet.solvers.ode.fields import SDE
from opnet.solvers.ode.methods.explicit import Dopri5
from opnet.solvers.ode.methods.rosenbrock import Rodas4
from opnet.solvers.ode.methods.symplectic import Leapfrog
from opnet.solvers.ode.solve import solve_ode

needs_compiler = pytest.mark.skipif(
    shutil.which(os.environ.get("CXX", "g++")) is None, reason="torch.compile needs a C++ compiler"
)

PRELUDE = """
import re
import torch
from opnet import solve_ode
from opnet.solvers.ode.control import PID
from opnet.solvers.ode.fields import Field
from opnet.solvers.ode.methods.explicit import *
from opnet.solvers.ode.methods.rosenbrock import *

def agree(f, y0, ts, *args, tolerance=1e-7, **options):
    a = solve_ode(f, y0, ts, *args, compiled=True, throw=False, **options)
    b = solve_ode(f, y0, ts, *args, throw=False, **options)
    torch.testing.assert_close(a.ys, b.ys, rtol=tolerance, atol=tolerance, equal_nan=True)
    for name in ("status", "steps", "rejected"):
        torch.testing.assert_close(getattr(a, name), getattr(b, name), msg=name)
    torch.testing.assert_close(a.reached, b.reached)
    return a

mu = torch.tensor([[0.5], [5.0], [1.0]], dtype=torch.float64)

def van_der_pol(t, y):
    return torch.cat([y[:, 1:], mu * (1 - y[:, :1] ** 2) * y[:, 1:] - y[:, :1]], 1)

start = torch.tensor([[2.0, 0.0], [1.0, 1.0], [0.0, 0.5]], dtype=torch.float64)
"""


def alone(code: str, **environment: str) -> None:
    """Run in a process without the hook that checks shapes: it breaks the compiler's graphs."""
    script = PRELUDE + textwrap.dedent(code)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.slow
@needs_compiler
def test_follows_the_eager_loop_and_the_values_that_f_closes_over() -> None:
    """Outputs denser and sparser than steps, rejected steps among them; other values compile nothing; a branch is said.

    All in one process: starting one and its compiler takes longest.
    """
    alone(
        """
        from torch._dynamo.utils import counters
        ts = torch.tensor([0, 1e-3, 2e-3, 3e-3, 1, 4, 4.001], dtype=torch.float64)
        sol = agree(van_der_pol, start, ts, Heun(), rtol=1e-3, atol=1e-3)
        assert sol.rejected.sum() > 0 and sol.steps.max() > sol.steps.min()
        compiled = counters["stats"]["unique_graphs"]
        before = sol.ys[-1].clone()
        mu.mul_(2)  # in place, as an optimiser does
        assert not torch.allclose(agree(van_der_pol, start, ts, Heun(), rtol=1e-3, atol=1e-3).ys[-1], before)
        mu = mu / 3  # and another tensor
        agree(van_der_pol, start, ts, Heun(), rtol=1e-4, atol=1e-4)
        assert counters["stats"]["unique_graphs"] == compiled

        # a product of matrices, which the compiler merges with the sums of a step
        A = torch.tensor([[-0.5, 1.0], [-1.0, -0.5]], dtype=torch.float64)
        agree(lambda t, y: y @ A.t(), start, ts, Heun(), rtol=1e-3, atol=1e-3)

        for f, message in (
            (lambda t, y: -y if float(y.sum()) > 0 else y, "a vector field that torch.compile can trace whole"),
            (lambda t, y: y @ A.T, "tensors that do not share memory .*write A.t"),
        ):
            try:
                solve_ode(f, start, ts, compiled=True)
            except ValueError as error:
                assert re.search(message, str(error)), error
            else:
                raise AssertionError("it ran")
        """
    )


@pytest.mark.slow
def test_no_compiler_is_said() -> None:
    alone(
        """
        try:
            solve_ode(lambda t, y: -y, start, torch.tensor([0.0, 1.0]), Euler(), compiled=True)
        except ValueError as error:
            assert "C++ compiler" in str(error), error
        else:
            raise AssertionError("it ran")
        """,
        CXX="/nowhere/c++",
        TORCHINDUCTOR_FORCE_DISABLE_CACHES="1",
    )


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("method", ["BS3", "Dopri5", "Tsit5"])
@pytest.mark.parametrize("joint", [False, True])
def test_every_pair_follows_the_eager_loop(method: str, joint: bool) -> None:
    """Past one window of outputs, and backward."""
    alone(
        f"""
        ts = torch.linspace(0, 6, 150, dtype=torch.float64)
        agree(van_der_pol, start, ts, {method}(), control=PID(joint={joint}))
        agree(van_der_pol, start, ts[:20].flip(0), {method}(), control=PID(joint={joint}))
        """
    )


@needs_compiler
@pytest.mark.slow
def test_other_forms_of_state_and_times() -> None:
    alone(
        """
        field = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3)).requires_grad_(False)
        ts = torch.linspace(0, 1, 4)
        agree(lambda t, y: field(y), torch.randn(5, 3), ts, tolerance=1e-5)
        state = {"q": torch.ones(3, 2, 2), "p": torch.zeros(3, 2)}
        times = torch.rand(3, 4).cumsum(1)
        coupled = lambda t, y: {"q": y["p"][:, None] - y["q"], "p": -t[:, 0] * y["p"]}
        agree(coupled, state, times, Heun(), tolerance=1e-5)
        agree(lambda t, y: -t * y, torch.ones(4, dtype=torch.float64), ts.double(), Heun())
        """
    )


@needs_compiler
@pytest.mark.slow
def test_failures_are_typed_and_leave_the_others_alone() -> None:
    alone(
        """
        ts = torch.linspace(0, 1.5, 4, dtype=torch.float64)
        y0 = torch.tensor([[1.0], [0.1], [2.0], [float("nan")]], dtype=torch.float64)
        for joint in (False, True):
            args = (lambda t, y: y**2, y0, ts, Heun())
            options = dict(control=PID(joint=joint), throw=False)
            a, b = solve_ode(*args, compiled=True, **options), solve_ode(*args, **options)
            assert a.status.tolist() == b.status.tolist(), (a.status, b.status)
            torch.testing.assert_close(a.reached, b.reached, rtol=1e-4, atol=0)
            torch.testing.assert_close(a.ys[:, 1], b.ys[:, 1], rtol=1e-4, atol=0)
        agree(van_der_pol, start, 4 * ts, Heun(), max_steps=20)
        """
    )


@needs_compiler
@pytest.mark.slow
def test_equal_steps_follow_the_eager_loop() -> None:
    alone(
        """
        ts = torch.linspace(0, 2, 70, dtype=torch.float64)
        for method in (RK4(), Dopri5(adaptive=False)):
            agree(van_der_pol, start, ts, method, step=0.02)
            agree(van_der_pol, start, ts.flip(0), method, step=0.02)
            agree(van_der_pol, start, ts, method, step=0.02, max_steps=50)
        agree(lambda t, y: y * torch.where(t > 0.5, torch.nan, 1.0), start, ts, Midpoint(), step=0.1)
        A = torch.tensor([[-0.5, 1.0], [-1.0, -0.5]], dtype=torch.float64)
        agree(lambda t, y: y @ A.t(), start, ts, RK4(), step=0.1)
        agree(lambda t, y: -y, start, torch.rand(3, 5, dtype=torch.float64).cumsum(1), RK4(), step=0.1)
        """
    )


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "structure", "options", "stiff"),
    [
        ("Rodas4()", "", "", 100),
        (
            "Rodas5P()",
            ", mass=torch.tensor([[2.0, 1.0], [0.0, 1.0]], dtype=torch.float64)",
            "control=PID(joint=True)",
            100,
        ),
        ("Rodas5P('5Pr')", ", jacobian=jacobian", "", 100),
        ("Rodas4(adaptive=False)", "", "step=0.02", 1),
    ],
)
def test_rosenbrock_methods_follow_the_eager_loop(method: str, structure: str, options: str, stiff: int) -> None:
    """Stiff and mild elements together, each with its parameter; forced, so that the time derivative counts."""
    alone(
        f"""
        def forced(t, y, mu):
            return torch.cat([y[:, 1:], mu * (1 - y[:, :1] ** 2) * y[:, 1:] - y[:, :1] + torch.sin(t)], 1)

        def jacobian(t, y, mu):
            (x, v), m = y.unbind(1), mu[:, 0]
            first = torch.stack([torch.zeros_like(x), torch.ones_like(x)], 1)
            return torch.stack([first, torch.stack([-2 * m * x * v - 1, m * (1 - x**2)], 1)], 1)

        ts = torch.linspace(0, 6, 9, dtype=torch.float64)
        field = Field(forced, ({stiff} * mu,){structure})
        sol = agree(field, start, ts, {method}, tolerance=1e-10, {options})
        assert bool((sol.status == 0).all())
        assert sol.rejected.sum() > 0 or not {method}.adaptive
        """
    )


@needs_compiler
@pytest.mark.slow
def test_failures_of_rosenbrock_methods_leave_the_others_alone() -> None:
    """Poles, a start that is no number and a Jacobian that is not finite."""
    alone(
        """
        ts = torch.linspace(0, 1.5, 4, dtype=torch.float64)
        y0 = torch.tensor([[1.0], [0.1], [2.0], [float("nan")], [0.0]], dtype=torch.float64)
        power = torch.tensor([[2.0], [2.0], [2.0], [2.0], [1 / 3]], dtype=torch.float64)
        shift = torch.tensor([[0.0], [0.0], [0.0], [0.0], [1.0]], dtype=torch.float64)
        args = (lambda t, y: y**power + shift, y0, ts, Rodas4())
        a, b = solve_ode(*args, compiled=True, throw=False), solve_ode(*args, throw=False)
        assert a.status.tolist() == b.status.tolist(), (a.status, b.status)
        assert bool((a.status[[0, 2, 3, 4]] != 0).all()), a.status
        torch.testing.assert_close(a.reached, b.reached)
        torch.testing.assert_close(a.ys[:, 1], b.ys[:, 1], rtol=1e-10, atol=0)
        """
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": Leapfrog()}, "method: expected an explicit Runge-Kutta or a Rosenbrock method for compiled=True"),
        ({"dense": True}, "compiled: expected Direct.*dense"),
        ({"adjoint": Direct(estimates=True)}, "compiled: expected Direct.*estimates"),
    ],
)
def test_what_has_no_compiled_form_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        solve_ode(lambda t, y: -y, torch.ones(2, 1), torch.tensor([0.0, 1.0]), compiled=True, **options)  # type: ignore[arg-type]


def test_gradients_coupled_elements_large_systems_and_noise_are_refused() -> None:
    ts, y0 = torch.tensor([0.0, 1.0]), torch.ones(2, 1)
    weight = torch.ones(1, requires_grad=True)
    with pytest.raises(ValueError, match="without gradients"):
        solve_ode(lambda t, y: -weight * y, y0, ts, compiled=True)
    with pytest.raises(ValueError, match=r"PID\(joint=True\)"):
        solve_ode(lambda t, y: -y.mean(0, keepdim=True).expand(2, 1), y0, ts, compiled=True)
    with pytest.raises(
        ValueError, match="y0: expected at most 8 entries an element for Rodas4 and compiled=True, found 9"
    ):
        solve_ode(lambda t, y: -y, torch.ones(2, 9), ts, Rodas4(), compiled=True)
    with pytest.raises(ValueError, match="found SDE"):
        solve_ode(SDE(lambda t, y: -y, lambda t, y: y), y0, ts, Dopri5(), control=PID(), compiled=True)
