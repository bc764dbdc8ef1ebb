"""Laws of every linear solver: what it calls converged is verified, batch elements live apart, gradients are right."""

from re import sub

import pytest
import torch

from opnet.core.errors import AccuracyWarning, SolveError
from opnet.core.registry import lookup, names
from opnet.core.status import Status
from opnet.linops.dense import Dense
from opnet.linops.diffusion import Diffusion
from opnet.solvers.linear.bicgstab import BiCGStab
from opnet.solvers.linear.cg import CG
from opnet.solvers.linear.direct import DirectSolver
from opnet.solvers.linear.equilibrated import Equilibrated
from opnet.solvers.linear.flexible_cg import FlexibleCG
from opnet.solvers.linear.gmres import GMRES
from opnet.solvers.linear.learned import Learned
from opnet.solvers.linear.minres import MINRES
from opnet.solvers.linear.relaxation import Chebyshev, Jacobi
from opnet.solvers.linear.richardson import Richardson
from opnet.solvers.linear.solve import solve_linear
from opnet.solvers.linear.surrogate import Surrogate
from opnet.solvers.multigrid.algebraic import AlgebraicMultigrid
from opnet.solvers.multigrid.multigrid import Multigrid
from opnet.solvers.multigrid.smoothers import GaussSeidel, Lines
from opnet.spaces.grid import Grid

GRID = Grid((8, 8), nodes="cell")


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def network():
    """An untrained one, which is no help at all."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        layers = torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.GELU(), torch.nn.Conv2d(4, 1, 3, padding=1)
        return torch.nn.Sequential(*layers).double()


SOLVERS = {
    "CG": CG(),
    "CG, Jacobi": CG(preconditioner=Jacobi()),
    "CG, Chebyshev": CG(preconditioner=Chebyshev(degree=3)),
    "CG, Multigrid": CG(preconditioner=Multigrid(coarsest=4)),
    "CG, Multigrid float32": CG(preconditioner=Multigrid(coarsest=4, dtype=torch.float32)),
    "CG, Surrogate": CG(preconditioner=Surrogate(Diffusion(torch.ones(8, 8), GRID), DirectSolver())),
    "FlexibleCG": FlexibleCG(),
    "FlexibleCG, CG": FlexibleCG(preconditioner=CG(preconditioner=Jacobi()), memory=2),
    "FlexibleCG, network": FlexibleCG(preconditioner=Learned(network(), channel=True), memory=8),
    "MINRES": MINRES(),
    "MINRES, Jacobi": MINRES(preconditioner=Jacobi()),
    "BiCGStab": BiCGStab(),
    "BiCGStab, Jacobi": BiCGStab(preconditioner=Jacobi()),
    "GMRES": GMRES(restart=64),
    "GMRES(10), Jacobi": GMRES(preconditioner=Jacobi(), restart=10),
    "Richardson, Jacobi": Richardson(weight=0.9, preconditioner=Jacobi(weight=1.0)),
    "Jacobi": Jacobi(),
    "Chebyshev": Chebyshev(low=0.1),
    "Multigrid": Multigrid(coarsest=4),
    "Multigrid W(2,1)": Multigrid(cycle="W", pre=2, post=1, coarsest=4, smoother=Jacobi(0.8)),
    "Gauss-Seidel": GaussSeidel(),
    "Lines": Lines(),
    "DirectSolver": DirectSolver(),
    "Equilibrated CG": Equilibrated(CG()),
}


# One of each family, at every run; the others with `-m slow`.
QUICK = {
    "CG, Multigrid",
    "FlexibleCG, network",
    "MINRES",
    "BiCGStab",
    "GMRES",
    "Chebyshev",
    "Multigrid",
    "DirectSolver",
}


@pytest.fixture(params=[s if s in QUICK else pytest.param(s, marks=pytest.mark.slow) for s in SOLVERS])
def solver(request):
    return SOLVERS[request.param]


@pytest.fixture
def A():
    return Diffusion(random(3, 8, 8).exp(), GRID)


def test_every_registered_solver_is_tested():
    # Algebraic multigrid takes no batched operator; its own tests are beside it.
    tested = {type(solver) for solver in SOLVERS.values()} | {Surrogate, Learned, AlgebraicMultigrid}
    assert {lookup("solver", name) for name in names("solver")} <= tested


def test_solves_what_a_dense_method_solves(solver, A):
    b = random(3, 8, 8, seed=1)
    solution = solve_linear(A, b, solver, rtol=1e-10, max_iterations=3000)
    exact = torch.linalg.solve(A.to_dense(), b.reshape(3, 64, 1)).reshape(3, 8, 8)
    torch.testing.assert_close(solution.value, exact, rtol=1e-7, atol=1e-9)
    measured = (b - A @ solution.value).flatten(1).norm(dim=1) / b.flatten(1).norm(dim=1)
    torch.testing.assert_close(solution.residual, measured, rtol=1e-6, atol=0)
    assert solution.status.tolist() == [Status.CONVERGED] * 3
    assert solution.history.shape == (int(solution.iterations.max()) + 1, 3)
    assert solution.history[0].tolist() == pytest.approx([1.0] * 3, rel=1e-14)
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


def test_non_finite_operator_harms_its_own_element_alone(solver, A):
    b = random(3, 8, 8, seed=1)
    clean = solve_linear(A, b, solver, max_iterations=3000)
    faces = [c.clone() for c in A.faces]
    faces[0][1, 4, 2] = torch.nan
    solution = solve_linear(A.rebuild(tuple(faces)), b, solver, max_iterations=3000, throw=False)
    assert solution.status.tolist() == [Status.CONVERGED, Status.NON_FINITE, Status.CONVERGED]
    # A bound on the spectrum that the whole batch shares has lost one element.
    torch.testing.assert_close(solution.value[[0, 2]], clean.value[[0, 2]], rtol=1e-6, atol=1e-8)


def test_iteration_limit_is_reported(solver, A):
    if isinstance(solver, DirectSolver):
        pytest.skip("done before the limit")
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
        for method in (CG, MINRES):
            with pytest.raises(ValueError, match="symmetric"):
                method(preconditioner=solver).setup(A)
        return
    M = as_matrix(state)
    single = isinstance(solver, Multigrid) and solver.dtype != torch.float64  # precision of its cycle
    torch.testing.assert_close(M, M.mH, rtol=0, atol=(1e-6 if single else 1e-12) * float(M.abs().max()))
    assert float(torch.linalg.eigvalsh(M).min()) > 0


def as_matrix(state):
    """The matrix of a state's `apply`.  # shape: (*batch_shape, n, n)"""
    A, n = state.operator, state.operator.shape[0]
    basis = torch.eye(n, dtype=A.dtype).reshape(n, *(1,) * len(A.batch_shape), *A.in_shape)
    image = state.apply(basis.expand(n, *A.batch_shape, *A.in_shape).clone())
    return image.reshape(n, *A.batch_shape, n).movedim(0, -1)


