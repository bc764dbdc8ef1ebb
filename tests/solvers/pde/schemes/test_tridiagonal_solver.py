import pytest
import torch

from opnet.linops.dense import Dense
from opnet.linops.diagonal import Identity
from opnet.solvers.linear.solve import solve_linear
from opnet.solvers.pde.schemes.tridiagonal_solver import TridiagonalSolver


@pytest.mark.parametrize("n", [1, 2, 3, 7, 64])
def test_solves_a_batch_of_tridiagonal_systems_and_their_adjoints(n):
    matrix = torch.randn(3, n, n, dtype=torch.float64).tril(1).triu(-1) + 4 * torch.eye(n, dtype=torch.float64)
    b = torch.randn(3, n, dtype=torch.float64)
    state = TridiagonalSolver().setup(Dense(matrix))
    x = solve_linear(state.operator, b, state, rtol=1e-12).value
    torch.testing.assert_close(x, torch.linalg.solve(matrix, b))
    adjoint = state.adjoint()
    y = solve_linear(adjoint.operator, b, adjoint, rtol=1e-12).value
    torch.testing.assert_close(y, torch.linalg.solve(matrix.mT, b))


def test_operators_on_more_axes_are_refused():
    with pytest.raises(ValueError, match="an operator on vectors"):
        TridiagonalSolver().setup(Identity((3, 3)))
