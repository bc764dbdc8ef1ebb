"""What `solve_linear` promises on systems that must fail."""

import pytest
import torch

from opnet.core.errors import SolveError
from opnet.core.status import Status
from opnet.linops.dense import Dense
from opnet.linops.diffusion import Diffusion
from opnet.solvers.linear.cg import CG
from opnet.solvers.linear.relaxation import Chebyshev, Jacobi
from opnet.solvers.linear.solve import solve_linear
from opnet.spaces.grid import Grid


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def symmetric(eigenvalues, seed=0):
    """A symmetric matrix with the given eigenvalues and random eigenvectors."""
    eigenvalues = torch.as_tensor(eigenvalues, dtype=torch.float64)
    Q, _ = torch.linalg.qr(random(len(eigenvalues), len(eigenvalues), seed=seed))
    matrix = (Q * eigenvalues) @ Q.T
    return (matrix + matrix.T) / 2, Q


def test_non_finite_operator_harms_its_own_element_alone():
    matrix = symmetric([1.0, 2.0, 3.0, 4.0])[0].repeat(3, 1, 1)
    matrix[1, 0, 0] = torch.nan
    b = random(3, 4)
    solution = solve_linear(Dense(matrix), b, CG(), throw=False)
    assert solution.status.tolist() == [Status.CONVERGED, Status.NON_FINITE, Status.CONVERGED]
    torch.testing.assert_close(solution.value[2], torch.linalg.solve(matrix[2], b[2]), rtol=1e-7, atol=1e-9)


def test_indefinite_operator_breaks_down():
    matrix, Q = symmetric([-3.0, 1.0, 2.0, 5.0])
    with pytest.raises(SolveError, match="positive definite") as failure:
        solve_linear(Dense(matrix), Q[:, 0] + 0.1 * Q[:, 1], CG())
    assert failure.value.status == Status.BREAKDOWN


def test_singular_and_inconsistent_is_never_converged():
    """Constants are the kernel: a source that does not sum to zero has no solution, however little it misses."""
    A = Diffusion(torch.ones(8, 8, dtype=torch.float64), Grid((8, 8), boundary="neumann", nodes="cell"))
    b = random(8, 8)
    b = b - b.mean()
    assert solve_linear(A, b, CG()).status.item() == Status.CONVERGED
    for excess in (1.0, 1e-2, 1e-4, 1e-6):
        solution = solve_linear(A, b + excess, CG(), throw=False)
        assert solution.status.item() != Status.CONVERGED, excess


def test_whatever_is_called_converged_has_a_small_residual():
    """Random spectra, definite or not, singular or not, from well to badly conditioned."""
    seen = set()
    for seed in range(150):
        low = 10.0 ** float(-16 * torch.rand((), generator=torch.Generator().manual_seed(seed)))
        eigenvalues = torch.logspace(0, 1, 12).double()
        eigenvalues[:2] = torch.tensor([[low, 1.0], [-low, 1.0], [0.0, low]])[seed % 3]
        matrix, _ = symmetric(eigenvalues, seed)
        b, rtol = random(12, seed=seed + 1000), 10.0 ** -(seed % 14 + 1)
        solution = solve_linear(Dense(matrix), b, CG(), rtol=rtol, max_iterations=200, throw=False)
        seen.add(Status(solution.status.item()))
        residual = float((b - matrix @ solution.value).norm())
        if solution.status.item() == Status.CONVERGED:
            size = float(torch.linalg.matrix_norm(matrix, 2) * solution.value.norm() + b.norm())
            assert residual <= 1.01 * rtol * float(b.norm()) + 1e-16 * size
    assert {Status.CONVERGED, Status.ROUNDING_FLOOR, Status.BREAKDOWN} <= seen


