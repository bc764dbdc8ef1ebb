"""Laws of every nonlinear method: what it calls converged is verified, and batch elements live apart."""

import pytest
import torch

from opnet.core.errors import SolveError
from opnet.core.registry import lookup, names
from opnet.core.status import Status
from opnet.solvers.linear.bicgstab import BiCGStab
from opnet.solvers.nonlinear.anderson import Anderson
from opnet.solvers.nonlinear.broyden import Broyden
from opnet.solvers.nonlinear.newton_krylov import EisenstatWalker, NewtonKrylov
from opnet.solvers.nonlinear.picard import Picard
from opnet.solvers.nonlinear.solve import fixed_point, solve_nonlinear

METHODS = {
    "Picard": Picard(),
    "Picard, damped": Picard(damping=0.7),
    "Anderson": Anderson(),
    "Anderson, damped, memory 1": Anderson(memory=1, damping=0.5),
    "Broyden": Broyden(),
    "Broyden, memory 3": Broyden(memory=3, damping=0.9),
    "NewtonKrylov": NewtonKrylov(),
    "NewtonKrylov, one forcing, BiCGStab": NewtonKrylov(linear=BiCGStab(), forcing=1e-3),
    "NewtonKrylov, safeguarded": NewtonKrylov(forcing=EisenstatWalker(first=0.9)),
}


@pytest.fixture(params=METHODS)
def method(request):
    return METHODS[request.param]


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def contraction(*batch, n=5, dtype=torch.float64):
    """g(x) = M tanh(x) + c with ||M|| = 1/2, and its parameters."""
    M = random(*batch, n, n, dtype=dtype)
    return M / (2 * torch.linalg.matrix_norm(M, ord=2))[..., None, None], random(*batch, n, seed=1, dtype=dtype)


def g(x, M, c):
    return (M @ x.tanh()[..., None]).squeeze(-1) + c


def solve(method, M, c, **options):
    return fixed_point(g, torch.zeros_like(c), method, parameters=(M, c), batch_dims=c.ndim - 1, **options)


def test_every_registered_method_is_tested():
    assert {lookup("nonlinear", name) for name in names("nonlinear")} == {type(method) for method in METHODS.values()}


def test_solves_and_verifies(method):
    M, c = contraction(3)
    x = c
    for _ in range(60):  # 2^-60
        x = g(x, M, c)
    solution = solve(method, M, c, rtol=1e-10)
    torch.testing.assert_close(solution.value, x, rtol=0, atol=1e-8)
    assert solution.status.tolist() == [Status.CONVERGED] * 3
    measured = (solution.value - g(solution.value, M, c)).norm(dim=-1)
    torch.testing.assert_close(solution.residual, measured, rtol=1e-12, atol=1e-17)
    assert bool((solution.residual <= 1e-10 * c.norm(dim=-1)).all())
    assert solution.history.shape == (int(solution.iterations.max()) + 1, 3)
    torch.testing.assert_close(solution.history[0], c.norm(dim=-1))
    assert solution.evaluations >= len(solution.history) + 1


def test_batch_is_a_loop(method):
    M, c = contraction(2, 3)
    together = solve(method, M, c)
    assert together.status.shape == together.iterations.shape == together.residual.shape == (2, 3)
    for i in range(2):
        for j in range(3):
            alone = solve(method, M[i, j], c[i, j])
            torch.testing.assert_close(alone.value, together.value[i, j], rtol=1e-7, atol=1e-8)
            assert abs(int(alone.iterations) - int(together.iterations[i, j])) <= 1  # inner iterations are shared


def test_shapes_are_those_of_the_start(method):
    x0 = torch.zeros(2, 3, 4, dtype=torch.float64)
    target = random(2, 3, 4)
    for batch_dims in range(4):
        solution = fixed_point(lambda x: target + 0.3 * x.sin(), x0, method, batch_dims=batch_dims)
        assert solution.value.shape == x0.shape
        assert solution.status.shape == x0.shape[:batch_dims]
        torch.testing.assert_close(solution.value, target + 0.3 * solution.value.sin(), rtol=0, atol=1e-7)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_bad_element_harms_itself_alone(method, bad):
    M, c = contraction(3)
    clean = solve(method, M, c)
    spoilt = c.clone()
    spoilt[1, 2] = bad
    solution = solve(method, M, spoilt, throw=False)
    assert solution.status.tolist() == [Status.CONVERGED, Status.NON_FINITE, Status.CONVERGED]
    torch.testing.assert_close(solution.value[[0, 2]], clean.value[[0, 2]], rtol=1e-12, atol=1e-14)
    with pytest.raises(SolveError, match="NaN or Inf") as failure:
        solve(method, M, spoilt)
    assert (failure.value.index, failure.value.status) == (1, Status.NON_FINITE)