def test_several_right_hand_sides_of_one_operator(solver):
    A = Diffusion(random(8, 8).exp(), GRID)
    b = random(2, 3, 8, 8, seed=1)
    solution = solve_linear(A, b, solver, max_iterations=3000)
    assert solution.status.shape == solution.residual.shape == (2, 3)
    torch.testing.assert_close(A @ solution.value, b, rtol=0, atol=1e-6)


def test_batches_of_operator_and_right_hand_sides_broadcast(solver):
    A = Diffusion(random(2, 1, 8, 8).exp(), GRID)
    b = random(3, 8, 8, seed=1)
    solution = solve_linear(A, b, solver, max_iterations=3000)
    assert solution.value.shape == (2, 3, 8, 8)
    torch.testing.assert_close(A @ solution.value, b.expand(2, 3, 8, 8), rtol=0, atol=1e-6)


def test_beyond_the_precision_the_best_there_is_comes_with_a_warning(solver):
    if isinstance(solver, CG) and isinstance(solver.preconditioner, Multigrid) and solver.preconditioner.dtype:
        pytest.skip("is the same in float32")
    A = Diffusion(random(8, 8).exp().float(), GRID)
    b = random(8, 8, seed=1).float()
    with pytest.warns(AccuracyWarning, match=r"1 of 1 elements.*asked 1e-12"):
        solution = solve_linear(A, b, solver, rtol=1e-12, max_iterations=3000)
    assert solution.status.item() == Status.ROUNDING_FLOOR
    assert 1e-12 < float(solution.residual) < 1e-4
    assert float(solution.backward_error) <= 8 * 1.2e-7


# Singular systems: constants are the kernel.

