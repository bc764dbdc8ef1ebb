from math import cosh, log, sqrt

import pytest
import torch

from opnet.core.errors import SolveError
from opnet.core.status import Status
from opnet.linops.diffusion import Diffusion
from opnet.solvers.linear.direct import DirectSolver
from opnet.solvers.linear.gmres import GMRES
from opnet.solvers.linear.surrogate import Surrogate
from opnet.solvers.nonlinear.newton_krylov import EisenstatWalker, NewtonKrylov
from opnet.solvers.nonlinear.solve import solve_nonlinear
from opnet.spaces.grid import Grid


def bratu(n, dim=1):
    """-Laplace u - e^u on n cells an axis, with u = 0 on the sides."""
    A = Diffusion(torch.ones((n,) * dim, dtype=torch.float64), Grid((n,) * dim, nodes="cell"))
    return lambda u: A.apply(u) - u.exp()


def bratu_exact(x):
    """u = -2 ln(cosh((x - 1/2) t / 2) / cosh(t / 4)) with t = sqrt(2) cosh(t / 4): the lower branch."""
    t = 1.5
    for _ in range(60):
        t = sqrt(2) * cosh(t / 4)
    return -2 * (((x - 0.5) * t / 2).cosh().log() - log(cosh(t / 4)))


def test_bratu_in_one_dimension_at_second_order():
    errors = []
    for n in (16, 32, 64):
        solution = solve_nonlinear(bratu(n), torch.zeros(n, dtype=torch.float64), NewtonKrylov(GMRES(restart=n)))
        x = (torch.arange(n, dtype=torch.float64) + 0.5) / n
        errors.append(float((solution.value - bratu_exact(x)).abs().max()))
        assert int(solution.iterations) <= 6
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.05)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.05)


def test_bratu_in_two_dimensions_batched_over_its_parameter():
    """Below the fold at 6.808 the lower branch; above there is no solution."""
    F, strength = bratu(16, 2), torch.tensor([1.0, 6.0, 8.0], dtype=torch.float64)[:, None, None]

    def residual(u):
        return F(u) + (1 - strength) * u.exp()

    u0 = torch.zeros(3, 16, 16, dtype=torch.float64)
    solution = solve_nonlinear(residual, u0, NewtonKrylov(GMRES(restart=60)), batch_dims=1, throw=False)
    assert solution.status[:2].tolist() == [Status.CONVERGED] * 2
    assert Status(int(solution.status[2])) in (Status.STAGNATED, Status.BREAKDOWN, Status.MAX_ITERATIONS)
    assert float(solution.value[0].max()) == pytest.approx(0.0780, abs=2e-3)


def test_linear_steps_take_preconditioners_of_nearby_operators():
    """The diffusion alone, factorised, for the Jacobian A - e^u of Bratu's problem, forward and backward."""
    n = 24
    A = Diffusion(torch.ones(n, n, dtype=torch.float64), Grid((n, n), nodes="cell"))
    strength = torch.tensor([1.0, 5.0], dtype=torch.float64, requires_grad=True)
    solver = GMRES(preconditioner=Surrogate(A, DirectSolver()))

    def F(u, strength):
        return A.apply(u) - strength[:, None, None] * u.exp()

    u0 = torch.zeros(2, n, n, dtype=torch.float64)
    options = {"parameters": (strength,), "batch_dims": 1}
    with torch.no_grad():
        plain = solve_nonlinear(F, u0, NewtonKrylov(), **options)
    solution = solve_nonlinear(F, u0, NewtonKrylov(solver), adjoint=solver, **options)
    assert solution.evaluations * 4 < plain.evaluations
    torch.testing.assert_close(solution.value, plain.value, rtol=0, atol=1e-7)
    (gradient,) = torch.autograd.grad(solution.value.sum(), strength)
    with torch.no_grad():
        shifted = solve_nonlinear(F, u0, NewtonKrylov(solver), **{**options, "parameters": (strength + 1e-5,)})
        expected = (shifted.value - solution.value).sum((1, 2)) / 1e-5
    torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=0)


