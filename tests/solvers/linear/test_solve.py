"""What `solve_linear` promises, on systems that must fail above all."""

import warnings

import pytest
import torch

from opnet.core.errors import AccuracyWarning, SolveError
from opnet.core.status import Status
from opnet.linops.dense import Dense
from opnet.linops.diffusion import Diffusion
from opnet.solvers.linear.cg import CG
from opnet.solvers.linear.direct import DirectSolver
from opnet.solvers.linear.monitor import Monitor
from opnet.solvers.linear.relaxation import RelaxationState
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
        told = solve_linear(A, b + excess, CG(), throw=False)
        assert told.status.item() == Status.INCONSISTENT, excess
        # The same matrix, which does not know its kernel.
        untold = solve_linear(Dense(A.to_dense()), (b + excess).flatten(), CG(), throw=False)
        assert not Status(untold.status.item()).ok, excess


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


def test_single_precision_says_what_it_cannot_reach():
    A = Diffusion(torch.ones(32, 32), Grid((32, 32), nodes="cell"))
    message = r"solve_linear with CG: .*a higher precision is needed .*\(1 of 1 elements\).*residual \S+, asked 1e-12"
    with pytest.warns(AccuracyWarning, match=message) as caught:
        solution = solve_linear(A, torch.ones(32, 32), CG(), rtol=1e-12)
    assert len(caught) == 1
    assert solution.status.item() == Status.ROUNDING_FLOOR
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert solve_linear(A, torch.ones(32, 32), CG(), rtol=1e-4).status.item() == Status.CONVERGED
        asked = solve_linear(A, torch.ones(32, 32), CG(), rtol=1e-12, throw=False)
    assert asked.status.item() == Status.ROUNDING_FLOOR


def test_an_iteration_that_believes_itself_in_vain_has_stagnated():
    """Its own residual meets the tolerance, the true one never does, and not because of rounding."""

    class Boaster(RelaxationState):
        def iterate(self, b, x, target, max_iterations):
            return x, Monitor(torch.zeros_like(target), target)

    A = Dense(torch.diag(torch.tensor([1.0, 2.0])))
    solution = solve_linear(A, torch.ones(2), Boaster(A, (0.8,)), throw=False)
    assert (solution.status.item(), float(solution.residual)) == (Status.STAGNATED, 1.0)
    with pytest.raises(SolveError, match="no progress"):
        solve_linear(A, torch.ones(2), Boaster(A, (0.8,)))


def test_a_drifted_recursion_is_not_believed():
    """In float32 the recursive residual falls far below the true one; the status follows the true one."""
    matrix, _ = symmetric(torch.logspace(-5, 0, 30))
    b = random(30).float()
    solution = solve_linear(Dense(matrix.float()), b, CG(), rtol=1e-7, max_iterations=2000, throw=False)
    true = float((b - matrix.float() @ solution.value).norm() / b.norm())
    assert float(solution.residual) == pytest.approx(true, rel=0.1)
    assert true > 1e-7
    at_floor = float(solution.backward_error) <= 8 * 1.2e-7 and true <= 1.2e-7**0.375  # else x may be diverging
    expected = (Status.ROUNDING_FLOOR,) if at_floor else (Status.STAGNATED, Status.MAX_ITERATIONS)
    assert solution.status.item() in expected


def test_elements_are_restarted_without_the_others():
    """The badly conditioned one drifts in float32 and begins again; the other keeps its count."""
    bad, _ = symmetric(torch.logspace(-4, 0, 60))
    matrix = torch.stack([bad, torch.eye(60).double()]).float()
    solution = solve_linear(Dense(matrix), random(2, 60).float(), CG(), rtol=2e-6, max_iterations=5000, throw=False)
    assert solution.iterations[1] == 1
    assert solution.status[1] == Status.CONVERGED
    assert solution.iterations[0] > 60
    assert bool((solution.history[1:, 1] == solution.history[1, 1]).all())


def test_the_limit_is_kept_over_restarts():
    matrix, _ = symmetric(torch.logspace(-6, 0, 40))
    for limit in (0, 1, 45, 60, 100):
        A, b = Dense(matrix.float()), random(40).float()
        solution = solve_linear(A, b, CG(), rtol=1e-7, max_iterations=limit, throw=False)
        assert solution.iterations.item() <= limit
        assert len(solution.history) == solution.iterations.item() + 1


def test_arguments_are_checked():
    A = Dense(torch.eye(3))
    with pytest.raises(ValueError, match="square"):
        solve_linear(Dense(torch.ones(2, 3)), torch.ones(3), CG())
    with pytest.raises(ValueError, match="shape"):
        solve_linear(A, torch.ones(4), CG())
    with pytest.raises(ValueError, match="float64"):
        solve_linear(A, torch.ones(3).double(), CG())
    with pytest.raises(ValueError, match=r"expected an argument of torch.float32, found torch.int64"):
        solve_linear(A, torch.ones(3, dtype=torch.long), CG())
    with pytest.raises(ValueError, match="rtol"):
        solve_linear(A, torch.ones(3), CG(), rtol=0.0)
    with pytest.raises(ValueError, match="shape"):
        solve_linear(A, torch.ones(3), CG(), x0=torch.ones(2))
    with pytest.raises(ValueError, match=r"b: expected a batch that broadcasts with \(2,\), found \(3,\)"):
        solve_linear(Dense(torch.ones(2, 3, 3)), torch.ones(3, 3), CG())


@pytest.mark.parametrize("size", [1e-200, 1e-170, 1e170, 1e300])
def test_right_hand_sides_of_any_size_are_solved(size):
    """Squares of their entries are no numbers of this precision."""
    b = torch.tensor([[1.0, 1.0, 1.0], [size, 2 * size, 3 * size], [0.0, 0.0, 0.0]], dtype=torch.float64)
    solution = solve_linear(Dense(2 * torch.eye(3, dtype=torch.float64)), b, CG())
    torch.testing.assert_close(solution.value, b / 2, rtol=1e-8, atol=0)
    assert solution.residual.max() <= 1e-8


def test_an_element_that_takes_long_takes_no_iterations_from_others():
    hard, _ = symmetric(torch.logspace(-14, 0, 12).double())
    easy, _ = symmetric(torch.logspace(-6, 0, 12).double())
    b = random(12)
    alone = solve_linear(Dense(easy), b, CG(), rtol=1e-9, max_iterations=60, throw=False)
    both = solve_linear(Dense(torch.stack([easy, hard])), b, CG(), rtol=1e-9, max_iterations=60, throw=False)
    assert int(both.status[0]) == int(alone.status)


def test_a_batch_of_some_coefficients_is_factorised():
    c = torch.tensor([0.0, 10.0, 100.0], dtype=torch.float64)[:, None, None].expand(3, 4, 4)
    A = Diffusion(torch.ones(4, 4, dtype=torch.float64), Grid((4, 4), nodes="cell"), c=c)
    b = torch.ones(4, 4, dtype=torch.float64)
    torch.testing.assert_close(
        solve_linear(A, b, DirectSolver()).value, solve_linear(A, b, CG()).value, rtol=1e-6, atol=0
    )
