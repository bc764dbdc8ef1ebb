import torch

from opnet.core.status import Status
from opnet.linops.dense import Dense
from opnet.solvers.linear.bicgstab import BiCGStab
from opnet.solvers.linear.direct import DirectSolver
from opnet.solvers.linear.solve import solve_linear


def test_an_exact_preconditioner_needs_one_step_which_ends_at_its_half():
    matrix = torch.tensor([[3.0, 1.0], [-1.0, 2.0]], dtype=torch.float64)
    solution = solve_linear(Dense(matrix), torch.tensor([1.0, 2.0]).double(), BiCGStab(DirectSolver()))
    assert (solution.status.item(), solution.iterations.item()) == (Status.CONVERGED, 1)


def test_a_shadow_residual_that_is_lost_begins_again():
    """After one step r is orthogonal to the first residual, and the textbook method divides by 0."""
    matrix = torch.tensor([[1.0, 0.0, 0.0], [2.0, 2.0, 1.0], [1.0, 0.0, 1.0]], dtype=torch.float64)
    b = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    solution = solve_linear(Dense(matrix), b, BiCGStab())
    torch.testing.assert_close(matrix @ solution.value, b, rtol=0, atol=1e-7)


def test_a_skew_operator_breaks_down_in_the_open():
    skew = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
    solution = solve_linear(Dense(skew), torch.tensor([1.0, 2.0]).double(), BiCGStab(), throw=False)
    assert solution.status.item() == Status.BREAKDOWN
