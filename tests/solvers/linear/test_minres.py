import pytest
import torch

from opnet.core.status import Status
from opnet.linops.dense import Dense
from opnet.solvers.linear.minres import MINRES
from opnet.solvers.linear.relaxation import Jacobi
from opnet.solvers.linear.richardson import Richardson
from opnet.solvers.linear.solve import solve_linear


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def indefinite(n):
    Q, _ = torch.linalg.qr(random(n, n))
    values = torch.cat([torch.linspace(-4, -1, n // 2), torch.linspace(1, 9, n - n // 2)]).double()
    matrix = (Q * values) @ Q.T
    return (matrix + matrix.T) / 2


def test_every_iterate_has_the_least_residual_of_its_krylov_space():
    matrix, b = indefinite(30), random(30, seed=1)
    for k in (1, 2, 5, 9):
        solution = solve_linear(Dense(matrix), b, MINRES(), rtol=1e-14, max_iterations=k, throw=False)
        powers = [b]
        for _ in range(k - 1):
            powers.append(matrix @ powers[-1] / 9)
        images = matrix @ torch.stack(powers, -1)
        best = (b - images @ torch.linalg.lstsq(images, b.unsqueeze(-1)).solution.squeeze(-1)).norm() / b.norm()
        assert float(solution.residual) == pytest.approx(float(best), rel=1e-6)
        # The recursion for the residual gives its true norm.
        assert float(solution.history[-1]) == pytest.approx(float(solution.residual), rel=1e-10)


def test_the_residual_is_followed_with_a_preconditioner_too():
    matrix, b = indefinite(30) + torch.diag(torch.linspace(0, 30, 30).double()), random(30, seed=1)
    for k in (1, 3, 8):
        solution = solve_linear(Dense(matrix), b, MINRES(Jacobi()), rtol=1e-14, max_iterations=k, throw=False)
        assert float(solution.history[-1]) == pytest.approx(float(solution.residual), rel=1e-9)


def test_an_indefinite_preconditioner_breaks_down():
    matrix = torch.diag(torch.tensor([1.0, -2.0, 3.0]).double())  # whose Jacobi is as indefinite
    solution = solve_linear(Dense(matrix), torch.tensor([0.1, 1.0, 0.1]).double(), MINRES(Jacobi()), throw=False)
    assert solution.status.item() == Status.BREAKDOWN


def test_an_operator_that_is_not_symmetric_is_found_out():
    A = Dense(torch.tensor([[1.0, 4.0], [-4.0, 1.0]]).double())
    solution = solve_linear(A, torch.tensor([1.0, 2.0]).double(), MINRES(), max_iterations=50, throw=False)
    assert not Status(solution.status.item()).ok


def test_a_preconditioner_that_is_not_symmetric_is_refused():
    with pytest.raises(ValueError, match=r"MINRES.preconditioner: expected a symmetric solver, found MINRES"):
        MINRES(MINRES()).setup(Dense(torch.eye(2)))
    MINRES(Richardson(0.5)).setup(Dense(torch.eye(2)))