def test_rounding_floor_is_told_from_other_ends_by_the_backward_error():
    """At a condition of 1e6 the residual stops near 1e-11, as small as float64 allows, but above what was asked."""
    matrix, Q = symmetric(torch.logspace(-6, 0, 40))
    A, b = Dense(matrix), Q[:, 0] + Q[:, 1]
    solution = solve_linear(A, b, CG(), rtol=1e-14, max_iterations=3000, throw=False)
    assert solution.status.item() == Status.ROUNDING_FLOOR
    assert float(solution.residual) > 1e-14
    assert float(solution.backward_error) <= 8 * 2.3e-16
    assert solve_linear(A, b, CG(), rtol=1e-10, max_iterations=3000).status.item() == Status.CONVERGED
    early = solve_linear(A, b, CG(), rtol=1e-14, max_iterations=5, throw=False)
    assert early.status.item() == Status.MAX_ITERATIONS


def test_single_precision_does_not_claim_what_it_cannot_reach():
    A = Diffusion(torch.ones(32, 32), Grid((32, 32), nodes="cell"))
    with pytest.raises(
        SolveError, match=r"a larger rtol or a higher precision is needed .*residual \S+, asked 1e-12"
    ) as failure:
        solve_linear(A, torch.ones(32, 32), CG(), rtol=1e-12)
    assert failure.value.status == Status.ROUNDING_FLOOR
    assert solve_linear(A, torch.ones(32, 32), CG(), rtol=1e-4).status.item() == Status.CONVERGED


def test_a_drifted_recursion_is_not_believed():
    """In float32 the recursive residual falls far below the true one; the status follows the true one."""
    matrix, _ = symmetric(torch.logspace(-5, 0, 30))
    b = random(30).float()
    solution = solve_linear(Dense(matrix.float()), b, CG(), rtol=1e-7, max_iterations=2000, throw=False)
    true = float((b - matrix.float() @ solution.value).norm() / b.norm())
    assert float(solution.residual) == pytest.approx(true, rel=0.1)
    if true > 1e-7 and float(solution.backward_error) > 8 * 1.2e-7:
        assert solution.status.item() in (Status.ROUNDING_FLOOR, Status.MAX_ITERATIONS)


def test_arguments_are_checked():
    A = Dense(torch.eye(3))
    with pytest.raises(ValueError, match="square"):
        solve_linear(Dense(torch.ones(2, 3)), torch.ones(3), CG())
    with pytest.raises(ValueError, match="shape"):
        solve_linear(A, torch.ones(4), CG())
    with pytest.raises(ValueError, match="float64"):
        solve_linear(A, torch.ones(3).double(), CG())
    with pytest.raises(ValueError, match="rtol"):
        solve_linear(A, torch.ones(3), CG(), rtol=0.0)
    with pytest.raises(ValueError, match="shape"):
        solve_linear(A, torch.ones(3), CG(), x0=torch.ones(2))
    with pytest.raises(ValueError, match="gradients"):
        solve_linear(A, torch.ones(3, requires_grad=True), CG())
    with pytest.raises(ValueError, match="gradients through a solve are not built yet"):
        solve_linear(Dense(torch.eye(3).requires_grad_()), torch.ones(3), CG())
    with pytest.raises(ValueError, match="weight"):
        Jacobi(weight=2.5)
    with pytest.raises(ValueError, match="degree"):
        Chebyshev(degree=0)


def test_chebyshev_damps_its_interval_as_theory_says():
    """On [low, high] the error shrinks by 1 / T_k((high + low) / (high - low)); k = 2, low/high = 1/4: .22."""
    spectrum = torch.linspace(0.5, 2, 50).double()
    A = Dense(torch.diag(spectrum))
    M = Chebyshev(degree=2, largest=2.0).setup(A)
    M.inverse_diagonal = torch.ones(50).double()  # the polynomial in A itself
    error = torch.ones(50).double() - M.apply(spectrum)
    assert float(error.abs().max()) == pytest.approx(1 / (2 * (5 / 3) ** 2 - 1), rel=1e-10)
