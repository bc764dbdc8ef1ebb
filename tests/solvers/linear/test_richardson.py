import pytest
import torch

from opnet.linops.dense import Dense
from opnet.solvers.linear.relaxation import Jacobi
from opnet.solvers.linear.richardson import Richardson
from opnet.solvers.linear.solve import solve_linear


def test_the_best_weight_contracts_as_theory_says():
    """By (c - 1) / (c + 1) an iteration for the condition number c; Saad, section 4.2.1."""
    values = torch.linspace(1, 9, 30, dtype=torch.float64)
    b = torch.zeros(30, dtype=torch.float64)
    b[0] = b[-1] = 1
    history = solve_linear(Dense(torch.diag(values)), b, Richardson(weight=2 / 10)).history
    torch.testing.assert_close(history[1:] / history[:-1], torch.full_like(history[1:], 0.8), rtol=1e-6, atol=0)


def test_around_jacobi_it_is_jacobi():
    matrix = torch.tensor([[4.0, 1.0], [1.0, 3.0]], dtype=torch.float64)
    b = torch.tensor([1.0, 2.0], dtype=torch.float64)
    one, two = (solve_linear(Dense(matrix), b, s) for s in (Jacobi(0.8), Richardson(0.8, Jacobi(1.0))))
    torch.testing.assert_close(one.value, two.value, rtol=1e-12, atol=0)
    assert one.iterations.item() == two.iterations.item()


@pytest.mark.parametrize("weight", [0.0, float("nan"), float("inf")])
def test_arguments_are_checked(weight):
    with pytest.raises(ValueError, match=r"Richardson.weight: expected a finite number other than 0"):
        Richardson(weight)


def test_a_negative_weight_is_no_symmetric_preconditioner():
    assert not Richardson(-1.0).setup(Dense(torch.eye(2))).symmetric
