import pytest
import torch
from marching import problem_of

from opnet.solvers.linear.gmres import GMRES
from opnet.solvers.ode.fields import Field
from opnet.solvers.ode.newton import Implicit, StageEquations
from opnet.solvers.ode.problem import Problem

D = torch.float64
linears = pytest.mark.parametrize("linear", [None, GMRES()], ids=["LU", "GMRES"])


def van_der_pol(t, y):
    return torch.stack([y[:, 1], 50 * (1 - y[:, 0] ** 2) * y[:, 1] - y[:, 0] + torch.cos(t).reshape(-1)], 1)


def implicit(f, y0, mass=None, linear=None, joint=True, args=()):
    problem = problem_of(Field(f, args=args, mass=mass), y0, joint=joint)
    return problem, Implicit.of(problem, problem.f, None, None, mass, linear)


def states(count=4):
    return torch.tensor([1.7, 0.0]).to(D) + 0.3 * torch.randn(count, 2, generator=torch.Generator().manual_seed(1)).to(
        D
    )


@linears
@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("massive", [False, True])
@pytest.mark.parametrize("s", [0.02, torch.tensor([[0.02], [-0.001], [0.0], [0.05]], dtype=D)], ids=["one", "rows"])
def test_the_stage_is_solved_as_exactly_as_asked(linear, exact, massive, s):
    y = states()
    mass = torch.tensor([[2.0, 0.5], [0.1, 1.0]], dtype=D) if massive else None
    problem, part = implicit(van_der_pol, y, mass, linear, joint=not isinstance(s, torch.Tensor))
    equations = StageEquations(part, 0.0, y, s, iterations=10, exact=exact)
    x, guess = y + 0.01, problem.f(0.0, y)
    k = equations.solve(0.01, x, guess)
    moving = torch.ones(4, 1, dtype=torch.bool) if isinstance(s, float) else s != 0
    defect = torch.where(moving, s * (problem.f(0.01, x + s * k) - part.weigh(k)), 0.0)
    assert not equations.failed.any()
    assert float(defect.abs().max()) < (1e-12 if exact else 1e-5)
    assert torch.equal(k[~moving[:, 0]], guess[~moving[:, 0]])


@linears
def test_rows_end_on_their_own_and_do_not_change_each_other(linear):
    y = states()

    def f(t, y):
        bad = torch.where(t > 0.05, torch.nan, 1.0)
        return van_der_pol(t, y) * torch.where(torch.arange(len(y))[:, None] == 1, bad, 1.0)

    def solve(function, rows):
        problem, part = implicit(function, y[rows], linear=linear)
        equations = StageEquations(part, 0.0, y[rows], 0.02, iterations=10, exact=True)
        return equations.solve(0.1, y[rows], problem.f(0.0, y[rows])), equations.failed[:, 0]

    k, failed = solve(f, slice(None))
    assert failed.tolist() == [False, True, False, False]
    assert torch.isfinite(k).all()
    for row in (0, 2, 3):
        alone, _ = solve(van_der_pol, slice(row, row + 1))
        torch.testing.assert_close(k[row], alone[0], rtol=1e-11, atol=1e-11)


def test_a_failed_row_is_left_alone_by_later_stages():
    y = torch.ones(2, 1, dtype=D)
    points = []

    def f(t, y):
        points.append(y.detach().clone())
        return torch.where((t == 1) & (torch.arange(2) == 0)[:, None], torch.nan, -y)

    _, part = implicit(f, y)
    equations = StageEquations(part, 0.0, y, 0.1, iterations=10, exact=False)
    equations.solve(1.0, y, -y)
    assert equations.failed[:, 0].tolist() == [True, False]
    k = equations.solve(2.0, y, -y)
    assert equations.failed[:, 0].tolist() == [True, False]
    assert torch.equal(k[0], -y[0])
    torch.testing.assert_close(k[1], -y[1] / 1.1)


