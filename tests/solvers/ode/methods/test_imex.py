import math

import pytest
import torch
from marching import march, problem_of

from opnet.solvers.linear.gmres import GMRES
from opnet.solvers.ode.fields import Field, Split
from opnet.solvers.ode.methods.esdirk import Kvaerno5
from opnet.solvers.ode.methods.imex import ARK3, ARK4
from opnet.solvers.ode.solve import solve_ode

D = torch.float64
KINDS = [ARK3, ARK4]
kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def swing(t, y):
    return torch.cat([0 * y[:, :1], -4 * torch.sin(y[:, :1]) + torch.cos(3 * t)], 1)


def damping(t, y):
    """Nonlinear, and dependent on time, so that both parts and their coupling count."""
    return torch.cat([y[:, 1:], torch.cos(3 * t) * y[:, 1:] - 0.5 * torch.sin(2 * y[:, 1:])], 1)


PENDULUM = Split(swing, damping)


@kinds
@pytest.mark.parametrize("span", [(0.0, 2.0), (2.0, 0.0)], ids=["forward", "backward"])
def test_observed_order_where_both_parts_depend_on_time(kind, span):
    y0 = torch.tensor([[0.3, 0.8], [1.0, -0.4]], dtype=D)
    fine = march(Kvaerno5(adaptive=False), Field(PENDULUM.whole()), y0, *span, 200)
    errors = [float((march(kind(adaptive=False), PENDULUM, y0, *span, n) - fine).abs().max()) for n in (40, 80)]
    assert errors[-1] > 1e-11
    assert math.log2(errors[0] / errors[1]) == pytest.approx(kind().order, abs=0.2)