NEUMANN = Grid((8, 8), boundary=("neumann", "periodic"), nodes="cell")


def test_a_known_kernel_is_projected_out(solver):
    A = Diffusion(random(2, 8, 8).exp(), NEUMANN)
    b = random(3, 2, 8, 8, seed=1)
    b = b - b.mean((-2, -1), keepdim=True)
    solution = solve_linear(A, b, solver, rtol=1e-9, max_iterations=3000, x0=torch.ones_like(b))
    torch.testing.assert_close(A @ solution.value, b, rtol=0, atol=1e-6)
    size = solution.value.abs().amax((-2, -1))
    assert bool((solution.value.mean((-2, -1)).abs() < 1e-13 * size).all())


def test_an_inconsistent_system_is_told_from_its_neighbours(solver):
    A = Diffusion(random(3, 8, 8).exp(), NEUMANN)
    b = random(3, 8, 8, seed=1)
    b = b - b.mean((-2, -1), keepdim=True)
    clean = solve_linear(A, b, solver, max_iterations=3000)
    shifted = b.clone()
    shifted[1] += 1e-4
    solution = solve_linear(A, shifted, solver, max_iterations=3000, throw=False)
    assert solution.status.tolist() == [Status.CONVERGED, Status.INCONSISTENT, Status.CONVERGED]
    torch.testing.assert_close(solution.value, clean.value, rtol=1e-6, atol=1e-7)
    measured = (shifted - A @ solution.value).flatten(1).norm(dim=1) / shifted.flatten(1).norm(dim=1)
    torch.testing.assert_close(solution.residual[1], measured[1], rtol=1e-4, atol=0)
    with pytest.raises(SolveError, match="kernel"):
        solve_linear(A, shifted, solver, max_iterations=3000)


# Operators that are not symmetric, not definite, not real: each method gets what it takes.


def hermitian(dtype, shift, seed=0):
    matrix = random(2, 12, 12, dtype=dtype, seed=seed) / 5
    return matrix + matrix.mH + shift * torch.eye(12, dtype=dtype)


def alternating(dtype):
    """Eigenvalues -5, ..., -2, 2, ..., 5."""
    Q, _ = torch.linalg.qr(random(2, 12, 12, dtype=dtype))
    values = torch.linspace(2, 5, 6, dtype=torch.float64)
    matrix = (Q * torch.cat([-values, values]).to(dtype)) @ Q.mH
    return (matrix + matrix.mH) / 2


def arbitrary(dtype):
    return random(2, 12, 12, dtype=dtype, seed=2) / 3 + 3 * torch.eye(12, dtype=dtype)


