import pytest
import torch

from opnet.core.status import Status
from opnet.linops.dense import Dense
from opnet.linops.diffusion import Diffusion
from opnet.linops.low_rank import LowRank
from opnet.linops.sparse import CSR
from opnet.solvers.linear.cg import CG
from opnet.solvers.linear.direct import LARGEST_DENSE, DirectSolver
from opnet.solvers.linear.factors import DenseFactors, SparseFactors
from opnet.solvers.linear.solve import solve_linear
from opnet.spaces.grid import Grid


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def sparse(n, dtype=torch.float64):
    """Diagonally dominant, not symmetric."""
    import scipy.sparse

    matrix = scipy.sparse.random(n, n, density=0.1, random_state=0, format="csr")
    A = CSR.from_scipy(matrix + 3 * scipy.sparse.eye(n))
    if not dtype.is_complex:
        return A.to(dtype=dtype)
    return A.rebuild(((A.values * torch.exp(1j * torch.arange(len(A.values)))).to(dtype),))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.complex128, torch.complex64])
def test_sparse_operators_are_factorised_sparsely(dtype):
    A = sparse(60, dtype)
    state = DirectSolver().setup(A)
    assert isinstance(state.factors, SparseFactors)
    b = random(2, 3, 60, dtype=dtype)
    tolerance = {"rtol": 1e-3, "atol": 1e-4} if dtype in (torch.float32, torch.complex64) else {}
    solved = torch.linalg.solve(A.to_dense(), b.reshape(6, 60).mT).mT.reshape(b.shape)
    torch.testing.assert_close(state.apply(b), solved, **tolerance)
    solved = torch.linalg.solve(A.to_dense().mH, b.reshape(6, 60).mT).mT.reshape(b.shape)
    torch.testing.assert_close(state.adjoint().apply(b), solved, **tolerance)
    assert state.adjoint().factors is state.factors


def test_every_element_of_a_sparse_batch_has_its_factors():
    A = Diffusion(random(2, 1, 5, 4).exp(), Grid((5, 4), nodes="cell"))
    b = random(7, 2, 3, 5, 4, seed=1)
    state = DirectSolver().setup(A)
    assert len(state.factors.factors) == 2
    torch.testing.assert_close(A @ state.apply(b), b, rtol=1e-12, atol=1e-11)


def test_definite_matrices_go_to_cholesky_and_others_to_lu():
    matrix = random(2, 6, 6)
    definite = matrix @ matrix.mT + torch.eye(6)
    mixed = torch.stack([definite[0], definite[1] - 5 * torch.eye(6)])
    for A, cholesky in ((definite, True), (mixed, False), (matrix, False)):
        state = DirectSolver().setup(Dense(A))
        assert isinstance(state.factors, DenseFactors)
        assert state.symmetric == (state.factors.cholesky is not None) == cholesky
        b = random(4, 2, 6, seed=1)
        torch.testing.assert_close(state.apply(b), torch.linalg.solve(A, b.unsqueeze(-1)).squeeze(-1))


def test_a_singular_element_breaks_down_and_leaves_the_others():
    for A in (
        Dense(torch.stack([torch.eye(3), torch.ones(3, 3), 2 * torch.eye(3)]).double()),
        Diffusion.from_faces(
            [torch.tensor([[2.0, 1.0, 1.0, 2.0], [0.0, 1.0, 1.0, 0.0], [1.0, 2.0, 2.0, 1.0]]).double()],
            Grid((3,), nodes="cell"),
        ),
    ):
        solution = solve_linear(A, torch.ones(3).double(), DirectSolver(), throw=False)
        assert solution.status.tolist() == [Status.CONVERGED, Status.BREAKDOWN, Status.CONVERGED]
        assert bool(torch.isfinite(solution.value).all())


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_a_kernel_that_the_caller_knows_is_bordered_out(kind):
    import scipy.sparse

    ring = scipy.sparse.diags([-1.0, -1.0, 2.0, -1.0, -1.0], [-7, -1, 0, 1, 7], (8, 8))
    A = CSR.from_scipy(ring)
    A = A if kind == "sparse" else Dense(A.to_dense())
    b = random(3, 8)
    b = b - b.mean(-1, keepdim=True)
    solution = solve_linear(A, b, DirectSolver(), nullspace=torch.ones(1, 8), rtol=1e-12)
    torch.testing.assert_close(solution.value, b @ torch.linalg.pinv(A.to_dense()), rtol=1e-10, atol=1e-10)


def test_as_a_preconditioner_of_conjugate_gradients_it_leaves_one_step():
    A = Diffusion(random(9, 7).exp(), Grid((9, 7), nodes="cell"))
    assert solve_linear(A, random(9, 7, seed=1), CG(DirectSolver())).iterations.item() == 1


def test_what_has_no_matrix_is_made_dense_up_to_a_size():
    b = random(5)
    A = LowRank(random(5, 2), random(5, 2, seed=1), random(5, seed=2).exp())
    torch.testing.assert_close(A @ solve_linear(A, b, DirectSolver()).value, b)
    n = LARGEST_DENSE + 1
    with pytest.raises(
        ValueError, match=rf"DirectSolver: expected a Dense operator, .*{LARGEST_DENSE}.*found LowRank of {n}"
    ):
        DirectSolver().setup(LowRank(random(n, 1), random(n, 1), torch.ones(n).double()))