def test_divergence_fails():
    """k = f(x + s k) for f with a slope that J at the start does not show: theta > 1."""
    y = torch.tensor([[0.0], [2.0]], dtype=D)
    problem, part = implicit(lambda t, y: -1e4 * y**3, y)
    equations = StageEquations(part, 0.0, y, 0.1, iterations=10, exact=False)
    before = problem.evaluations
    equations.solve(0.1, torch.tensor([[2.0], [2.0]], dtype=D), torch.zeros(2, 1, dtype=D))
    assert bool(equations.failed[0])
    assert problem.evaluations - before <= 10


def test_a_singular_matrix_fails():
    y = torch.ones(2, 1, dtype=D)
    problem, part = implicit(lambda t, y: y * torch.tensor([[10.0], [-10.0]], dtype=D), y)
    equations = StageEquations(part, 0.0, y, 0.1, iterations=10, exact=False)
    equations.solve(0.1, y, problem.f(0.0, y))
    assert equations.failed[:, 0].tolist() == [True, False]


def test_to_rounding_a_new_jacobian_is_taken_where_the_old_one_is_slow():
    y = torch.tensor([[2.0]], dtype=D)
    problem, part = implicit(lambda t, y: -100 * y**3, y)
    equations = StageEquations(part, 0.0, y, 0.1, iterations=10, exact=True)
    k = equations.solve(0.1, y, torch.zeros_like(y))
    assert not equations.failed.any()
    assert float((k + 100 * (y + 0.1 * k) ** 3).abs()) < 1e-11
    assert problem.evaluations < 25  # linear convergence at the first rate would take many more


def test_a_linear_equation_takes_two_corrections_and_then_one():
    y = states()
    A = torch.tensor([[-3.0, 1.0], [0.5, -200.0]], dtype=D)
    problem, part = implicit(lambda t, y: y @ A.T, y)
    equations = StageEquations(part, 0.0, y, 0.1, iterations=10, exact=False)
    counts = []
    for _ in range(4):
        before = problem.evaluations
        k = equations.solve(0.1, y, torch.zeros_like(y))
        counts.append(problem.evaluations - before)
    assert counts == [2, 1, 1, 1]
    torch.testing.assert_close(k, torch.linalg.solve(torch.eye(2, dtype=D) - 0.1 * A, (y @ A.T).T).T)


@linears
def test_gradient_is_that_of_the_root(linear):
    y = states().requires_grad_()
    t = torch.tensor(0.1, dtype=D, requires_grad=True)
    s = torch.tensor([[0.02], [-0.01], [0.03], [0.05]], dtype=D, requires_grad=True)
    a = torch.tensor(0.7, dtype=D, requires_grad=True)
    mass = torch.tensor([[2.0, 0.5], [0.1, 1.0]], dtype=D, requires_grad=True)

    def k(y, t, s, a, mass):
        problem, part = implicit(lambda t, y: a * van_der_pol(t, y), y, mass, linear)
        equations = StageEquations(part, t, y, s, iterations=10, exact=True)
        value = equations.solve(t + 0.1, y + 0.01 * y**2, problem.f(t, y).detach())
        assert not equations.failed.any()
        return value

    assert torch.autograd.gradcheck(k, (y, t, s, a, mass))


def test_values_are_the_same_with_and_without_gradients():
    y = states()

    def k(y):
        problem, part = implicit(van_der_pol, y)
        return StageEquations(part, 0.0, y, 0.02, iterations=10, exact=False).solve(0.1, y, problem.f(0.0, y))

    with_gradients = k(y.clone().requires_grad_())
    assert with_gradients.requires_grad
    assert torch.equal(with_gradients, k(y))