MATRICES = {
    "definite": lambda dtype: hermitian(dtype, 5),
    "indefinite": alternating,
    "arbitrary": arbitrary,
}
TAKES = [
    *((solver, "definite") for solver in (CG(), CG(preconditioner=Jacobi()), FlexibleCG(), Equilibrated(CG()))),
    *(
        (solver, "definite")
        for solver in (Jacobi(), Chebyshev(low=0.1), Richardson(0.15), Richardson(1.0, DirectSolver()))
    ),
    *((solver, "indefinite") for solver in (MINRES(), MINRES(Richardson(0.3)), GMRES(), DirectSolver())),
    *((solver, "arbitrary") for solver in (BiCGStab(), BiCGStab(Jacobi()), GMRES(), GMRES(Jacobi(), restart=5))),
    *((solver, "arbitrary") for solver in (GMRES(GMRES(restart=2)), GMRES(Learned(torch.clone)), DirectSolver())),
    *((solver, "arbitrary") for solver in (Equilibrated(GMRES()), Equilibrated(BiCGStab()), Richardson(0.3))),
]


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize(("solver", "kind"), TAKES, ids=lambda value: sub(r" at 0x\w+", "", str(value)))
class TestOperatorsOfEachKind:
    @pytest.fixture
    def matrix(self, kind, dtype):
        return MATRICES[kind](dtype)

    def test_solution(self, solver, matrix):
        b = random(3, 2, 12, seed=1, dtype=matrix.dtype)
        solution = solve_linear(Dense(matrix), b, solver, rtol=1e-10)
        exact = torch.linalg.solve(matrix, b.unsqueeze(-1)).squeeze(-1)
        torch.testing.assert_close(solution.value, exact, rtol=1e-8, atol=1e-8)
        assert not solution.residual.is_complex()

    def test_non_finite_matrix_harms_its_own_element_alone(self, solver, matrix):
        b = random(2, 12, seed=1, dtype=matrix.dtype)
        clean = solve_linear(Dense(matrix), b, solver, rtol=1e-10)
        spoilt = matrix.clone()
        spoilt[0, 3, 3] = torch.nan
        solution = solve_linear(Dense(spoilt), b, solver, rtol=1e-10, throw=False)
        assert solution.status.tolist() == [Status.NON_FINITE, Status.CONVERGED]
        torch.testing.assert_close(solution.value[1], clean.value[1], rtol=1e-8, atol=1e-8)

    def test_adjoint_state_solves_the_adjoint_system(self, solver, matrix):
        A, b = Dense(matrix), random(2, 12, seed=1, dtype=matrix.dtype)
        solution = solver.setup(A).adjoint().solve(b, rtol=1e-10)
        exact = torch.linalg.solve(matrix.mH, b.unsqueeze(-1)).squeeze(-1)
        torch.testing.assert_close(solution.value, exact, rtol=1e-8, atol=1e-8)

    @pytest.mark.slow
    def test_gradients(self, solver, kind, matrix):
        matrix, b = matrix[0], random(12, seed=1, dtype=matrix.dtype)
        matrix, b = matrix[:4, :4].contiguous(), b[:4]

        def solve(entries, b):
            own = entries if kind == "arbitrary" else (entries + entries.mH) / 2
            return solve_linear(Dense(own), b, solver, rtol=1e-13, throw=False).value

        if isinstance(solver, Chebyshev):
            solver = Chebyshev(low=0.1, largest=2.0)
        inputs = matrix.requires_grad_(), b.requires_grad_()
        assert torch.autograd.gradcheck(solve, inputs, eps=1e-5, atol=1e-6)


def test_adjoint_of_a_linear_state_is_its_adjoint():
    A = Dense(arbitrary(torch.complex128))
    for solver in (
        Jacobi(sweeps=3),
        Chebyshev(degree=3),
        Richardson(0.3, Jacobi()),
        DirectSolver(),
        Equilibrated(Jacobi()),
    ):
        state = solver.setup(A)
        torch.testing.assert_close(as_matrix(state.adjoint()), as_matrix(state).mH, rtol=1e-12, atol=1e-12)


# Gradients by one more solve.

SMALL = Grid((4, 4), nodes="cell")


def small(solver):
    """The solver without what is bound to the larger grid."""
    if isinstance(solver, CG) and isinstance(solver.preconditioner, Surrogate):
        return CG(preconditioner=Surrogate(Diffusion(torch.ones(4, 4), SMALL), DirectSolver()))
    return solver


def test_gradients(solver):
    method = small(solver)
    a, b = random(4, 4).exp().requires_grad_(), random(4, 4, seed=1).requires_grad_()

    def solve(a, b):
        return solve_linear(Diffusion(a, SMALL), b, method, rtol=1e-12, max_iterations=3000).value

    assert torch.autograd.gradcheck(solve, (a, b), eps=1e-5, atol=1e-6, fast_mode=True)


def test_second_derivatives(solver):
    if isinstance(solver, (Jacobi, Chebyshev, Richardson, GaussSeidel, Lines)):
        pytest.skip("thousands of iterations each time; the same code as the others'")
    method = small(solver)
    grid = Grid((2, 2), nodes="cell") if method is solver else SMALL
    a, b = random(*grid.shape).exp().requires_grad_(), random(*grid.shape, seed=1).requires_grad_()

    def solve(a, b):
        return solve_linear(Diffusion(a, grid), b, method, rtol=1e-12, max_iterations=3000).value

    assert torch.autograd.gradgradcheck(solve, (a, b), eps=1e-5, atol=1e-5, fast_mode=True)


def test_gradients_of_singular_systems(solver):
    method = small(solver)
    grid = Grid((4, 4), boundary="neumann", nodes="cell")
    a, b = random(4, 4).exp().requires_grad_(), random(4, 4, seed=1).requires_grad_()

    def solve(a, b):
        return solve_linear(Diffusion(a, grid), b - b.mean(), method, rtol=1e-11, max_iterations=3000).value

    assert torch.autograd.gradcheck(solve, (a, b), eps=1e-5, atol=1e-6, fast_mode=True)
