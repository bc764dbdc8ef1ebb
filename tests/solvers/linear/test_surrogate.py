import pytest
import torch

from opnet.linops.dense import Dense
from opnet.linops.diffusion import Diffusion
from opnet.linops.stencil import Stencil
from opnet.solvers.linear.bicgstab import BiCGStab
from opnet.solvers.linear.cg import CG
from opnet.solvers.linear.direct import DirectSolver
from opnet.solvers.linear.gmres import GMRES
from opnet.solvers.linear.richardson import Richardson
from opnet.solvers.linear.solve import solve_linear
from opnet.solvers.linear.surrogate import Surrogate
from opnet.spaces.grid import Grid


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def helmholtz(n, k, shift=1.0):
    """-lap u - shift k^2 u on the unit square with u = 0 around; indefinite for k beyond sqrt(2) pi."""
    one = torch.ones(n, n, dtype=torch.complex128)
    h = 1 / (n + 1)
    stencil = {(0, 0): one * (4 / h**2 - shift * k**2), (1, 0): -one / h**2, (0, 1): -one / h**2}
    return Stencil(stencil, [False, False], symmetric=True)


@pytest.mark.parametrize("method", [GMRES(restart=60), BiCGStab()])
def test_the_shifted_laplacian_solves_indefinite_helmholtz(method):
    """Erlangga, Vuik and Oosterlee's -lap - (1 - i/2) k^2."""
    A, b = helmholtz(40, 18.0), random(2, 40, 40, dtype=torch.complex128)
    exact = solve_linear(A, b, DirectSolver(), rtol=1e-10).value
    shifted = Surrogate(helmholtz(40, 18.0, shift=1 - 0.5j), DirectSolver())
    solution = solve_linear(A, b, type(method)(preconditioner=shifted), rtol=1e-9)
    torch.testing.assert_close(solution.value, exact, rtol=1e-5, atol=1e-6 * float(exact.abs().max()))
    assert int(solution.iterations.max()) < 100
    plain = solve_linear(A, b, method, rtol=1e-9, throw=False)
    assert int(plain.iterations.min()) > 3 * int(solution.iterations.max())


def test_a_copy_in_single_precision_refines_to_double():
    """Also where the residuals are far below the smallest float32."""
    A = Diffusion(random(8, 8).exp(), Grid((8, 8), nodes="cell"))
    single = Surrogate(A.to(dtype=torch.float32), DirectSolver())
    for method in (Richardson(preconditioner=single), CG(single)):
        for size in (1.0, 1e-60):
            solution = solve_linear(A, size * random(8, 8, seed=1), method, rtol=1e-13)
            assert solution.iterations.item() <= 4


def test_a_real_surrogate_of_a_complex_system_works_on_both_parts():
    real = random(6, 6) / 6 + 2 * torch.eye(6)
    matrix = real + 0.1j * random(6, 6, seed=1)
    b = random(3, 6, dtype=torch.complex128)
    state = Surrogate(Dense(real), DirectSolver()).setup(Dense(matrix))
    torch.testing.assert_close(state.apply(b).mT, torch.linalg.solve(real + 0j, b.mT))
    solution = solve_linear(Dense(matrix), b, GMRES(Surrogate(Dense(real), DirectSolver())))
    torch.testing.assert_close(solution.value @ matrix.mT, b, rtol=0, atol=1e-7)


def test_arguments_are_checked():
    A = Dense(torch.eye(3))
    with pytest.raises(ValueError, match=r"Surrogate.operator: expected \(3,\) -> \(3,\) on cpu .*found \(4,\)"):
        Surrogate(Dense(torch.eye(4)), DirectSolver()).setup(A)
    with pytest.raises(ValueError, match=r"Surrogate.operator: expected a real operator .*found torch.complex64"):
        Surrogate(Dense(torch.eye(3) + 0j), DirectSolver()).setup(A)
