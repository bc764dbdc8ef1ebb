import pytest
import torch

from opnet.core.errors import SolveError
from opnet.core.status import Status
from opnet.solvers.nonlinear.picard import Picard
from opnet.solvers.nonlinear.solve import fixed_point, solve_nonlinear


def one(value):
    return torch.tensor([value], dtype=torch.float64)


def test_contracts_by_the_derivative():
    history = fixed_point(lambda x: 0.3 * x + 1, one(0.0), Picard()).history
    torch.testing.assert_close(history[1:] / history[:-1], torch.full_like(history[1:], 0.3), rtol=1e-6, atol=0)


def test_damping_solves_what_oscillates():
    def g(x):
        return -1.5 * x + 1

    with pytest.raises(SolveError) as failure:
        fixed_point(g, one(0.0), Picard())
    assert failure.value.status == Status.BREAKDOWN  # grew a hundred million times
    torch.testing.assert_close(fixed_point(g, one(0.0), Picard(damping=0.5)).value, one(0.4))


def test_an_iteration_that_only_goes_round_stagnates():
    solution = fixed_point(lambda x: -x + 2, one(0.0), Picard(), throw=False)
    assert (int(solution.status), float(solution.residual)) == (Status.STAGNATED, 2.0)
    assert int(solution.iterations) < 100


def test_an_infinite_iterate_is_no_root():
    def F(x):
        return torch.where(x.isinf(), 0.0, -1e150 * torch.ones_like(x))

    assert int(solve_nonlinear(F, one(0.0), Picard(damping=1e200), throw=False).status) == Status.NON_FINITE
    assert int(solve_nonlinear(F, one(float("inf")), Picard(), throw=False).status) == Status.NON_FINITE


def test_arguments_are_checked():
    for damping in (0.0, -1.0, float("inf")):
        with pytest.raises(ValueError, match=r"Picard\.damping: expected a positive number"):
            Picard(damping)
