import pytest
import torch

from opnet.core.status import Status
from opnet.linops.dense import Dense
from opnet.linops.diffusion import Diffusion
from opnet.solvers.linear.cg import CG
from opnet.solvers.linear.monitor import Monitor
from opnet.solvers.linear.relaxation import Jacobi, RelaxationState
from opnet.solvers.linear.solve import solve_linear
from opnet.spaces.grid import Grid


def test_a_plateau_of_hundreds_of_iterations_is_no_stagnation():
    """A chain of 400 springs: the residual stays above where it began for most of the way, and then is 0."""
    n = 400
    A = Diffusion(torch.ones(n, dtype=torch.float64), Grid((n,), nodes="cell"))
    solution = solve_linear(A, torch.arange(n, dtype=torch.float64), CG(), rtol=1e-6)
    assert solution.status.item() == Status.CONVERGED
    assert solution.iterations.item() == pytest.approx(n, abs=5)
    assert float(solution.history[1:280].min()) > 1


def test_convergence_is_at_least_as_fast_as_the_condition_number_allows():
    """||e_k||_A <= 2 ((sqrt(c) - 1) / (sqrt(c) + 1))^k ||e_0||_A; Saad, equation 6.128."""
    values = torch.linspace(1, 100, 200, dtype=torch.float64)
    A, b = Dense(torch.diag(values)), torch.ones(200, dtype=torch.float64)
    for k in (10, 30, 60):
        x = solve_linear(A, b, CG(), rtol=1e-12, max_iterations=k, throw=False).value
        error = float((values * (x - 1 / values) ** 2).sum().sqrt() / (1 / values).sum().sqrt())
        assert error <= 2 * (9 / 11) ** k


class Fused(RelaxationState):
    """A preconditioner that answers for the whole iteration."""

    def fused_cg(self, b, x, target, max_iterations):
        A = self.operator
        exact = torch.linalg.solve(A.to_dense(), b)
        norm = torch.linalg.vector_norm(b, dim=-1)
        history = torch.stack([norm, torch.zeros_like(norm)])
        self.calls = getattr(self, "calls", 0) + 1
        return exact, Monitor.from_history(history, target, torch.zeros(()).long(), torch.ones(()).long())


class FusedJacobi(Jacobi):
    def setup(self, operator):
        return Fused(operator, (self.weight,))


def test_a_fused_implementation_is_used_and_verified_like_any():
    A, b = Dense(torch.diag(torch.tensor([1.0, 2.0]).double())), torch.ones(2, dtype=torch.float64)
    state = CG(preconditioner=FusedJacobi()).setup(A)
    solution = solve_linear(A, b, state)
    assert state.preconditioner.calls == 1
    assert (solution.status.item(), solution.iterations.item()) == (Status.CONVERGED, 1)
    assert solution.history.shape == (2,)
    torch.testing.assert_close(solution.value, torch.tensor([1.0, 0.5]).double())