@kinds
@pytest.mark.parametrize("split", [(swing, damping), (damping, swing)], ids=["one way", "the other"])
def test_the_parts_may_be_exchanged(kind, split):
    y0, ts = torch.tensor([[0.3, 0.8]], dtype=D), torch.tensor([0.0, 1.0], dtype=D)
    sol = solve_ode(Split(*split), y0, ts, kind(), rtol=1e-7, atol=1e-9)
    fine = solve_ode(PENDULUM.whole(), y0, ts, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(sol.ys, fine.ys, rtol=1e-5, atol=1e-6)


@kinds
def test_order_of_the_error_estimate(kind):
    y0, t0 = torch.tensor([[0.3, 0.8]], dtype=D), 0.2
    estimate = []
    for h in (0.04, 0.02):
        problem = problem_of(PENDULUM, y0)
        method = kind(adaptive=False)
        step = method.step(problem, t0, y0, h, method.start(problem, t0, y0, problem.f(t0, y0)))
        estimate.append(float(step.error.abs().max()))
    assert math.log2(estimate[0] / estimate[1]) == pytest.approx(kind().error_order, abs=0.4)


@kinds
@pytest.mark.parametrize("rate", [1e3, 1e5, 1e7])
def test_no_collapse_on_a_stiff_problem_of_prothero_and_robinson(kind, rate):
    """y' = y cos t / (1 + sin t) explicit, -rate (y - 1 - sin t) implicit; y = 1 + sin t.

    Far below the stiff scale the order falls to that of the stages, 2 (Kennedy and Carpenter 2003, section 3.2); errors
    neither grow with the stiffness nor stall.
    """
    split = Split(lambda t, y: torch.cos(t) * y / (1 + torch.sin(t)), lambda t, y: -rate * (y - 1 - torch.sin(t)))
    y0 = torch.ones(1, 1, dtype=D)
    errors = [abs(float(march(kind(adaptive=False), split, y0, 0.0, 1.0, n)) - 1 - math.sin(1)) for n in (20, 160)]
    assert errors[0] < 1e-3
    assert math.log2(errors[0] / errors[1]) / 3 > 1.2


def heat(n):
    dx = 1 / (n + 1)

    def diffusion(t, y):
        padded = torch.nn.functional.pad(y, (1, 1))
        return 0.01 * (padded[:, 2:] - 2 * y + padded[:, :-2]) / dx**2

    x = torch.linspace(dx, 1 - dx, n, dtype=D)
    return diffusion, torch.stack([torch.sin(math.pi * x), torch.exp(-100 * (x - 0.5) ** 2)])


def reaction(t, y):
    return 5 * y * (1 - y) * (y + 0.2)


@kinds
def test_stiff_solutions_are_as_good_at_every_time_asked_for(kind):
    split = Split(lambda t, y: 0 * y, lambda t, y: -1e6 * (y - torch.cos(t)))
    ts = torch.linspace(0, 2, 21, dtype=D)
    sol = solve_ode(split, torch.ones(1, dtype=D), ts, kind())
    assert float((sol.ys[:, 0] - torch.cos(ts)).abs().max()) < 1e-4


@kinds
@pytest.mark.parametrize("linear", [None, GMRES()], ids=["LU", "GMRES"])
def test_reaction_and_diffusion(kind, linear):
    diffusion, y0 = heat(60)
    ts = torch.tensor([0.0, 0.2], dtype=D)
    split = Split(reaction, diffusion, sparsity=torch.ones(60, 60).tril(1).triu(-1).bool())
    sol = solve_ode(split, y0, ts, kind(linear=linear), rtol=1e-6, atol=1e-8)
    fine = solve_ode(split.whole(), y0, ts, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(sol.ys, fine.ys, rtol=1e-5, atol=1e-6)
    assert int(sol.steps.max()) < int(fine.steps.max())


@kinds
def test_a_linear_implicit_part_costs_one_solve_a_stage(kind):
    diffusion, y0 = heat(60)
    calls = {"explicit": 0, "implicit": 0}

    def count(name, f):
        def counted(t, y):
            calls[name] += 1
            return f(t, y)

        return counted

    problem = problem_of(Split(count("explicit", reaction), count("implicit", diffusion)), y0)
    method = kind()
    carry = method.start(problem, 0.0, y0, problem.f(0.0, y0))
    calls.update(explicit=0, implicit=0)
    step = method.step(problem, 0.0, y0, 0.01, carry)
    stages = method.tableau.stages - 1
    assert not step.failed.any()
    # The Jacobian, a second correction in the first stage that shows how fast they shrink, and the end of the step.
    assert calls == {"explicit": stages + 1, "implicit": stages + 3}


@kinds
@pytest.mark.parametrize("joint", [True, False])
def test_gradients(kind, joint):
    y0 = torch.tensor([[1.5, 0.3], [0.2, -1.0]], dtype=D, requires_grad=True)
    t0 = torch.tensor(0.2 if joint else [[0.2], [0.5]], dtype=D, requires_grad=True)
    h = torch.tensor(0.1 if joint else [[0.1], [-0.07]], dtype=D, requires_grad=True)
    a, b = (torch.tensor(x, dtype=D, requires_grad=True) for x in (1.3, 0.8))

    def run(y0, t0, h, a, b):
        split = Split(lambda t, y: a * swing(t, y), lambda t, y: b * damping(t, y))
        problem = problem_of(split, y0, joint=joint)
        problem.keep = problem.estimates = True
        method = kind(adaptive=False)
        t, y, out = t0, y0, []
        carry = method.start(problem, t, y, problem.f(t, y))
        for _ in range(2):
            step = method.step(problem, t, y, h, carry)
            out.append(step.error)
            t, y, carry = t + h, step.y, step.carry
        return (y, *out)

    assert torch.autograd.gradcheck(run, (y0, t0, h, a, b))


@kinds
@pytest.mark.parametrize("part", ["explicit", "implicit"])
@pytest.mark.parametrize("adaptive", [True, False])
def test_one_bad_element_fails_alone(kind, part, adaptive):
    def bad(t, y):
        return torch.where((t > 0.5) & (y[:, :1] > 0), torch.nan, -0.5 * y)

    parts = {"explicit": lambda t, y: -0.5 * y, "implicit": lambda t, y: -0.5 * y, part: bad}
    y0, ts = torch.tensor([[1.0], [-0.1], [-1.0]], dtype=D), torch.tensor([0.0, 1.0], dtype=D)
    sol = solve_ode(Split(**parts), y0, ts, kind(adaptive=adaptive), step=0.01, throw=False)
    assert [bool(s) for s in sol.status] == [True, False, False]
    assert 0.3 < float(sol.reached[0]) <= 0.51
    torch.testing.assert_close(sol.ys[-1, 1:], y0[1:] * math.exp(-1), rtol=1e-4, atol=1e-5)


@kinds
def test_single_precision(kind):
    y0, ts = torch.tensor([[0.3, 0.8], [1.0, -0.4]]), torch.linspace(0, 1, 4)
    sol = solve_ode(PENDULUM, y0, ts, kind(), rtol=1e-5, atol=1e-6)
    fine = solve_ode(PENDULUM.whole(), y0.to(D), ts.to(D), rtol=1e-9, atol=1e-11)
    assert sol.ys.dtype == torch.float32
    torch.testing.assert_close(sol.ys, fine.ys.float(), rtol=1e-3, atol=1e-4)


def test_a_field_without_parts_is_refused():
    y0 = torch.ones(1, 1)
    with pytest.raises(ValueError, match=r"f: ARK4 needs the structure of Split.*, found Field"):
        march(ARK4(), Field(lambda t, y: y), y0, 0.0, 1.0, 1)
