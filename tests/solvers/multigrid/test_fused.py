from itertools import product

import numpy as np
import pytest
import torch

from opnet.core.status import Status
from opnet.linops.diffusion import Diffusion
from opnet.linops.stencil import Stencil
from opnet.solvers.linear.cg import CG
from opnet.solvers.linear.relaxation import Chebyshev, Jacobi
from opnet.solvers.linear.solve import solve_linear
from opnet.solvers.multigrid import fused
from opnet.solvers.multigrid.multigrid import Multigrid
from opnet.solvers.multigrid.smoothers import GaussSeidel
from opnet.spaces.grid import Grid

pytestmark = pytest.mark.skipif(fused.kernels() is None, reason="needs numba")
DOUBLE = torch.float64


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def diffusion(shape, nodes="cell", boundary="dirichlet", batch=(), **options):
    extent = tuple((0, n) for n in shape)  # square cells
    return Diffusion(random(*batch, *shape).exp(), Grid(shape, extent, boundary, nodes), **options)


def nine_points(shape, batch=()):
    offsets = [q for q in product((-1, 0, 1), repeat=2) if q >= (0, 0)]
    couplings = {q: -random(*batch, *shape, seed=i).exp() for i, q in enumerate(offsets) if any(q)}
    plain = Stencil({(0, 0): torch.zeros(*batch, *shape, dtype=DOUBLE), **couplings}, [False, False], symmetric=True)
    sums = -plain.apply(torch.ones(*batch, *shape, dtype=DOUBLE))
    return Stencil({(0, 0): sums + 0.1, **couplings}, [False, False], symmetric=True)


# A negative c makes the diagonal less than the sum of the couplings, which the smoother divides by then.
PROBLEMS = {
    "square": diffusion((64, 64)),
    "odd": diffusion((17, 23)),
    "even and odd": diffusion((38, 45)),
    "narrow": diffusion((4, 31)),
    "tall": diffusion((60, 5)),
    "odd, then short": diffusion((9, 120)),
    "interior": diffusion((41, 42), "interior"),
    "Neumann on sides": diffusion((33, 30), boundary=(("neumann", "dirichlet"), "neumann")),
    "vertices, cut off": diffusion((33, 41), "vertex"),
    "vertices, even": diffusion((34, 40), "vertex"),
    "vertices, Robin": diffusion((33, 36), "vertex", "robin", robin=0.3),
    "c": diffusion((40, 31), c=0.1),
    "negative c": diffusion((40, 31), c=-1e-3),
    "nine points": nine_points((30, 41)),
    "batch": diffusion((24, 31), batch=(2, 3)),
    "batch of nine points": nine_points((20, 21), (3,)),
}


@pytest.fixture(params=PROBLEMS.values(), ids=PROBLEMS)
def A(request):
    return request.param


def both(A, method=None):
    """The state with compiled loops and the one without."""
    method = method or Multigrid()
    compiled, plain = method.setup(A), method.setup(A)
    assert compiled._fused is not None
    plain._fused = None
    return compiled, plain


def test_a_cycle_is_the_same_to_single_rounding(A):
    compiled, plain = both(A)
    r = random(*A.batch_shape, *A.in_shape, seed=1)
    z, expected = compiled.apply(r), plain.apply(r)
    difference = (z - expected).flatten(-2).norm(dim=-1) / expected.flatten(-2).norm(dim=-1)
    assert float(difference.max()) < 1e-5
    assert z.dtype == DOUBLE


@pytest.mark.parametrize("smoother", [Jacobi(0.8), Jacobi(0.7, sweeps=2), Chebyshev(1, largest=2.0)], ids=str)
def test_so_it_is_with_every_smoother_that_it_takes(smoother):
    for A in (diffusion((33, 46)), nine_points((30, 41))):
        compiled, plain = both(A, Multigrid(smoother=smoother, coarsest=20))
        r = random(*A.in_shape)
        z, expected = compiled.apply(r), plain.apply(r)
        assert float((z - expected).norm()) < 1e-5 * float(expected.norm())


def test_conjugate_gradients_are_the_same(A):
    b = random(*A.batch_shape, *A.in_shape, seed=1)
    compiled, plain = (solve_linear(A, b, CG(Multigrid(dtype=dtype))) for dtype in (None, DOUBLE))
    assert int((compiled.iterations - plain.iterations).abs().max()) <= 1
    torch.testing.assert_close(compiled.value, plain.value, rtol=0, atol=1e-6 * float(plain.value.abs().max()))
    assert compiled.status.tolist() == plain.status.tolist()
    n = 1 + int(torch.minimum(compiled.iterations.min(), plain.iterations.min()))
    torch.testing.assert_close(compiled.history[:n].log10(), plain.history[:n].log10(), rtol=0, atol=0.2)
    torch.testing.assert_close(compiled.history[-1], compiled.residual, rtol=1e-3, atol=1e-14)
    assert compiled.history.shape == (1 + int(compiled.iterations.max()), *A.batch_shape)


