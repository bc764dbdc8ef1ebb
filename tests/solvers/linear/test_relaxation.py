import pytest
import torch

from opnet.core.status import Status
from opnet.linops.dense import Dense
from opnet.linops.diffusion import Diffusion
from opnet.solvers.linear.relaxation import Chebyshev, Jacobi
from opnet.solvers.linear.solve import solve_linear
from opnet.spaces.grid import Grid


def test_chebyshev_damps_its_interval_as_theory_says():
    """On [low, high] the error shrinks by 1 / T_k((high + low) / (high - low)); k = 2, low/high = 1/4: .22."""
    spectrum = torch.linspace(0.5, 2, 50).double()
    A = Dense(torch.diag(spectrum))
    M = Chebyshev(degree=2, largest=2.0).setup(A)
    M.inverse_diagonal = torch.ones(50).double()  # the polynomial in A itself
    error = torch.ones(50).double() - M.apply(spectrum)
    assert float(error.abs().max()) == pytest.approx(1 / (2 * (5 / 3) ** 2 - 1), rel=1e-10)


def test_jacobi_gives_up_where_it_gains_nothing():
    """On 256 cells in a row it gains a factor 1 - pi^2 / 2 / 256^2 an iteration."""
    A = Diffusion(torch.ones(256, dtype=torch.float64), Grid((256,), nodes="cell"))
    b = torch.sin(torch.pi * (torch.arange(256, dtype=torch.float64) + 0.5) / 256)
    solution = solve_linear(A, b, Jacobi(), throw=False)
    assert (solution.status.item(), solution.iterations.item()) == (Status.STAGNATED, 100)


def test_divergence_is_a_breakdown():
    A = Dense(torch.tensor([[1.0, 5.0], [5.0, 1.0]], dtype=torch.float64))
    solution = solve_linear(A, torch.ones(2, dtype=torch.float64), Jacobi(), throw=False)
    assert solution.status.item() == Status.BREAKDOWN
    assert bool(torch.isfinite(solution.value).all())


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="weight"):
        Jacobi(weight=2.5)
    with pytest.raises(ValueError, match="degree"):
        Chebyshev(degree=0)
