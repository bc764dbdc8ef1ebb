"""Laws of every linear solver: what it calls converged is verified, and batch elements live apart."""

import pytest
import torch

from opnet.core.errors import SolveError
from opnet.core.registry import lookup, names
from opnet.core.status import Status
from opnet.linops.diffusion import Diffusion
from opnet.solvers.linear.cg import CG
from opnet.solvers.linear.relaxation import Chebyshev, Jacobi
from opnet.solvers.linear.solve import solve_linear
from opnet.solvers.multigrid.multigrid import Multigrid
from opnet.spaces.grid import Grid

SOLVERS = {
    "CG": CG(),
    "CG, Jacobi": CG(preconditioner=Jacobi()),
    "CG, Chebyshev": CG(preconditioner=Chebyshev(degree=3)),
    "CG, Multigrid": CG(preconditioner=Multigrid(coarsest=4)),
    "CG, Multigrid float32": CG(preconditioner=Multigrid(coarsest=4, dtype=torch.float32)),
    "Jacobi": Jacobi(),
    "Chebyshev": Chebyshev(low=0.1),
    "Multigrid": Multigrid(coarsest=4),
    "Multigrid W(2,1)": Multigrid(cycle="W", pre=2, post=1, coarsest=4, smoother=Jacobi(0.8)),
}
GRID = Grid((8, 8), nodes="cell")


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(params=SOLVERS)
def solver(request):
    return SOLVERS[request.param]


@pytest.fixture
def A():
    return Diffusion(random(3, 8, 8).exp(), GRID)


def test_every_registered_solver_is_tested():
    assert {lookup("solver", name) for name in names("solver")} <= {type(solver) for solver in SOLVERS.values()}


def test_solves_what_a_dense_method_solves(solver, A):
    b = random(3, 8, 8, seed=1)
    solution = solve_linear(A, b, solver, rtol=1e-10, max_iterations=3000)
    exact = torch.linalg.solve(A.to_dense(), b.reshape(3, 64, 1)).reshape(3, 8, 8)
    torch.testing.assert_close(solution.value, exact, rtol=1e-7, atol=1e-9)
    measured = (b - A @ solution.value).flatten(1).norm(dim=1) / b.flatten(1).norm(dim=1)
    torch.testing.assert_close(solution.residual, measured, rtol=1e-6, atol=0)
    assert solution.status.tolist() == [Status.CONVERGED] * 3
    assert solution.history.shape == (int(solution.iterations.max()) + 1, 3)
    assert solution.history[0].tolist() == [1.0] * 3
    norm = torch.linalg.matrix_norm(A.to_dense(), ord=2)
    exact_backward = (measured * b.flatten(1).norm(dim=1)) / (
        norm * exact.flatten(1).norm(dim=1) + b.flatten(1).norm(dim=1)
    )
    ratio = solution.backward_error / exact_backward
    assert bool(((ratio > 0.99) & (ratio < 4)).all())


def test_batch_is_a_loop(solver):
    a, b = random(3, 8, 8).exp(), random(3, 8, 8, seed=1)
    together = solve_linear(Diffusion(a, GRID), b, solver, max_iterations=3000)
    for i in range(3):
        alone = solve_linear(Diffusion(a[i], GRID), b[i], solver, max_iterations=3000)
        if not isinstance(solver, Chebyshev):  # whose spectral bound is that of the batch
            assert abs(int(alone.iterations) - int(together.iterations[i])) <= 1
        torch.testing.assert_close(alone.value, together.value[i], rtol=1e-6, atol=1e-8)


def test_non_finite_right_hand_side_harms_itself_alone(solver, A):
    b = random(3, 8, 8, seed=1)
    clean = solve_linear(A, b, solver, max_iterations=3000)
    for bad in (torch.nan, torch.inf):
        spoilt = b.clone()
        spoilt[1, 2, 3] = bad
        solution = solve_linear(A, spoilt, solver, max_iterations=3000, throw=False)
        assert solution.status.tolist() == [Status.CONVERGED, Status.NON_FINITE, Status.CONVERGED]
        torch.testing.assert_close(solution.value[[0, 2]], clean.value[[0, 2]], rtol=1e-12, atol=1e-14)
        with pytest.raises(SolveError, match="NaN or Inf") as failure:
            solve_linear(A, spoilt, solver, max_iterations=3000)
        assert (failure.value.index, failure.value.status) == (1, Status.NON_FINITE)


def test_iteration_limit_is_reported(solver, A):
    b = random(3, 8, 8, seed=1)
    solution = solve_linear(A, b, solver, rtol=1e-12, max_iterations=2, throw=False)
    assert solution.status.tolist() == [Status.MAX_ITERATIONS] * 3
    assert solution.iterations.tolist() == [2] * 3


def test_zero_right_hand_side_and_good_start_need_nothing(solver, A):
    b = random(3, 8, 8, seed=1)
    b[1] = 0
    solution = solve_linear(A, b, solver, x0=torch.ones_like(b), max_iterations=3000)
    assert float(solution.value[1].abs().max()) == 0
    assert float(solution.residual[1]) == 0
    again = solve_linear(A, b, solver, x0=solution.value, rtol=1e-7)
    assert again.iterations.tolist() == [0, 0, 0]


def test_state_is_reused_for_its_operator_alone(solver, A):
    b = random(3, 8, 8, seed=1)
    state = solver.setup(A)
    fresh, reused = (solve_linear(A, b, s, max_iterations=3000).value for s in (solver, state))
    assert torch.equal(fresh, reused)
    with pytest.raises(ValueError, match="another operator"):
        solve_linear(Diffusion(random(3, 8, 8).exp(), GRID), b, state)


def test_symmetric_states_are_symmetric_positive_definite(solver, A):
    state = solver.setup(A)
    if not state.symmetric:
        with pytest.raises(ValueError, match="symmetric"):
            CG(preconditioner=solver).setup(A)
        return
    basis = torch.eye(64, dtype=torch.float64).reshape(64, 1, 8, 8).expand(64, 3, 8, 8)
    M = state.apply(basis).reshape(64, 3, 64).transpose(0, 1)
    torch.testing.assert_close(M, M.mT, rtol=1e-9, atol=1e-12 * float(M.abs().max()))
    assert float(torch.linalg.eigvalsh(M).min()) > 0


def test_several_right_hand_sides_of_one_operator(solver):
    A = Diffusion(random(8, 8).exp(), GRID)
    b = random(2, 3, 8, 8, seed=1)
    solution = solve_linear(A, b, solver, max_iterations=3000)
    assert solution.status.shape == solution.residual.shape == (2, 3)
    torch.testing.assert_close(A @ solution.value, b, rtol=0, atol=1e-6)