def test_converges_quadratically():
    """Each step doubles the digits, with exact steps as with Eisenstat and Walker's."""
    c = torch.tensor([2.0, 0.5, 3.0], dtype=torch.float64)

    def F(x):
        return x.exp() + 0.1 * x.roll(1) ** 2 - c

    for forcing in (1e-12, EisenstatWalker()):
        solution = solve_nonlinear(F, torch.zeros_like(c), NewtonKrylov(forcing=forcing), rtol=1e-14, atol=1e-14)
        digits = -solution.history[solution.history > 1e-13].log10()
        early, late = digits[-2:]
        assert float(late / early) > 1.7, forcing


def test_a_line_search_holds_what_full_steps_lose():
    """Newton's steps for atan diverge from beyond 1.392."""
    x0 = torch.tensor([[1.0], [5.0], [-50.0]], dtype=torch.float64)
    solution = solve_nonlinear(torch.atan, x0, NewtonKrylov(), batch_dims=1, atol=1e-10)
    assert float(solution.value.abs().max()) < 1e-7
    assert bool((solution.history[1:] <= solution.history[:-1]).all())


def test_steps_out_of_the_domain_are_taken_back():
    """The full step from 3 leads to 3 - 3 ln 3 < 0, where the logarithm is NaN."""
    solution = solve_nonlinear(torch.log, torch.tensor([3.0], dtype=torch.float64), NewtonKrylov())
    torch.testing.assert_close(solution.value, torch.ones(1, dtype=torch.float64))


def test_a_singular_jacobian_breaks_down_alone():
    """At (1, 0) the first row of J is zero, and -F is not in its range."""

    def F(x):
        return torch.stack([x[:, 1] ** 2 + 1 + 0 * x[:, 0], x[:, 0] - 2 + x[:, 1]], 1) * torch.tensor([1.0, 1.0])

    def either(x):
        good = torch.stack([x[:, 0] ** 2 - 4, x[:, 1] - 1], 1)
        return torch.where((torch.arange(2) == 0)[:, None], F(x), good)

    x0 = torch.tensor([[1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    solution = solve_nonlinear(either, x0, NewtonKrylov(), batch_dims=1, throw=False)
    assert solution.status.tolist() == [Status.BREAKDOWN, Status.CONVERGED]
    torch.testing.assert_close(solution.value[1], torch.tensor([2.0, 1.0], dtype=torch.float64), rtol=0, atol=1e-7)


def test_forcing_terms_follow_the_formula():
    rule = EisenstatWalker()
    eta, norm, previous = (torch.tensor(v, dtype=torch.float64) for v in ([0.5, 0.5, 0.01], [1.0, 0.1, 0.1], [1.0] * 3))
    # Too large: cut off; too small too early: held at .9 * .5^2; free: .9 * .1^2.
    torch.testing.assert_close(rule.next(eta, norm, previous), torch.tensor([0.9, 0.225, 0.009], dtype=torch.float64))


def test_loose_forcing_saves_products_with_the_jacobian():
    k = torch.linspace(1, 50, 100, dtype=torch.float64)

    def F(x):
        return k * x + x.roll(1) ** 3 - 1

    strict, adapted = (
        solve_nonlinear(F, torch.zeros_like(k), NewtonKrylov(forcing=forcing)).evaluations
        for forcing in (1e-10, EisenstatWalker())
    )
    assert adapted < 0.7 * strict


def test_arguments_are_checked():
    for wrong in ({"forcing": 1.5}, {"linear_iterations": 0}):
        with pytest.raises(ValueError, match=r"NewtonKrylov\.(forcing|linear_iterations): expected"):
            NewtonKrylov(**wrong)
    with pytest.raises(ValueError, match="EisenstatWalker: expected gamma"):
        EisenstatWalker(alpha=3.0)
    with pytest.raises(SolveError, match="NewtonKrylov"):
        solve_nonlinear(lambda x: x**2 + 1, torch.ones(1), NewtonKrylov())