def test_an_element_that_turns_bad_on_the_way_harms_itself_alone(method):
    M, c = contraction(3)
    clean = solve(method, M, c)

    def breaking(x):
        y = g(x, M, c)
        poisoned = (torch.arange(3)[:, None] == 1) & (x != 0).any(-1, keepdim=True)
        return torch.where(poisoned, torch.nan, y)

    solution = fixed_point(breaking, torch.zeros_like(c), method, batch_dims=1, throw=False)
    assert solution.status[[0, 2]].tolist() == [Status.CONVERGED] * 2
    assert Status(int(solution.status[1])) in (Status.NON_FINITE, Status.STAGNATED, Status.BREAKDOWN)
    torch.testing.assert_close(solution.value[[0, 2]], clean.value[[0, 2]], rtol=1e-12, atol=1e-14)


def test_the_iteration_limit_is_reported(method):
    M, c = contraction(3)
    solution = solve(method, M, c, rtol=1e-14, max_iterations=1, throw=False)
    assert solution.status.tolist() == [Status.MAX_ITERATIONS] * 3
    assert solution.iterations.tolist() == [1] * 3
    with pytest.raises(SolveError, match="iteration limit"):
        solve(method, M, c, rtol=1e-14, max_iterations=1)


def test_a_root_as_start_needs_nothing(method):
    M, c = contraction(3)
    x = solve(method, M, c).value
    again = fixed_point(g, x, method, parameters=(M, c), batch_dims=1, atol=1e-6)
    assert again.iterations.tolist() == [0, 0, 0]
    assert torch.equal(again.value, x)
    exact = solve_nonlinear(lambda x: x, torch.zeros(3, dtype=torch.float64), method)
    assert (int(exact.status), int(exact.iterations)) == (Status.CONVERGED, 0)


def test_what_has_no_root_is_never_converged(method):
    for F in (lambda x: x**2 + 1, lambda x: 1 + 0 * x, lambda x: x.cosh()):
        solution = solve_nonlinear(F, torch.full((2,), 0.5, dtype=torch.float64), method, throw=False)
        assert Status(int(solution.status)) in (
            Status.STAGNATED,
            Status.BREAKDOWN,
            Status.NON_FINITE,
            Status.MAX_ITERATIONS,
        )


def test_single_precision(method):
    M, c = contraction(3, dtype=torch.float32)
    solution = solve(method, M, c, rtol=1e-5)
    assert solution.value.dtype == torch.float32
    torch.testing.assert_close(solution.value, g(solution.value, M, c), rtol=0, atol=1e-4)


def test_rounding_stops_it_typed(method):
    M, c = contraction(3, dtype=torch.float32)
    solution = solve(method, M, c, rtol=1e-12, throw=False)
    for status, residual in zip(solution.status.tolist(), solution.residual.tolist(), strict=True):
        if status == Status.CONVERGED:
            assert residual <= 1e-12 * 3
        else:
            assert status in (Status.STAGNATED, Status.BREAKDOWN)
            assert residual < 1e-5


def test_complex_systems(method):
    c = torch.tensor([[1 + 2j, -0.5j], [0.3 + 0j, 1j]], dtype=torch.complex128)
    solution = fixed_point(lambda x: c + 0.2 * x.sin(), torch.zeros_like(c), method, batch_dims=1)
    torch.testing.assert_close(solution.value, c + 0.2 * solution.value.sin(), rtol=0, atol=1e-7)
    assert solution.residual.dtype == torch.float64


def test_gradients_are_those_of_the_root(method):
    M, c = contraction(2, n=3)

    def root(M, c):
        return solve(method, M, c, rtol=1e-12).value

    assert torch.autograd.gradcheck(root, (M.requires_grad_(), c.requires_grad_()), fast_mode=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_another_device(method):
    M, c = contraction(3)
    there = solve(method, M.cuda(), c.cuda())
    assert there.value.device.type == there.status.device.type == "cuda"
    torch.testing.assert_close(there.value.cpu(), solve(method, M, c).value, rtol=0, atol=1e-7)
