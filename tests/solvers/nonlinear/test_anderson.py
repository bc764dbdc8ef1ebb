import pytest
import torch

from opnet.core.errors import SolveError
from opnet.core.status import Status
from opnet.solvers.nonlinear.anderson import Anderson, least_squares
from opnet.solvers.nonlinear.picard import Picard
from opnet.solvers.nonlinear.solve import fixed_point


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def affine(eigenvalues):
    """g(x) = M x + c with a symmetric M of these eigenvalues, and its fixed point."""
    n = len(eigenvalues)
    Q, _ = torch.linalg.qr(random(n, n))
    M, c = (Q * torch.as_tensor(eigenvalues, dtype=torch.float64)) @ Q.T, random(n, seed=1)
    return (lambda x: x @ M + c), torch.linalg.solve(torch.eye(n, dtype=torch.float64) - M, c)


def test_affine_systems_end_in_as_many_steps_as_they_have_eigenvalues():
    """With full memory it is GMRES in disguise: as many iterations as I - M has distinct eigenvalues, and one."""
    for eigenvalues in ([0.9, 0.9, -0.5, 0.3], [0.9, -0.9, 0.9, -0.9], [2.0, -4.0, 0.5, 0.25]):
        g, exact = affine(eigenvalues)
        solution = fixed_point(g, torch.zeros(4, dtype=torch.float64), Anderson(), rtol=1e-9)
        assert int(solution.iterations) <= len(set(eigenvalues)) + 1
        torch.testing.assert_close(solution.value, exact, rtol=1e-7, atol=1e-8)


def test_solves_a_stiff_fixed_point_that_picard_cannot():
    """x = 0.1 (c - k x - x^3) with rates k from 1 to 1e3, as an implicit Euler step of a stiff system has it."""
    k, c = torch.logspace(0, 3, 8, dtype=torch.float64), random(8)

    def g(x):
        return 0.1 * (c - k * x - x**3)

    x0 = torch.zeros(8, dtype=torch.float64)
    with pytest.raises(SolveError) as failure:
        fixed_point(g, x0, Picard(), max_iterations=10_000)
    assert failure.value.status in (Status.BREAKDOWN, Status.NON_FINITE)
    solution = fixed_point(g, x0, Anderson(memory=8))
    assert int(solution.iterations) < 40
    torch.testing.assert_close(solution.value, g(solution.value), rtol=0, atol=1e-7)


def test_accelerates_a_slow_contraction():
    g, exact = affine(torch.linspace(0, 0.99, 30).tolist())
    x0 = torch.zeros(30, dtype=torch.float64)
    slow = fixed_point(g, x0, Picard(), max_iterations=5000)
    fast = fixed_point(g, x0, Anderson(memory=10))
    assert int(fast.iterations) * 10 < int(slow.iterations)
    torch.testing.assert_close(fast.value, exact, rtol=0, atol=1e-5)


def test_more_memory_than_unknowns_is_harmless():
    solution = fixed_point(lambda x: 0.5 * x.cos(), torch.ones(2, 1, dtype=torch.float64), Anderson(50), batch_dims=1)
    torch.testing.assert_close(solution.value, 0.5 * solution.value.cos(), rtol=0, atol=1e-8)


def test_least_squares_of_dependent_zero_and_unequal_columns():
    A, b = random(3, 7, 4), random(3, 7, seed=1)
    exact = torch.linalg.lstsq(A, b[..., None]).solution.squeeze(-1)
    torch.testing.assert_close(least_squares(A, b), exact)
    scale = torch.tensor([1e-20, 1.0, 1e10, 1e-5], dtype=torch.float64)
    torch.testing.assert_close(least_squares(A * scale, b) * scale, exact)
    doubled = torch.cat([A, A[..., :1], torch.zeros(3, 7, 1, dtype=torch.float64)], -1)
    y = least_squares(doubled, b)
    torch.testing.assert_close((doubled @ y[..., None]).squeeze(-1), (A @ exact[..., None]).squeeze(-1))
    assert y[:, -1].tolist() == [0.0] * 3


def test_arguments_are_checked():
    for wrong in ({"memory": 0}, {"damping": 0.0}, {"damping": float("nan")}):
        with pytest.raises(ValueError, match=r"Anderson\.(memory|damping): expected"):
            Anderson(**wrong)
