import pytest
import torch

from opnet.core.status import Status
from opnet.linops.dense import Dense
from opnet.solvers.linear.gmres import GMRES
from opnet.solvers.linear.solve import solve_linear


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_every_iterate_has_the_least_residual_of_its_krylov_space(dtype):
    matrix = random(20, 20, dtype=dtype) / 3 + 2 * torch.eye(20, dtype=dtype)
    b = random(20, seed=1, dtype=dtype)
    for k in (1, 2, 5, 8):
        solution = solve_linear(Dense(matrix), b, GMRES(), rtol=1e-14, max_iterations=k, throw=False)
        powers = [b]
        for _ in range(k - 1):
            powers.append(matrix @ powers[-1] / 4)
        images = matrix @ torch.stack(powers, -1)
        best = (b - images @ torch.linalg.lstsq(images, b.unsqueeze(-1)).solution.squeeze(-1)).norm() / b.norm()
        assert float(solution.residual) == pytest.approx(float(best), rel=1e-7)
        assert float(solution.history[-1]) == pytest.approx(float(solution.residual), rel=1e-10)


def test_elements_that_end_within_a_cycle_keep_their_solution_through_the_others():
    """The first needs 1, the second 3, the third 12 iterations, in cycles of 8."""
    spread = [torch.ones(12), torch.tensor([1.0, 2.0, 3.0] * 4), torch.linspace(1, 4, 12)]
    A = Dense(torch.stack([torch.diag(values) for values in spread]).double())
    b = random(3, 12)
    b[0] = 0
    b[0, 0] = 1  # whose Krylov space is exhausted without rounding
    solution = solve_linear(A, b, GMRES(restart=8), rtol=1e-10)
    assert solution.iterations[:2].tolist() == [1, 3]
    assert solution.iterations[2] > 8
    torch.testing.assert_close(A @ solution.value, b, rtol=0, atol=1e-9)


def test_a_cycle_without_progress_is_stagnation():
    """Shifting cyclically by one: nothing is gained before the last of n iterations."""
    n = 12
    shift = torch.roll(torch.eye(n, dtype=torch.float64), 1, 0)
    b = torch.zeros(n, dtype=torch.float64)
    b[0] = 1
    short = solve_linear(Dense(shift), b, GMRES(restart=n - 2), throw=False)
    assert (short.status.item(), short.iterations.item()) == (Status.STAGNATED, n - 2)
    full = solve_linear(Dense(shift), b, GMRES(restart=n))
    assert full.iterations.item() == n


def test_a_singular_operator_is_told():
    """It leads out of the reach of b: the least residual there is, and no solution."""
    A = Dense(torch.tensor([[0.0, 1.0], [0.0, 0.0]], dtype=torch.float64))
    solution = solve_linear(A, torch.tensor([1.0, 0.0]).double(), GMRES(), throw=False)
    assert solution.status.item() == Status.BREAKDOWN


def test_the_limit_holds_within_a_cycle():
    matrix = torch.diag(torch.linspace(1, 100, 50).double())
    solution = solve_linear(Dense(matrix), random(50), GMRES(restart=7), max_iterations=10, throw=False)
    assert (solution.status.item(), solution.iterations.item()) == (Status.MAX_ITERATIONS, 10)


def test_arguments_are_checked():
    with pytest.raises(ValueError, match=r"GMRES.restart: expected at least 1 iteration, found 0"):
        GMRES(restart=0)
