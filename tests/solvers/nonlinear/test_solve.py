import warnings

import pytest
import torch

from opnet.core.errors import SolveError
from opnet.core.status import Status
from opnet.solvers.linear.bicgstab import BiCGStab
from opnet.solvers.nonlinear.anderson import Anderson
from opnet.solvers.nonlinear.newton_krylov import NewtonKrylov
from opnet.solvers.nonlinear.picard import Picard
from opnet.solvers.nonlinear.solve import fixed_point, solve_nonlinear


def roots(c, method=NewtonKrylov(), **options):  # noqa: B008
    """Square roots, one a batch element."""
    return solve_nonlinear(
        lambda x, c: x**2 - c, torch.ones_like(c), method, parameters=(c,), batch_dims=c.ndim, **options
    )


def leaf(*values):
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def test_gradients_reach_what_the_map_closes_over():
    """Parameters of a module, handed over nowhere."""
    layer = torch.nn.Linear(3, 3, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.mul_(0.3)
    x = torch.ones(2, 3, dtype=torch.float64)
    z = fixed_point(lambda z: layer(z).tanh() + x, torch.zeros_like(x), Anderson(), batch_dims=1, rtol=1e-12).value
    z.square().sum().backward()
    implicit = layer.weight.grad.clone()
    layer.zero_grad()
    z = torch.zeros_like(x)
    for _ in range(80):
        z = layer(z).tanh() + x
    z.square().sum().backward()
    torch.testing.assert_close(implicit, layer.weight.grad, rtol=1e-9, atol=1e-10)


def test_gradients_of_complex_roots():
    c = torch.tensor([1 + 2j, -3 + 0.1j], dtype=torch.complex128, requires_grad=True)

    def root(c):
        return solve_nonlinear(
            lambda x, c: x**2 - c, torch.ones_like(c), NewtonKrylov(), parameters=(c,), batch_dims=1, rtol=1e-12
        ).value

    torch.testing.assert_close(root(c).detach() ** 2, c.detach())
    assert torch.autograd.gradcheck(root, (c,))


def test_any_linear_solver_may_run_the_backward_pass():
    c = leaf(2.0, 9.0)
    (gradient,) = torch.autograd.grad(roots(c, adjoint=BiCGStab(), rtol=1e-12).value.sum(), c)
    torch.testing.assert_close(gradient, 0.5 / c.detach().sqrt())


def test_the_start_gets_no_gradient_and_costs_none():
    x0 = leaf(1.0)
    assert not fixed_point(torch.cos, x0, Anderson()).value.requires_grad
    c = leaf(2.0)
    with torch.no_grad():
        assert not roots(c).value.requires_grad


def test_the_gradient_of_an_element_that_failed_is_refused():
    c = leaf(4.0, -1.0)
    solution = roots(c, throw=False)
    assert solution.status[0] == Status.CONVERGED
    assert solution.status[1] != Status.CONVERGED
    with pytest.raises(SolveError, match="gradient of solve_nonlinear") as failure:
        solution.value.sum().backward()
    assert failure.value.index == 1
    (gradient,) = torch.autograd.grad(roots(c, throw=False).value[0], c)
    torch.testing.assert_close(gradient, torch.tensor([0.25, 0.0], dtype=torch.float64))


def test_a_nan_element_does_not_reach_the_gradients_of_others():
    c = leaf(4.0, torch.nan)
    solution = roots(c, throw=False)
    assert solution.status.tolist() == [Status.CONVERGED, Status.NON_FINITE]
    (gradient,) = torch.autograd.grad(solution.value[0], c)
    assert float(gradient[0]) == pytest.approx(0.25)


def test_second_derivatives_are_refused():
    c = leaf(4.0)
    with pytest.raises(RuntimeError, match="expected first derivatives, found create_graph=True"):
        torch.autograd.grad(roots(c).value.sum(), c, create_graph=True)


def test_in_single_precision_the_backward_pass_does_not_ask_for_more_than_there_is():
    c = torch.tensor([2.0, 9.0], requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        roots(c, rtol=1e-6, atol=1e-6).value.sum().backward()
    torch.testing.assert_close(c.grad, 0.5 / c.detach().sqrt())


def test_a_map_that_is_not_the_same_at_every_call_is_not_believed():
    calls = []

    def F(x):
        calls.append(None)
        return x * 0 + (1.0 if len(calls) in (1, 3) else 0.0)

    assert int(solve_nonlinear(F, torch.ones(1), Picard(), throw=False).status) == Status.STAGNATED


def test_arguments_are_checked():
    x, method = torch.ones(2, 3), Picard()
    for wrong, what in (
        ({"batch_dims": 3}, "batch_dims: expected 0 ... 2, found 3"),
        ({"rtol": -1.0}, "rtol"),
        ({"rtol": 0.0}, "not both zero"),
        ({"atol": float("nan")}, "atol"),
        ({"max_iterations": -1}, "max_iterations"),
    ):
        with pytest.raises(ValueError, match=what):
            solve_nonlinear(torch.cos, x, method, **wrong)
    for start in (torch.ones(2, dtype=torch.long), torch.ones(0)):
        with pytest.raises(ValueError, match="x0: expected"):
            solve_nonlinear(torch.cos, start, method)


def test_maps_of_another_form_are_refused():
    x = torch.ones(2, 3)
    for wrong in (lambda x: x.sum(), lambda x: x[:1], lambda x: x.double(), lambda x: 0.5):
        with pytest.raises(ValueError, match=r"solve_nonlinear: F: expected torch.float32 of shape \(2, 3\)"):
            solve_nonlinear(wrong, x, Picard())
        with pytest.raises(ValueError, match=r"fixed_point: g: expected torch.float32 of shape \(2, 3\)"):
            fixed_point(wrong, x, Picard())
