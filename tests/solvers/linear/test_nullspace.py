import pytest
import torch

from opnet.core.errors import SolveError
from opnet.core.status import Status
from opnet.linops.dense import Dense
from opnet.linops.diffusion import Diffusion
from opnet.solvers.linear.cg import CG
from opnet.solvers.linear.direct import DirectSolver
from opnet.solvers.linear.gmres import GMRES
from opnet.solvers.linear.minres import MINRES
from opnet.solvers.linear.relaxation import Jacobi
from opnet.solvers.linear.solve import solve_linear
from opnet.spaces.grid import Grid


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def with_kernel(dtype, values):
    """A Hermitian matrix with these eigenvalues besides two zeros, and vectors that span its kernel, not orthogonal."""
    n = len(values) + 2
    Q, _ = torch.linalg.qr(random(n, n, dtype=dtype))
    matrix = (Q[:, 2:] * torch.tensor(values, dtype=dtype)) @ Q[:, 2:].mH
    vectors = torch.stack([3 * Q[:, 0], Q[:, 0] - 2 * Q[:, 1]])
    return (matrix + matrix.mH) / 2, vectors


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize(
    ("solver", "values"),
    [
        (CG(), (1.0, 2.0, 3.0, 7.0)),
        (CG(Jacobi()), (1.0, 2.0, 3.0, 7.0)),
        (DirectSolver(), (-1.0, 2.0, -3.0, 7.0)),
        (MINRES(), (-1.0, 2.0, -3.0, 7.0)),
        (GMRES(), (-1.0, 2.0, -3.0, 7.0)),
    ],
)
def test_the_solution_is_the_one_of_least_norm(solver, values, dtype):
    matrix, vectors = with_kernel(dtype, values)
    b = random(3, 6, seed=1, dtype=dtype) @ matrix.mT
    solution = solve_linear(Dense(matrix), b, solver, nullspace=vectors, rtol=1e-11)
    torch.testing.assert_close(solution.value, b @ torch.linalg.pinv(matrix).mT, rtol=1e-8, atol=1e-9)
    wrong = solve_linear(Dense(matrix), b + 1e-3 * vectors[0], solver, nullspace=vectors, throw=False)
    assert wrong.status.tolist() == [Status.INCONSISTENT] * 3


def test_what_the_tolerance_allows_is_taken_away():
    A = Diffusion(torch.ones(8, 8, dtype=torch.float64), Grid((8, 8), boundary="neumann", nodes="cell"))
    b = random(8, 8)
    b = b - b.mean()
    share = b.norm() / 8  # a constant of this size is as large as b
    assert solve_linear(A, b + 0.9e-6 * share, CG(), rtol=1e-6).status.item() == Status.CONVERGED
    with pytest.raises(SolveError, match=r"kernel of A\^H: no solution exists") as failure:
        solve_linear(A, b + 1.1e-6 * share, CG(), rtol=1e-6)
    assert failure.value.status == Status.INCONSISTENT


def test_single_precision_rounding_is_not_inconsistency():
    A = Diffusion(torch.ones(32, 32), Grid((32, 32), boundary="neumann", nodes="cell"))
    b = random(32, 32).float() + 10
    b = b - b.mean()
    assert solve_linear(A, b, CG(), rtol=1e-5).status.item() == Status.CONVERGED


def test_a_right_hand_side_with_nan_is_not_called_inconsistent():
    A = Diffusion(torch.ones(8, dtype=torch.float64), Grid((8,), boundary="neumann", nodes="cell"))
    b = torch.full((8,), torch.nan, dtype=torch.float64)
    assert solve_linear(A, b, CG(), throw=False).status.item() == Status.NON_FINITE


def test_vectors_are_checked():
    matrix, vectors = with_kernel(torch.float64, (1.0, 2.0))
    A, b = Dense(matrix), torch.ones(4).double()
    for nullspace, message in (
        (vectors[0], r"nullspace: expected shape \(k, 4\) with k > 0, found \(4,\)"),
        (torch.ones(1, 3).double(), r"nullspace: expected shape \(k, 4\)"),
        (vectors[:0], r"found \(0, 4\)"),
        (torch.stack([vectors[0], 2 * vectors[0]]), "linearly independent"),
        (torch.full((1, 4), torch.nan).double(), "finite"),
        (torch.stack([vectors[0], torch.ones(4).double()]), r"vectors n with A n = 0, found .* for vector 1"),
    ):
        with pytest.raises(ValueError, match=message):
            solve_linear(A, b, CG(), nullspace=nullspace)
    tilted = torch.tensor([[1.0, -1.0], [0.0, 0.0]]).double()  # A n = 0 for (1, 1), but A^T n is not
    with pytest.raises(ValueError, match=r"with A\^H n = 0"):
        solve_linear(Dense(tilted), torch.ones(2).double(), GMRES(), nullspace=torch.ones(1, 2).double())
