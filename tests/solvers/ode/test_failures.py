"""Problems that must fail: every method says so, typed, with a time and the element, and harms no other element."""

import pytest
import torch
from failing_odes import (
    CONTROL,
    PROBLEMS,
    fault_alone,
    fault_in_batch,
    fault_of_control,
    not_posed,
    options_of,
    unseen,
)
from ode_forms import METHODS, form_name, is_adaptive, solve

from opnet.core.errors import SolveError
from opnet.core.status import Status
from opnet.solvers.ode.control import PID
from opnet.solvers.ode.methods.explicit import Dopri5
from opnet.solvers.ode.methods.torchdiffeq import TorchDiffEq
from opnet.solvers.ode.solve import solve_ode

DTYPES = [torch.float32, torch.float64]
DIRECTIONS = {"forward": False, "backward": True}
CONTROLS = {"per sample": False, "joint": True}
# One member of each family, at every run; the others with `-m slow`.
QUICK = {"Dopri5", "Rodas4", "RK4", "EulerMaruyama"}


@pytest.fixture(params=[m if m in QUICK else pytest.param(m, marks=pytest.mark.slow) for m in METHODS])
def method(request):
    return METHODS[request.param]


@pytest.fixture(
    params=[
        pytest.param(
            (d, c), marks=() if (d, c) in (("forward", "per sample"), ("backward", "joint")) else pytest.mark.slow
        )
        for d in DIRECTIONS
        for c in CONTROLS
    ],
    ids=", ".join,
)
def setting(request):
    direction, control = request.param
    return DIRECTIONS[direction], CONTROLS[control]


def skip(reason):
    if reason:
        pytest.skip(reason)


@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.float64, marks=pytest.mark.slow)], ids=str)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_fails_typed(method, problem, dtype, setting):
    backward, joint = setting
    skip(unseen(method, problem) or not_posed(method, problem, joint, backward, in_batch=False))
    assert fault_alone(method, problem, dtype, joint, backward) is None


@pytest.mark.parametrize("dtype", [torch.float64, pytest.param(torch.float32, marks=pytest.mark.slow)], ids=str)
@pytest.mark.parametrize(
    "problem", [p if i % 2 else pytest.param(p, marks=pytest.mark.slow) for i, p in enumerate(PROBLEMS)]
)
def test_a_failing_element_is_named_and_the_others_are_unharmed(method, problem, dtype, setting):
    backward, joint = setting
    skip(unseen(method, problem) or not_posed(method, problem, joint, backward, in_batch=True))
    assert fault_in_batch(method, problem, dtype, joint, backward) is None


@pytest.mark.parametrize("dtype", [torch.float64, pytest.param(torch.float32, marks=pytest.mark.slow)], ids=str)
def test_a_stiff_problem_is_solved_or_refused_never_wrong(method, dtype, setting):
    backward, joint = setting
    skip(not_posed(method, CONTROL, joint, backward, in_batch=False))
    assert fault_of_control(method, dtype, joint, backward) is None


def test_a_step_limit_is_a_failure_with_a_time():
    def f(t, y):
        return -1e6 * (y - torch.cos(t))

    ts = torch.tensor([0.0, 1.0], dtype=torch.float64)
    short = solve_ode(f, torch.zeros(1), ts, Dopri5(), max_steps=500, throw=False)
    assert Status(int(short.status)) is Status.MAX_STEPS
    assert 0 < float(short.reached) < 1
    with pytest.raises(SolveError, match=r"step limit .*batch element 0 of 1 at t = 0.001"):
        solve_ode(f, torch.zeros(1), ts, Dopri5(), max_steps=500)


# Gradients: the same f for all elements, which fails from some starts alone.

SPAN = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
FAILS = {
    "blow-up": (lambda a, t, y: a * y**2, (-0.5, 4.0, -1.0)),
    "root": (lambda a, t, y: -a * (1 + torch.sqrt(y)), (9.0, 0.25, 16.0)),
    "exp": (lambda a, t, y: a * torch.exp(y) - y, (-3.0, 3.0, -4.0)),
    "NaN y0": (lambda a, t, y: -a * y, (0.5, torch.nan, 1.0)),
    "f at the start": (lambda a, t, y: -a * torch.log(y), (2.0, -1.0, 3.0)),
}


@pytest.mark.parametrize("joint", CONTROLS.values(), ids=CONTROLS)
@pytest.mark.parametrize(
    "problem", [p if p in ("root", "NaN y0") else pytest.param(p, marks=pytest.mark.slow) for p in FAILS]
)
def test_gradients_of_the_healthy_elements_are_those_they_have_alone(method, problem, joint):
    skip("torchdiffeq's steps are its own" if isinstance(method, TorchDiffEq) else None)
    f, starts = FAILS[problem]
    skip(unseen(method, "blow-up") if problem in ("blow-up", "exp") else None)
    options = {**options_of(method, joint), "throw": False}

    def gradients(y0):
        a = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
        y0 = torch.tensor(y0, dtype=torch.float64)[:, None].repeat(1, 2).requires_grad_()
        solution, ys = solve(method, lambda t, y: f(a, t, y), y0, SPAN, **options)
        (slope, slopes) = torch.autograd.grad(ys[:, [0, 2]].square().sum(), (a, y0))
        return solution.status.tolist(), slope, slopes[[0, 2]]

    good, bad, other = starts
    expected, with_failure = gradients((good, good, other)), gradients((good, bad, other))
    assert expected[0] == [0, 0, 0]
    assert [bool(code) for code in with_failure[0]] == [False, True, False]
    together = is_adaptive(method) and joint
    for mine, theirs in zip(with_failure[1:], expected[1:], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3 if together else 1e-9, atol=0)


def test_every_method_is_tried_in_its_form():
    assert {form_name(method) for method in METHODS.values()} >= {"Field", "Split", "Semilinear", "Separable"}
    assert any(isinstance(method, TorchDiffEq) for method in METHODS.values())


def test_one_failing_element_leaves_the_steps_of_the_others():
    ts = torch.tensor([0.0, 2.0], dtype=torch.float64)
    y0 = torch.tensor([[-1.0], [1.0], [-3.0]], dtype=torch.float64)
    mixed = solve_ode(lambda t, y: y**2, y0, ts, throw=False)
    clean = solve_ode(lambda t, y: y**2, y0[[0, 2]], ts)
    assert mixed.steps[[0, 2]].tolist() == clean.steps.tolist()
    assert torch.equal(mixed.ys[:, [0, 2]], clean.ys)
    joint = solve_ode(lambda t, y: y**2, y0, ts, control=PID(joint=True), throw=False)
    torch.testing.assert_close(joint.ys[:, [0, 2]], clean.ys, rtol=1e-4, atol=0)
