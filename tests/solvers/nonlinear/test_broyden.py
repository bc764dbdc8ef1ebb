from itertools import pairwise

import pytest
import torch

from opnet.core.errors import SolveError
from opnet.core.status import Status
from opnet.solvers.nonlinear.broyden import Broyden
from opnet.solvers.nonlinear.solve import fixed_point, solve_nonlinear


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_in_one_dimension_it_is_the_secant_method():
    def F(x):
        return x**3 + x - 1

    points = [0.2, 0.2 - float(F(torch.tensor(0.2, dtype=torch.float64)))]
    while len(points) < 8:
        (x, y) = points[-2:]
        slope = (F(y) - F(x)) / (y - x)
        points.append(y - F(y) / slope)
    history = solve_nonlinear(F, torch.tensor(0.2, dtype=torch.float64), Broyden(), rtol=1e-13).history
    expected = torch.tensor([abs(F(x)) for x in points], dtype=torch.float64)
    torch.testing.assert_close(history[:7], expected[:7], rtol=1e-6, atol=1e-14)


def test_converges_superlinearly():
    """The quotients of successive residuals fall towards zero; those of a fixed-point iteration do not."""
    M = random(6, 6)
    M = M / (2 * torch.linalg.matrix_norm(M, ord=2))
    c = random(6, seed=1)
    solution = fixed_point(lambda x: M @ x.tanh() + c, torch.zeros(6, dtype=torch.float64), Broyden(), rtol=1e-13)
    quotients = [float(b / a) for a, b in pairwise(solution.history)]
    assert max(quotients[-3:]) < 0.5 * max(quotients[:3])
    assert quotients[-1] < 0.1


def test_affine_systems_end_in_twice_as_many_steps_as_unknowns():
    """D. M. Gay, SIAM J. Numer. Anal. 16 (1979) 623-630, theorem 2.2."""
    A, b = torch.eye(4, dtype=torch.float64) + 0.3 * random(4, 4), random(4, seed=1)
    solution = solve_nonlinear(lambda x: A @ x - b, torch.zeros(4, dtype=torch.float64), Broyden(), rtol=1e-9)
    assert int(solution.iterations) <= 8
    torch.testing.assert_close(solution.value, torch.linalg.solve(A, b), rtol=1e-6, atol=1e-8)


def test_a_flat_secant_breaks_down_alone():
    """x^2 - 3 is -2 at -1, and again at 1, where the first step leads."""
    x0 = torch.tensor([[-1.0], [1.5]], dtype=torch.float64)
    solution = solve_nonlinear(lambda x: x**2 - 3, x0, Broyden(), batch_dims=1, throw=False)
    assert solution.status.tolist() == [Status.BREAKDOWN, Status.CONVERGED]
    torch.testing.assert_close(solution.value[1], torch.tensor([3.0], dtype=torch.float64).sqrt())
    with pytest.raises(SolveError, match="broke down") as failure:
        solve_nonlinear(lambda x: x**2 - 3, x0, Broyden(), batch_dims=1)
    assert failure.value.index == 0


def test_arguments_are_checked():
    for wrong in ({"memory": 0}, {"damping": -1.0}):
        with pytest.raises(ValueError, match=r"Broyden\.(memory|damping): expected"):
            Broyden(**wrong)