def test_the_cycle_is_symmetric():
    for A in (diffusion((17, 12)), nine_points((11, 18)), diffusion((12, 17), c=-1e-3)):
        n = A.shape[0]
        M = Multigrid().setup(A).apply(torch.eye(n, dtype=DOUBLE).reshape(n, *A.in_shape)).reshape(n, n)
        torch.testing.assert_close(M, M.mT, rtol=0, atol=1e-6 * float(M.abs().max()))
        assert float(torch.linalg.eigvalsh(M).min()) > 0


def test_singular_and_consistent():
    A = diffusion((45, 38), boundary="neumann")
    b = random(2, 45, 38)
    b = b - b.mean((-2, -1), keepdim=True)
    solution = solve_linear(A, b, CG(Multigrid()))
    plain = solve_linear(A, b, CG(Multigrid(dtype=DOUBLE)))
    assert int((solution.iterations - plain.iterations).abs().max()) <= 1
    torch.testing.assert_close(solution.value, plain.value, rtol=0, atol=1e-6 * float(plain.value.abs().max()))


def test_right_hand_sides_and_operators_broadcast():
    A = diffusion((24, 31), batch=(3,))
    b = random(2, 3, 24, 31)
    together = solve_linear(A, b, CG(Multigrid()))
    for i, j in product(range(2), range(3)):
        alone = solve_linear(diffusion_element(A, j), b[i, j], CG(Multigrid()))
        assert int(alone.iterations) == int(together.iterations[i, j])
        assert torch.equal(alone.value, together.value[i, j])
    one = solve_linear(A, b[0, 0], CG(Multigrid()))
    assert one.value.shape == (3, 24, 31)
    assert torch.equal(one.value[0], together.value[0, 0])
    many = solve_linear(diffusion_element(A, 0), b, CG(Multigrid()))
    assert torch.equal(many.value[0, 0], together.value[0, 0])
    strided = solve_linear(diffusion_element(A, 0), b.mT.contiguous().mT, CG(Multigrid()))
    assert torch.equal(strided.value, many.value)


def diffusion_element(A, i):
    return Diffusion.from_faces([t[i] for t in A.faces], A.grid)


@pytest.mark.parametrize("keeps", [True, False])
def test_large_batches_set_up_again_in_turn(keeps, monkeypatch):
    A, b = diffusion((24, 31), batch=(3,)), random(2, 3, 24, 31)
    expected = solve_linear(A, b, CG(Multigrid())).value
    if not keeps:
        monkeypatch.setattr(fused, "KEPT", 0)
    state = CG(Multigrid()).setup(A)
    assert state.preconditioner._fused.keeps == keeps
    assert torch.equal(solve_linear(A, b, state).value, expected)
    assert torch.equal(solve_linear(A, b, state).value, expected)
    assert len(state.preconditioner._fused._kept) == (3 if keeps else 0)


def test_arguments_are_left_alone_and_a_warm_start_is_one():
    A, b = diffusion((40, 31)), random(40, 31)
    kept = b.clone()
    first = solve_linear(A, b, CG(Multigrid()))
    assert torch.equal(b, kept)
    x0 = first.value + 1e-4 * random(40, 31, seed=2)
    kept = x0.clone()
    warm = solve_linear(A, b, CG(Multigrid()), x0=x0)
    assert torch.equal(x0, kept)
    assert 0 < int(warm.iterations) < int(first.iterations)
    assert int(solve_linear(A, b, CG(Multigrid()), x0=first.value, rtol=1e-7).iterations) == 0
    assert not solve_linear(A, torch.zeros_like(b), CG(Multigrid()), x0=x0).value.any()


def test_an_indefinite_operator_is_a_breakdown():
    """As without the compiled loops."""
    definite, indefinite = (diffusion((24, 31), c=c).stencil().half for c in (1e-3, -1.0))
    both_kinds = {q: torch.stack([indefinite[q], definite[q]]) for q in definite}
    A, b = Stencil(both_kinds, [False, False], symmetric=True), random(2, 24, 31)
    for dtype in (None, DOUBLE):
        solution = solve_linear(A, b, CG(Multigrid(dtype=dtype)), throw=False)
        assert solution.status.tolist() == [Status.BREAKDOWN, Status.CONVERGED]
        assert bool(torch.isfinite(solution.value).all())


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_what_is_not_finite_harms_itself_alone(value):
    A, b = diffusion((24, 31), batch=(3,)), random(3, 24, 31)
    clean = solve_linear(A, b, CG(Multigrid()))
    spoilt = b.clone()
    spoilt[1, 4, 5] = value
    solution = solve_linear(A, spoilt, CG(Multigrid()), throw=False)
    assert solution.status.tolist() == [Status.CONVERGED, Status.NON_FINITE, Status.CONVERGED]
    assert torch.equal(solution.value[[0, 2]], clean.value[[0, 2]])
    for q in A.stencil().half:
        half = {key: c.clone() for key, c in A.stencil().half.items()}
        half[q][1, 0, 0] = value
        solution = solve_linear(Stencil.of_half(half, [False, False]), b, CG(Multigrid()), throw=False)
        assert solution.status.tolist() == [Status.CONVERGED, Status.NON_FINITE, Status.CONVERGED]
        assert torch.equal(solution.value[[0, 2]], clean.value[[0, 2]])