def test_without_gradients_none_are_prepared():
    """The residual is evaluated once more only where a gradient is wanted, be it of parameters alone."""
    y = states()
    counts = []
    for a in (torch.tensor(1.0, dtype=D), torch.tensor(1.0, dtype=D, requires_grad=True)):
        problem, part = implicit(lambda t, y, a=a: a * van_der_pol(t, y), y)
        equations = StageEquations(part, 0.0, y, 0.02, iterations=10, exact=False)
        guess, before = problem.f(0.0, y).detach(), problem.evaluations
        k = equations.solve(0.1, y, guess)
        assert k.requires_grad == a.requires_grad
        counts.append(problem.evaluations - before)
    assert counts[1] == counts[0] + 2  # the residual, and J there


def test_a_failed_row_does_not_spoil_the_gradients_of_parameters():
    a = torch.tensor(1.0, dtype=D, requires_grad=True)
    y = torch.tensor([[1.0], [2.0]], dtype=D)
    _, part = implicit(lambda t, y: -a * torch.sqrt(3 - y), y)
    equations = StageEquations(part, 0.0, y, 0.1, iterations=10, exact=True)
    k = equations.solve(0.1, torch.tensor([[1.0], [4.0]], dtype=D), torch.zeros_like(y))  # NaN in row 1
    assert equations.failed[:, 0].tolist() == [False, True]
    k[0].sum().backward()
    assert torch.isfinite(a.grad)


def test_second_derivatives_are_refused():
    y = states().requires_grad_()
    problem, part = implicit(van_der_pol, y)
    k = StageEquations(part, 0.0, y, 0.02, iterations=10, exact=True).solve(0.1, y, problem.f(0.0, y))
    with pytest.raises(RuntimeError, match="expected first derivatives of an implicit method"):
        torch.autograd.grad(k.sum(), y, create_graph=True)


def test_a_mass_matrix_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"Field.mass: expected a floating tensor of shape \(2, 2\), found .*\(3, 3\)"):
        implicit(van_der_pol, states(), mass=torch.eye(3))


@pytest.mark.parametrize("t", [0.4, torch.tensor([[0.4], [0.1], [-0.3], [2.0]], dtype=D)], ids=["one", "rows"])
def test_slopes_of_algebraic_components_are_those_of_the_constraint(t):
    """x' = -x z + sin t, 0 = z - x^2 - t: z' = 2 x x' + 1; with rows mixed, so that no row of M is zero."""
    mix = torch.tensor([[1.0, 2.0], [0.5, -1.0]], dtype=D)

    def f(t, y):
        x, z = y[:, 0], y[:, 1]
        time = t.reshape(-1)
        return torch.stack([-x * z + torch.sin(time), z - x**2 - time], 1) @ mix.T

    x = states()[:, :1]
    y = torch.cat([x, x**2 + t], 1)
    problem, part = implicit(f, y, mass=mix @ torch.diag(torch.tensor([1.0, 0.0], dtype=D)), joint=isinstance(t, float))
    k = part.slope(t, y, problem.f(t, y))
    rate = -x * y[:, 1:] + (torch.sin(t) if isinstance(t, torch.Tensor) else torch.sin(torch.tensor(t, dtype=D)))
    torch.testing.assert_close(k, torch.cat([rate, 2 * x * rate + 1], 1))


def test_slopes_under_a_regular_mass_matrix():
    y = states()
    mass = torch.tensor([[2.0, 0.5], [0.1, 1.0]])  # of another dtype than the state
    problem, part = implicit(van_der_pol, y, mass=mass)
    k = part.slope(0.0, y, problem.f(0.0, y))
    torch.testing.assert_close(k @ mass.to(D).T, problem.f(0.0, y))


def test_single_precision_reaches_its_rounding_and_stops():
    y = states().float()
    problem = Problem(Field(van_der_pol), y, joint=True, rtol=1e-9, atol=1e-12, keep=False, estimates=False)
    part = Implicit.of(problem, problem.f, None, None, None, None)
    for exact in (False, True):
        equations = StageEquations(part, 0.0, y, 0.02, iterations=10, exact=exact)
        k = equations.solve(0.01, y, problem.f(0.0, y))
        assert not equations.failed.any()
        assert float((0.02 * (problem.f(0.01, y + 0.02 * k) - k)).abs().max()) < 1e-4
