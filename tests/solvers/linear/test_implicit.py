"""Gradients through a solve, against finite differences and against what is known."""

import pytest
import torch

from opnet.core.errors import SolveError
from opnet.core.status import Status
from opnet.linops.base import LinearOperator
from opnet.linops.dense import Dense
from opnet.linops.diffusion import Diffusion
from opnet.linops.low_rank import LowRank
from opnet.solvers.linear.cg import CG
from opnet.solvers.linear.direct import DirectSolver
from opnet.solvers.linear.gmres import GMRES
from opnet.solvers.linear.relaxation import Jacobi
from opnet.solvers.linear.solve import solve_linear
from opnet.spaces.grid import Grid

GRID = Grid((3, 4), nodes="cell")


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_batches_of_operators_and_of_right_hand_sides():
    a, b = random(2, 1, 3, 4).exp().requires_grad_(), random(3, 3, 4, seed=1).requires_grad_()

    def solve(a, b):
        return solve_linear(Diffusion(a, GRID), b, CG(Jacobi()), rtol=1e-12).value

    assert solve(a, b).shape == (2, 3, 3, 4)
    assert torch.autograd.gradcheck(solve, (a, b), eps=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_second_derivatives_of_operators_that_are_not_symmetric(dtype):
    matrix = (random(3, 3, dtype=dtype) / 3 + 2 * torch.eye(3)).requires_grad_()
    b = random(2, 3, seed=1, dtype=dtype).requires_grad_()
    for solver in (GMRES(), DirectSolver()):

        def solve(matrix, b, solver=solver):
            return solve_linear(Dense(matrix), b, solver, rtol=1e-13).value

        assert torch.autograd.gradgradcheck(solve, (matrix, b), eps=1e-5, atol=1e-6)


def test_every_tensor_of_an_operator_gets_its_gradient():
    tensors = [random(5, 2), random(5, 2, seed=1), 4 + random(5, seed=2) / 4]
    for i in range(3):
        inputs = [t.requires_grad_(i == j) for j, t in enumerate(tensors)]
        assert torch.autograd.gradcheck(
            lambda *t: solve_linear(LowRank(*t), torch.ones(5).double(), GMRES(), rtol=1e-13).value, inputs, eps=1e-5
        )


def test_hessian_of_a_misfit_at_its_minimum():
    """The cotangent is zero there, its derivative is not: J^T J, with J the sensitivity of the solution."""
    a, b = random(3, 4).exp(), random(3, 4, seed=1)

    def solve(a):
        return solve_linear(Diffusion(a, GRID), b, CG(), rtol=1e-12).value

    data = solve(a)
    hessian = torch.autograd.functional.hessian(lambda a: 0.5 * ((solve(a) - data) ** 2).sum(), a).reshape(12, 12)
    J = torch.autograd.functional.jacobian(solve, a).reshape(12, 12)
    torch.testing.assert_close(hessian, J.T @ J, rtol=1e-7, atol=1e-9)


def test_the_set_up_is_used_again_for_the_adjoint():
    class Counting(Jacobi):
        calls = 0

        def setup(self, operator):
            Counting.calls += 1
            return super().setup(operator)

    a = random(3, 4).exp().requires_grad_()
    solve_linear(Diffusion(a, GRID), random(3, 4), CG(Counting())).value.sum().backward()
    assert a.grad is not None
    assert Counting.calls == 1
    solver = DirectSolver()
    matrix = (random(3, 3) + 4 * torch.eye(3)).requires_grad_()
    state = solver.setup(Dense(matrix))
    assert state.adjoint().factors is state.factors


def test_nothing_is_recorded_that_nobody_asked_for():
    A = Dense(torch.eye(3).double().requires_grad_())
    with torch.no_grad():
        assert not solve_linear(A, torch.ones(3).double(), CG()).value.requires_grad
    solution = solve_linear(A, torch.ones(3).double(), CG())
    assert solution.value.requires_grad
    assert not any(getattr(solution, name).requires_grad for name in ("residual", "backward_error", "history"))
    assert not solve_linear(Dense(torch.eye(3)), torch.ones(3), CG()).value.requires_grad
    x0 = torch.ones(3).double().requires_grad_()
    solve_linear(A, torch.ones(3).double(), CG(), x0=x0).value.sum().backward()
    assert x0.grad is None


def test_an_adjoint_solve_that_fails_says_so():
    """Within 2 iterations b is solved exactly and the cotangent is not."""
    matrix = torch.diag(torch.linspace(1, 5, 5).double()).requires_grad_()
    b = torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    x = solve_linear(Dense(matrix), b, CG(), max_iterations=2).value
    with pytest.raises(SolveError, match=r"the adjoint solve of a gradient: .*the iteration limit") as failure:
        x.sum().backward()
    assert failure.value.status == Status.MAX_ITERATIONS


def test_an_element_that_failed_harms_no_gradient_that_leaves_it_out():
    weight = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    b = torch.ones(2, 3, dtype=torch.float64)
    b[1, 0] = torch.nan
    solution = solve_linear(Dense(weight * torch.eye(3).double()), b, CG(), throw=False)
    good = solution.status == Status.CONVERGED
    assert good.tolist() == [True, False]
    solution.value[good].sum().backward()
    torch.testing.assert_close(weight.grad, torch.tensor(-3 / 4).double())


class Forgetful(LinearOperator):
    """w x, without saying that it depends on w."""

    tensors = ()

    def __init__(self, weight):
        self.weight, self.in_shape, self.out_shape = weight, (3,), (3,)
        self.dtype, self.device = weight.dtype, weight.device

    def rebuild(self, tensors):
        return self

    def apply(self, x):
        return self.weight * x

    def transpose(self):
        return self


def test_parameters_that_an_operator_does_not_name_are_found():
    weight = torch.tensor(2.0).requires_grad_()
    for b in (torch.ones(3), torch.ones(3, requires_grad=True)):
        with pytest.raises(ValueError, match=r"expected Forgetful.tensors to name all parameters"):
            solve_linear(Forgetful(weight), b, CG())
    solve_linear(Forgetful(weight.detach()), torch.ones(3), CG())


def test_single_precision():
    a = random(3, 4).exp().float().requires_grad_()
    solve_linear(Diffusion(a, GRID), random(3, 4).float(), CG(), rtol=1e-5).value.square().sum().backward()
    double = a.detach().double().requires_grad_()
    solve_linear(Diffusion(double, GRID), random(3, 4), CG()).value.square().sum().backward()
    torch.testing.assert_close(a.grad, double.grad.float(), rtol=1e-3, atol=1e-4 * float(double.grad.abs().max()))