def test_the_limit_of_iterations_is_kept():
    A, b = diffusion((40, 31)), random(40, 31)
    for limit in (0, 3):
        compiled, plain = (
            solve_linear(A, b, CG(Multigrid(dtype=dtype)), max_iterations=limit, throw=False)
            for dtype in (None, DOUBLE)
        )
        assert (compiled.status.item(), compiled.iterations.item()) == (Status.MAX_ITERATIONS, limit)
        torch.testing.assert_close(compiled.value, plain.value, rtol=0, atol=1e-5 * float(1 + plain.value.abs().max()))
        assert len(compiled.history) == limit + 1


@pytest.mark.parametrize("size", [1e-100, 1e-30, 1e30, 1e100])
def test_small_and_large_residuals_neither_vanish_nor_overflow(size):
    A, b = diffusion((40, 31)), random(40, 31)
    own, other = (solve_linear(A, factor * b, CG(Multigrid())) for factor in (1.0, size))
    assert int(own.iterations) == int(other.iterations)
    torch.testing.assert_close(other.value / size, own.value, rtol=0, atol=1e-6 * float(own.value.abs().max()))


def test_nothing_at_all():
    for batch in ((0,), (2, 0)):
        A = diffusion((24, 31), batch=batch)
        assert solve_linear(A, random(24, 31), CG(Multigrid())).value.shape == (*batch, 24, 31)
        assert Multigrid().setup(A).apply(random(*batch, 24, 31)).shape == (*batch, 24, 31)
    assert solve_linear(diffusion((24, 31)), random(0, 24, 31), CG(Multigrid())).value.shape == (0, 24, 31)


def test_it_takes_what_it_has_loops_for_and_no_more():
    A = diffusion((24, 31))
    assert Multigrid().setup(A)._fused is not None
    assert Multigrid().setup(A.to(dtype=torch.float32))._fused is not None
    others = (
        Multigrid(cycle="W"),
        Multigrid(pre=2, post=2),
        Multigrid(dtype=DOUBLE),
        Multigrid(smoother=GaussSeidel()),
        Multigrid(smoother=Jacobi(0.5, sweeps=3)),
        Multigrid(smoother=Chebyshev(degree=2)),
        Multigrid(coarsest=1000),
    )
    for method in others:
        assert method.setup(A)._fused is None
    for operator in (
        diffusion((24, 32), "left", "periodic"),
        diffusion((3, 200)),
        diffusion((200,)),
        diffusion((9, 8, 7)),
        diffusion((24, 31), c=1j),
        Stencil(A.stencil().coefficients, [False, False]),
    ):
        assert Multigrid().setup(operator)._fused is None


@pytest.mark.parametrize("shape", [(4, 3000), (3000, 6)])
def test_a_long_strip_is_not_solved_densely(shape):
    """Its short axis soon cannot be thinned, its long one can."""
    A = diffusion(shape)
    state = Multigrid().setup(A)
    assert state._fused is None
    assert state.hierarchy.inverse.shape[-1] <= 64
    assert int(solve_linear(A, random(*shape), CG(Multigrid())).iterations) <= 12


def test_without_numba_torch_does_it(monkeypatch):
    A, b = diffusion((40, 31)), random(40, 31)
    compiled = solve_linear(A, b, CG(Multigrid()))
    monkeypatch.setattr(fused, "kernels", lambda: None)
    state = CG(Multigrid()).setup(A)
    assert state.preconditioner._fused is None
    plain = solve_linear(A, b, state)
    assert abs(int(plain.iterations) - int(compiled.iterations)) <= 1
    torch.testing.assert_close(compiled.value, plain.value, rtol=0, atol=1e-6 * float(plain.value.abs().max()))


def test_one_state_solves_the_same_again():
    """The work space is used again, and nothing is left in it."""
    A = diffusion((40, 31))
    state = CG(Multigrid()).setup(A)
    b = random(40, 31)
    expected = solve_linear(A, b, state).value
    solve_linear(A, torch.full_like(b, torch.nan), state, throw=False)
    solve_linear(A, 1e20 * random(40, 31, seed=3), state)
    assert np.array_equal(solve_linear(A, b, state).value.numpy(), expected.numpy())
