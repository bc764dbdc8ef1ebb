import pytest
import torch

from opnet.core.status import Status
from opnet.linops.dense import Dense
from opnet.solvers.linear.cg import CG
from opnet.solvers.linear.equilibrated import Equilibrated, ScaledBothSides
from opnet.solvers.linear.minres import MINRES
from opnet.solvers.linear.relaxation import Jacobi
from opnet.solvers.linear.solve import solve_linear


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def badly_scaled(n=40):
    """Well conditioned between unknowns whose units differ by 1e8."""
    units = torch.logspace(-4, 4, n, dtype=torch.float64)
    matrix = random(n, n) / 20
    return units[:, None] * (matrix + matrix.T + 3 * torch.eye(n)) * units


def test_units_no_longer_matter():
    matrix, b = badly_scaled(), random(40, seed=1)
    plain = solve_linear(Dense(matrix), b, CG(), rtol=1e-6, throw=False)
    solution = solve_linear(Dense(matrix), b, Equilibrated(CG()), rtol=1e-6)
    assert plain.status.item() == Status.MAX_ITERATIONS
    assert solution.iterations.item() < 60
    assert float((b - matrix @ solution.value).norm() / b.norm()) <= 1e-6


def test_the_tolerance_is_that_of_the_original_system():
    """Every right-hand side, also those that live in the smallest or the largest unknowns."""
    matrix, b = badly_scaled(), torch.eye(40, dtype=torch.float64)
    for rtol in (1e-2, 1e-5, 1e-8):
        solution = solve_linear(Dense(matrix), b, Equilibrated(CG()), rtol=rtol)
        assert bool(((b - solution.value @ matrix).norm(dim=1) <= rtol).all())


def test_the_scaled_operator_has_a_unit_diagonal():
    for dtype in (torch.float64, torch.complex128):
        matrix = random(2, 6, 6, dtype=dtype)
        inner = Equilibrated(Jacobi()).setup(Dense(matrix)).state.operator
        assert isinstance(inner, ScaledBothSides)
        torch.testing.assert_close(inner.to_dense().diagonal(dim1=-2, dim2=-1).abs(), torch.ones(2, 6).double())
        torch.testing.assert_close(inner.diagonal(), inner.to_dense().diagonal(dim1=-2, dim2=-1))
        torch.testing.assert_close(inner.adjoint().to_dense(), inner.to_dense().mH)
        torch.testing.assert_close(inner.rebuild(inner.tensors).to_dense(), inner.to_dense())


def test_zeros_on_the_diagonal_stay():
    matrix = torch.tensor([[0.0, 1.0], [1.0, 4.0]], dtype=torch.float64)
    b = torch.tensor([1.0, 2.0], dtype=torch.float64)
    torch.testing.assert_close(solve_linear(Dense(matrix), b, Equilibrated(MINRES())).value @ matrix, b)


def test_the_limit_is_kept():
    solution = solve_linear(Dense(badly_scaled()), random(40), Equilibrated(CG()), max_iterations=7, throw=False)
    assert (solution.status.item(), solution.iterations.item()) == (Status.MAX_ITERATIONS, 7)
    assert solution.history.shape == (8,)


def test_failures_of_the_solver_are_its_own():
    matrix = torch.diag(torch.tensor([1.0, -2.0], dtype=torch.float64))
    solution = solve_linear(Dense(matrix), torch.ones(2).double(), Equilibrated(CG()), throw=False)
    assert solution.status.item() == Status.BREAKDOWN
    with pytest.raises(ValueError, match="symmetric"):
        CG(Equilibrated(MINRES())).setup(Dense(matrix))
