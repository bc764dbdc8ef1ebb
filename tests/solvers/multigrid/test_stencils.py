import pytest
import torch

from opnet.linops.dense import Dense
from opnet.linops.diagonal import Identity
from opnet.linops.diffusion import Diffusion
from opnet.solvers.linear.cg import CG
from opnet.solvers.linear.solve import solve_linear
from opnet.solvers.multigrid.multigrid import Multigrid
from opnet.spaces.grid import Grid


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_step_of_the_heat_equation_is_a_stencil_too():
    """(I + dt A) u = u0, for two steps at once, and with gradients to dt."""
    A, u0 = Diffusion(random(33, 40).exp(), Grid((33, 40), nodes="cell")), random(33, 40, seed=1)
    dt = torch.tensor([1e-4, 1e-2], dtype=torch.float64, requires_grad=True)
    H = Identity((33, 40)) + dt * A
    solution = solve_linear(H, u0, CG(preconditioner=Multigrid()))
    assert int(solution.iterations.max()) <= 9
    solution.value.square().sum().backward()
    plain = dt.detach().clone().requires_grad_()
    matrix = torch.eye(33 * 40, dtype=torch.float64) + plain[:, None, None] * A.to_dense()
    torch.linalg.solve(matrix, u0.flatten()).square().sum().backward()
    torch.testing.assert_close(dt.grad, plain.grad, rtol=1e-6, atol=0)


def test_operators_that_are_not_grids_are_refused():
    grid = Grid((16, 16), nodes="cell")
    A = Diffusion(torch.ones(16, 16, dtype=torch.float64), grid)
    for operator in (Dense(torch.eye(4)), A @ A, A + A @ A):
        with pytest.raises(ValueError, match=r"Multigrid: expected a Diffusion or Stencil operator, .* found"):
            Multigrid().setup(operator)
