import math

import pytest
import torch
from marching import march, march_rows, problem_of

from opnet.solvers.ode.fields import Field, Separable
from opnet.solvers.ode.methods.symplectic import KahanLi6, Leapfrog, Yoshida4

METHODS = [Leapfrog(), Yoshida4(), KahanLi6()]
methods = pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)


def chain():
    """Two coupled pendulums, driven: forces and velocities depend on time."""
    return Separable(
        lambda t, p: p * (1 + 0.3 * torch.sin(t)),
        lambda t, q: -torch.sin(q) * (1 + 0.5 * torch.cos(2 * t)) + 0.4 * (q.flip(-1) - q),
    )


def pendulum():
    return Separable(lambda t, p: p, lambda t, q: -torch.sin(q))


def start():
    return torch.tensor([[1.0, 0.4], [-0.3, 2.0]]).double(), torch.tensor([[0.2, -0.3], [0.5, 0.1]]).double()


@methods
def test_observed_order_with_forces_and_velocities_that_depend_on_time(method):
    fine = torch.cat(march(KahanLi6(), chain(), start(), 0.0, 3.0, 300))
    errors = [float((torch.cat(march(method, chain(), start(), 0.0, 3.0, n)) - fine).abs().max()) for n in (30, 60)]
    assert errors[-1] > 1e-12
    assert math.log2(errors[0] / errors[1]) == pytest.approx(method.order, abs=0.1)


@methods
def test_the_step_map_is_symplectic(method):
    problem = problem_of(chain(), tuple(x[:1] for x in start()))

    def step(y):
        return method.step(problem, 0.4, y, 0.3, method.start(problem, 0.4, y, problem.f(0.4, y))).y

    J = torch.autograd.functional.jacobian(step, problem.y0)[0, :, 0]
    eye, zero = torch.eye(2).double(), torch.zeros(2, 2).double()
    omega = torch.cat([torch.cat([zero, eye], 1), torch.cat([-eye, zero], 1)])
    torch.testing.assert_close(J.T @ omega @ J, omega, rtol=0, atol=1e-13)


@methods
def test_energy_does_not_drift(method):
    """Over 40 periods the error of the energy is that of the first ones."""
    rows = torch.stack(march_rows(method, problem_of(pendulum(), start()), 0.0, 250.0, 1250))
    q, p = rows.chunk(2, -1)
    energy = (p.square() / 2 - torch.cos(q)).sum(-1)
    error = (energy - energy[0]).abs()
    early, late = error[:250].max(), error[-250:].max()
    assert 1e-12 < early < {2: 2e-2, 4: 2e-3, 6: 1e-6}[method.order]
    assert late < 1.5 * early


@methods
def test_time_can_be_reversed(method):
    there = march(method, chain(), start(), 0.0, 4.0, 40)
    back = march(method, chain(), there, 4.0, 0.0, 40)
    for a, b in zip(back, start(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


@methods
def test_each_substep_evaluates_one_force(method):
    forces = 0

    def force(t, q):
        nonlocal forces
        forces += 1
        return -q

    march(method, Separable(lambda t, p: p, force), start(), 0.0, 1.0, 10)
    assert forces == 10 * len(method.weights) + 1


@methods
def test_samples_have_times_and_steps_of_their_own(method):
    t0, t1 = torch.tensor([[0.0], [0.7]]).double(), torch.tensor([[2.0], [-0.5]]).double()
    together = march(method, chain(), start(), t0, t1, 9, joint=False)
    for i in range(2):
        alone = march(method, chain(), tuple(x[i : i + 1] for x in start()), float(t0[i]), float(t1[i]), 9)
        for a, b in zip(alone, together, strict=True):
            torch.testing.assert_close(a[0], b[i], rtol=1e-13, atol=1e-13)


@methods
def test_an_element_at_rest_stays_and_a_lost_one_harms_no_other(method):
    q, p = start()
    q = torch.cat([q, q[:1] * torch.nan])
    p = torch.cat([p, p[:1]])
    h = torch.tensor([[0.1], [0.0], [0.1]]).double()
    q1, p1 = march(method, chain(), (q, p), torch.zeros(3, 1).double(), h, 1, joint=False)
    assert torch.equal(q1[1], q[1])
    assert torch.equal(p1[1], p[1])
    assert torch.isfinite(q1[:2]).all()
    assert torch.isnan(q1[2]).all()


@methods
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_keeps_dtype_and_interpolates(method, dtype):
    y0 = tuple(x.to(dtype) for x in start())
    problem = problem_of(chain(), y0)
    step = method.step(
        problem, 0.0, problem.y0, 0.1, method.start(problem, 0.0, problem.y0, problem.f(0.0, problem.y0))
    )
    assert step.y.dtype == dtype
    at = step.interpolant()
    torch.testing.assert_close(at(0.0, None), problem.y0)
    torch.testing.assert_close(at(1.0, None), step.y)
    middle = torch.cat(march(KahanLi6(), chain(), y0, 0.0, 0.05, 10), 1)
    torch.testing.assert_close(at(0.5, None), middle, rtol=0, atol=2e-4 if method.order == 2 else 5e-6)


@methods
def test_gradient_agrees_with_finite_differences(method):
    def loss(q, p, a, t1):
        field = Separable(lambda t, p: p, lambda t, q: -a * torch.sin(q + t))
        return torch.cat(march(method, field, (q, p), torch.zeros(()).double(), t1, 4)).square().sum()

    arguments = (*start(), torch.tensor(1.3).double(), torch.tensor(0.8).double())
    assert torch.autograd.gradcheck(loss, [x.requires_grad_() for x in arguments])


def test_weights_meet_the_order_conditions():
    """Those that sums of powers give (Hairer, Lubich, Wanner, V.3.2); the observed order covers the one left."""
    for method in METHODS[1:]:
        w = method.weights
        assert w == w[::-1]
        assert math.fsum(w) == pytest.approx(1, abs=1e-15)
        for power in range(3, method.order, 2):
            assert math.fsum(x**power for x in w) == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize(
    ("field", "y0", "message"),
    [
        (Field(lambda t, y: y), (torch.ones(1), torch.ones(1)), r"f: Leapfrog needs the structure of Separable"),
        (pendulum(), torch.ones(2, 2), r"y0: Leapfrog expected a tuple \(q, p\).*found one tensor"),
        (pendulum(), (torch.ones(1, 2), torch.ones(1, 3)), r"y0: Leapfrog expected a tuple \(q, p\).*leaves of \(2,\)"),
    ],
)
def test_structure_is_checked(field, y0, message):
    problem = problem_of(field, y0)
    with pytest.raises(ValueError, match=message):
        Leapfrog().start(problem, 0.0, problem.y0, problem.y0)
