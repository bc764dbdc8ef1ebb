import re
import warnings
from itertools import product

import pytest
import torch

from opnet.core.errors import AccuracyWarning
from opnet.core.status import Status
from opnet.linops.diffusion import Diffusion
from opnet.linops.stencil import Stencil
from opnet.solvers.linear.cg import CG
from opnet.solvers.linear.direct import DirectSolver
from opnet.solvers.linear.flexible_cg import FlexibleCG
from opnet.solvers.linear.gmres import GMRES
from opnet.solvers.linear.relaxation import Chebyshev, Jacobi
from opnet.solvers.linear.richardson import Richardson
from opnet.solvers.linear.solve import solve_linear
from opnet.solvers.linear.surrogate import Surrogate
from opnet.solvers.multigrid.multigrid import Multigrid
from opnet.solvers.multigrid.smoothers import GaussSeidel, Lines
from opnet.spaces.fields.gaussian import GaussianField
from opnet.spaces.grid import Grid

SMOOTHERS = [Multigrid().smoother, Jacobi(0.8, sweeps=2), Chebyshev(degree=3), GaussSeidel(), Lines()]


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def two_phase(n, samples=2, high=12.0, low=3.0, across=1.0):
    """Random interfaces, one function on every grid; `across` multiplies the coefficient of the first axis."""
    grid = Grid((n, n), nodes="cell")
    g = GaussianField(3.0, 2.0, max_mode=64).sample(0, range(samples), grid)
    a = torch.where(g >= 0, high, low).double()
    return Diffusion((across * a, a), grid)


def checkerboard(n, high=1e4):
    square = torch.arange(n) * 8 // n
    a = torch.where((square[:, None] + square) % 2 == 1, high, 1.0).double()
    return Diffusion(a, Grid((n, n), nodes="cell"))


def random_cells(n, decades=4):
    a = 10 ** (decades * torch.rand(n, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    return Diffusion(a, Grid((n, n), nodes="cell"))


def iterations(A, method, b=None, **options):
    b = torch.ones(*A.batch_shape, *A.in_shape, dtype=A.dtype) if b is None else b
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AccuracyWarning)  # at large jumps rounding may be the floor
        return int(solve_linear(A, b, method, max_iterations=200, **options).iterations.max())


@pytest.mark.parametrize("seed", range(3))
def test_iterations_do_not_grow_with_the_grid(seed):
    field = GaussianField(3.0, 2.0, max_mode=64)
    counts = []
    for n in (32, 64, 128, 256):
        grid = Grid((n, n), nodes="cell")
        a = torch.where(field.sample(seed, range(2), grid) >= 0, 12.0, 3.0).double()
        counts.append(iterations(Diffusion(a, grid), CG(Multigrid())))
    assert max(counts) - min(counts) <= 2
    assert max(counts) <= 9


@pytest.mark.parametrize("n", [128, 256])
@pytest.mark.parametrize("high", [1e4, 1e6])
def test_interfaces_of_large_jumps(n, high):
    assert iterations(two_phase(n, high=high, low=1.0), CG(Multigrid())) <= 14


@pytest.mark.parametrize("n", [128, 256, 250])
def test_checkerboard_and_random_cells(n):
    assert iterations(checkerboard(n), CG(Multigrid())) <= 30
    assert iterations(random_cells(n), CG(Multigrid())) <= 50


@pytest.mark.parametrize("n", [128, 256])
def test_anisotropy_by_lines(n):
    one = torch.ones(n, n, dtype=torch.float64)
    A = Diffusion((100 * one, one), Grid((n, n), nodes="cell"))
    for axes in (None, (0,)):
        assert iterations(A, CG(Multigrid(smoother=Lines(axes)))) <= 10
    combined = CG(Multigrid(smoother=Lines()))
    assert iterations(two_phase(n, across=100.0), combined) <= 20
    assert iterations(two_phase(n, high=1e4, low=1.0, across=100.0), combined) <= 40


@pytest.mark.parametrize("n", [32, 64, 127, 256])
def test_alone_it_contracts_by_a_factor_independent_of_the_grid(n):
    """Random right-hand sides: the slowest mode is among them."""
    for A in (two_phase(n), Diffusion(torch.ones(n, n, dtype=torch.float64), Grid((n, n), nodes="cell"))):
        history = solve_linear(A, random(*A.batch_shape, n, n), Multigrid(), rtol=1e-11, throw=False).history
        rate = (history[-1] / history[4]) ** (1 / (len(history) - 5))
        assert float(rate.max()) <= 0.15


def test_single_precision_cycle_costs_no_iterations():
    for A in (two_phase(64), two_phase(128, high=1e4), two_phase(64, across=100.0)):
        for smoother in (Multigrid().smoother, Lines()):
            single, double = (iterations(A, CG(Multigrid(smoother=smoother, dtype=dtype))) for dtype in (None, A.dtype))
            assert single <= double + 1


@pytest.mark.parametrize("smoother", SMOOTHERS, ids=str)
@pytest.mark.parametrize("cycle", ["V", "W", "F"])
def test_every_smoother_in_every_cycle(smoother, cycle):
    A = two_phase(61)
    alone = iterations(A, Multigrid(cycle=cycle, smoother=smoother))
    method = FlexibleCG if cycle == "F" else CG  # an F-cycle is not symmetric
    preconditioned = iterations(A, method(Multigrid(cycle=cycle, smoother=smoother)))
    assert alone <= 32
    assert preconditioned <= 14
    assert preconditioned < alone


@pytest.mark.parametrize("smoother", SMOOTHERS, ids=str)
@pytest.mark.parametrize(
    ("cycle", "steps"), [("V", (1, 1)), ("W", (1, 1)), ("V", (2, 2)), ("F", (1, 1)), ("V", (2, 1))]
)
def test_the_cycle_is_symmetric_positive_definite_where_it_says_so(smoother, cycle, steps):
    grid = Grid((17, 20), nodes="cell", boundary=(("dirichlet", "neumann"), "periodic"))
    A = Diffusion(random(2, 17, 20).exp(), grid)
    pre, post = steps
    state = Multigrid(cycle, pre, post, smoother, coarsest=2, dtype=torch.float64).setup(A)
    n = A.shape[0]
    units = torch.eye(n, dtype=torch.float64).reshape(n, 1, 17, 20).expand(n, 2, 17, 20)
    M = state.apply(units).reshape(n, 2, n).movedim(0, -1)
    assert state.symmetric == (cycle != "F" and pre == post)
    largest = float(M.abs().max())
    if state.symmetric:
        torch.testing.assert_close(M, M.mT, rtol=0, atol=1e-12 * largest)
        assert float(torch.linalg.eigvalsh(M).min()) > 0
    else:
        assert float((M - M.mT).abs().max()) > 1e-6 * largest


def test_more_smoothing_and_more_visits_take_fewer_cycles():
    A = two_phase(96, high=1e3)
    plain = iterations(A, Multigrid())
    assert iterations(A, Multigrid(pre=2, post=2)) < plain
    assert iterations(A, Multigrid(cycle="W")) <= iterations(A, Multigrid(cycle="F")) <= plain


@pytest.mark.parametrize("n", [31, 64, 128])
def test_one_full_multigrid_pass_reaches_the_discretisation_error(n):
    """u = sin(pi x) exp(y) sin(pi y), whose source is taken by hand."""
    grid = Grid((n, n), nodes="cell")
    y, x = grid.coordinates()
    s, e, p = torch.sin(torch.pi * x), torch.exp(y), torch.pi
    u = s * e * torch.sin(p * y)
    f = (2 * p**2 - 1) * u - 2 * p * s * e * torch.cos(p * y)
    A = Diffusion(torch.ones(n, n, dtype=torch.float64), grid)
    b = A.right_hand_side(f)
    once = solve_linear(A, b, Multigrid(full=True), max_iterations=0, throw=False).value
    exact = solve_linear(A, b, CG(Multigrid()), rtol=1e-12).value
    assert float((once - exact).norm()) < 0.5 * float((exact - u).norm())
    cycle = solve_linear(A, b, Multigrid(), max_iterations=1, throw=False).value
    assert float((cycle - exact).norm()) > 3 * float((once - exact).norm())


def test_full_multigrid_only_begins():
    A, b = two_phase(64), random(2, 64, 64)
    plain, full = (solve_linear(A, b, Multigrid(full=full)) for full in (False, True))
    assert int(full.iterations.max()) <= int(plain.iterations.max())
    torch.testing.assert_close(full.value, plain.value, rtol=0, atol=1e-6 * float(plain.value.abs().max()))
    assert int(solve_linear(A, b, Multigrid(full=True), x0=plain.value, rtol=1e-7).iterations.max()) == 0
    for size in (1e-60, 0.0):
        assert bool(torch.isfinite(solve_linear(A, size * b, Multigrid(full=True)).value).all())


SIDES = {
    "cells": Grid((45, 38), nodes="cell"),
    "cells in a box": Grid((32, 48), extent=((0, 2), (0, 3)), boundary=("neumann", "dirichlet"), nodes="cell"),
    "cells, sides apart": Grid((31, 40), boundary=(("neumann", "dirichlet"), ("robin", "neumann")), nodes="cell"),
    "cells, Robin": Grid((37, 37), boundary="robin", nodes="cell"),
    "vertices": Grid((33, 46), nodes="vertex"),
    "vertices, sides apart": Grid((40, 33), boundary=(("neumann", "dirichlet"), ("robin", "neumann")), nodes="vertex"),
    "vertices, Robin": Grid((33, 34), boundary="robin", nodes="vertex"),
    "interior": Grid((41, 42), nodes="interior"),
    "periodic and Dirichlet": Grid((36, 27), boundary=("dirichlet", "periodic"), nodes=("interior", "left")),
    "periodic, odd, and Robin": Grid((35, 32), boundary=("periodic", "robin"), nodes=("cell", "vertex")),
    "mixed placements": Grid((30, 31), boundary=(("robin", "neumann"), "dirichlet"), nodes=("vertex", "cell")),
    "a narrow strip": Grid((3, 150), extent=((0, 0.02), (0, 1)), nodes="cell"),
    "a thin strip": Grid((5, 301), extent=((0, 5), (0, 301)), nodes="cell", boundary=("neumann", "dirichlet")),
    "a line": Grid((257,), nodes="cell"),
    "a line of vertices": Grid((300,), boundary=(("robin", "neumann"),), nodes="vertex"),
    "space": Grid((12, 17, 14), boundary=("dirichlet", "neumann", "periodic"), nodes="cell"),
    "space, vertices": Grid((9, 16, 13), boundary=("dirichlet", ("robin", "neumann"), "periodic"), nodes="vertex"),
}
SINGULAR = {
    "cells": Grid((45, 38), boundary="neumann", nodes="cell"),
    "vertices": Grid((33, 46), boundary="neumann", nodes="vertex"),
    "periodic, even": Grid((32, 48), boundary="periodic", nodes="left"),
    "periodic, odd": Grid((33, 45), boundary="periodic", nodes="cell"),
    "periodic and Neumann": Grid((34, 33), boundary=("periodic", "neumann"), nodes=("left", "vertex")),
    "a line": Grid((129,), boundary="neumann", nodes="cell"),
    "a ring": Grid((131,), boundary="periodic", nodes="cell"),
    "space": Grid((11, 12, 9), boundary=("neumann", "periodic", "neumann"), nodes="cell"),
}


def on(grid, **options):
    """Two operators with a smooth coefficient and, where a side is Robin, beta = 2."""
    phase = sum((k + 2) * x for k, x in enumerate(grid.coordinates()))
    a = torch.stack([torch.exp(torch.sin(phase)), 1 + 0.5 * torch.cos(3 * phase)])
    return Diffusion(a, grid, robin=2.0 if any("robin" in pair for pair in grid.boundary) else None, **options)


@pytest.mark.parametrize("grid", SIDES.values(), ids=SIDES)
def test_every_kind_of_side_and_placement(grid):
    A = on(grid)
    b = random(3, 2, *grid.shape)
    for smoother in (Multigrid().smoother, GaussSeidel(), Lines()):
        solution = solve_linear(A, b, CG(Multigrid(smoother=smoother)))
        assert int(solution.iterations.max()) <= (12 if grid.dim < 3 else 15)
    exact = solve_linear(A, b, CG(Multigrid()), rtol=1e-12, throw=False).value
    torch.testing.assert_close(solution.value, exact, rtol=0, atol=1e-5 * float(exact.abs().max()))
    assert iterations(A, Multigrid(), b) <= 30


@pytest.mark.parametrize("grid", SINGULAR.values(), ids=SINGULAR)
def test_singular_and_consistent(grid):
    A, b = on(grid), random(2, *grid.shape)
    dims = tuple(range(1, b.ndim))
    b = b - b.mean(dims, keepdim=True)
    for smoother in (Multigrid().smoother, GaussSeidel(), Lines()):
        for method in (CG(Multigrid(smoother=smoother)), Multigrid(smoother=smoother)):
            solution = solve_linear(A, b, method)
            assert int(solution.iterations.max()) <= (14 if isinstance(method, CG) else 40)
            assert solution.status.tolist() == [Status.CONVERGED] * 2
            torch.testing.assert_close(solution.value.mean(dims), torch.zeros(2, dtype=b.dtype), rtol=0, atol=1e-12)


@pytest.mark.parametrize("n", [64, 256])
def test_rounding_does_not_hide_the_kernel_of_strongly_varying_coefficients(n):
    """Sums of their rows are zero to the rounding of the largest coefficient; eight decades."""
    A = Diffusion(random(n, n).mul(3).exp(), Grid((n, n), boundary="neumann", nodes="cell"))
    b = random(n, n, seed=1)
    for dtype in (None, torch.float64):
        assert iterations(A, CG(Multigrid(dtype=dtype)), b - b.mean()) <= 45


def test_inconsistent_is_told():
    A = on(SINGULAR["cells"])
    solution = solve_linear(
        A, torch.ones(A.in_shape, dtype=A.dtype) + random(*A.in_shape), CG(Multigrid()), throw=False
    )
    assert solution.status.tolist() == [Status.INCONSISTENT] * 2


@pytest.mark.parametrize("c", [1e-6, 1.0, 1e4, "field", -5.0])
def test_reaction(c):
    """-5 is above minus the smallest eigenvalue, about 2 pi^2 times the least coefficient, .4."""
    grid = Grid((48, 51), nodes="cell")
    A = on(grid, c=random(48, 51).exp() if c == "field" else c)
    for smoother in (Multigrid().smoother, GaussSeidel()):
        assert iterations(A, CG(Multigrid(smoother=smoother)), random(2, 48, 51)) <= 12
    pinned = Diffusion(
        torch.ones(48, 51, dtype=torch.float64), Grid((48, 51), nodes="cell", boundary="neumann"), c=1e-3
    )
    assert iterations(pinned, CG(Multigrid()), random(48, 51)) <= 12


@pytest.mark.parametrize("smoother", SMOOTHERS, ids=str)
def test_operators_in_single_precision(smoother):
    A = two_phase(64).to(dtype=torch.float32)
    b = random(2, 64, 64, dtype=torch.float32)
    for method in (CG(Multigrid(smoother=smoother)), Multigrid(smoother=smoother, dtype=torch.float64)):
        solution = solve_linear(A, b, method, rtol=2e-5)
        assert solution.value.dtype == torch.float32
        assert int(solution.iterations.max()) <= 20


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_units_do_not_matter(size):
    a, b = torch.rand(40, 41, dtype=torch.float64) + 0.5, random(40, 41)
    grid = Grid((40, 41), nodes="cell")
    for smoother in (Multigrid().smoother, GaussSeidel(), Lines()):
        method = CG(Multigrid(smoother=smoother))
        own = iterations(Diffusion(a, grid), method, b)
        assert iterations(Diffusion(size * a, grid), method, b) == own
        assert iterations(Diffusion(a, grid), method, b * size) == own


def helmholtz(n, k, shift=1.0):
    """Waves exp(-i t) that leave the unit square: -lap u - shift k^2 u, du/dn = i k u."""
    grid = Grid((n, n), boundary="robin", nodes="cell")
    return Diffusion(torch.ones(n, n, dtype=torch.float64), grid, c=-shift * k**2, robin=-1j * k)


@pytest.mark.parametrize(("cycle", "sweeps"), [("F", 1), ("W", 2)])
def test_the_shifted_laplacian_preconditions_helmholtz(cycle, sweeps):
    """Ten points a wave. The shift 1 + i/2 damps as the side beta = -i k absorbs; 1 - i/2 feeds waves.

    Damped Jacobi is what works: on the coarse grids that hardly resolve a wave Gauss-Seidel and polynomials of a wider
    interval amplify it, and V-cycles take up to twice as many iterations. So it comes near the exact inverse.
    """
    inner = Multigrid(cycle, smoother=Jacobi(0.5, sweeps))
    for n, k, most in ((32, 20.0, 32), (64, 40.0, 52)):
        A, b = helmholtz(n, k), random(n, n, dtype=torch.complex128)
        counts = {}
        for shift, solver in ((1 + 0.5j, inner), (1 + 0.5j, DirectSolver()), (1 - 0.5j, inner)):
            method = GMRES(Surrogate(helmholtz(n, k, shift), solver), restart=100)
            solution = solve_linear(A, b, method, max_iterations=100, throw=False)
            counts[shift, type(solver)] = int(solution.iterations)
            if shift.imag > 0:
                exact = solve_linear(A, b, DirectSolver()).value
                torch.testing.assert_close(solution.value, exact, rtol=0, atol=1e-5 * float(exact.abs().max()))
        assert counts[1 + 0.5j, Multigrid] <= min(most, 1.25 * counts[1 + 0.5j, DirectSolver])
        assert counts[1 - 0.5j, Multigrid] > 1.5 * counts[1 + 0.5j, Multigrid]
    plain = solve_linear(A, b, GMRES(restart=100), max_iterations=100, throw=False)
    assert plain.status.item() == Status.MAX_ITERATIONS


def test_complex_symmetric_hierarchies_are_reused_for_the_adjoint():
    A = helmholtz(24, 5.0, 1 + 0.5j)
    u, v = (random(24, 24, seed=seed, dtype=torch.complex128) for seed in (1, 2))
    for smoother, coarse in [*((smoother, "galerkin") for smoother in SMOOTHERS), (SMOOTHERS[0], "rediscretised")]:
        operator = A if coarse == "galerkin" else Diffusion.from_faces(A.faces, A.grid)
        state = Multigrid(smoother=smoother, coarse=coarse, coarsest=16, dtype=torch.float64).setup(operator)
        adjoint = state.adjoint()
        assert not state.symmetric
        torch.testing.assert_close(
            torch.vdot(v.flatten(), state.apply(u).flatten()), torch.vdot(adjoint.apply(v).flatten(), u.flatten())
        )


def convection(n, speed):
    """-lap u + speed du/dx by first-order upwind differences, u = 0 around."""
    h, one = 1 / (n + 1), torch.ones(n, n, dtype=torch.float64)
    along = {(0, -1): -one / h**2 - speed / h, (0, 1): -one / h**2}
    across = {(-1, 0): -one / h**2, (1, 0): -one / h**2}
    return Stencil({(0, 0): one * (4 / h**2 + speed / h), **along, **across}, [False, False])


@pytest.mark.parametrize("smoother", SMOOTHERS, ids=str)
@pytest.mark.parametrize("speed", [5.0, 50.0])
def test_mild_convection(smoother, speed):
    for n in (16, 47):
        A, b = convection(n, speed), random(n, n)
        for operator in (A, A.adjoint()):
            assert iterations(operator, Multigrid(smoother=smoother), b) <= 25
            assert iterations(operator, GMRES(Multigrid(smoother=smoother)), b) <= 14
    A = convection(16, speed)
    state = Multigrid(smoother=smoother).setup(A)
    assert not state.symmetric
    torch.testing.assert_close(state.adjoint().operator.to_dense(), A.to_dense().mT)


@pytest.mark.parametrize("smoother", SMOOTHERS, ids=str)
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_bad_operator_harms_itself_alone(smoother, value):
    good = on(Grid((20, 21), nodes="cell")).stencil()
    spoilt = {q: torch.cat([c, c[:1]]) for q, c in good.half.items()}
    spoilt[0, 0][1, 7, 8] = value
    A, b = Stencil(spoilt, [False, False], symmetric=True), random(3, 20, 21)
    for dtype in (None, torch.float64):
        for method in (CG(Multigrid(smoother=smoother, dtype=dtype)), Multigrid(smoother=smoother, dtype=dtype)):
            solution = solve_linear(A, b, method, throw=False)
            assert solution.status.tolist() == [Status.CONVERGED, Status.NON_FINITE, Status.CONVERGED]
            for i in (0, 2):
                alone = Stencil({q: c[i] for q, c in spoilt.items()}, [False, False], symmetric=True)
                expected = solve_linear(alone, b[i], CG(Multigrid()), rtol=1e-10).value
                torch.testing.assert_close(solution.value[i], expected, rtol=0, atol=1e-6 * float(expected.abs().max()))


def test_gradients_through_the_solve():
    grid = Grid((9, 10), nodes="cell", boundary=(("dirichlet", "neumann"), "periodic"))

    def solution(a, b):
        return solve_linear(Diffusion(a, grid), b, CG(Multigrid(coarsest=4)), rtol=1e-12).value

    a, b = random(2, 9, 10).exp().requires_grad_(), random(2, 9, 10, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(solution, (a, b), fast_mode=True)
    assert torch.autograd.gradgradcheck(solution, (a, b), fast_mode=True)


def test_gradients_through_a_complex_and_through_a_nonsymmetric_solve():
    grid = Grid((9, 8), nodes="cell", boundary="robin")

    def waves(a, b):
        A, shifted = (Diffusion(a, grid, c=-shift * 36.0, robin=-6j) for shift in (1.0, 1 + 0.5j))
        with torch.no_grad():
            near = shifted.rebuild(tuple(t.detach() for t in shifted.tensors))
        return solve_linear(A, b, GMRES(Surrogate(near, Multigrid(coarsest=4))), rtol=1e-11).value

    a, b = random(9, 8).exp().requires_grad_(), random(9, 8, dtype=torch.complex128).requires_grad_()
    assert torch.autograd.gradcheck(waves, (a, b), fast_mode=True)
    A, c = convection(8, 5.0), random(8, 8).requires_grad_()

    def flow(*tensors):
        return solve_linear(A.rebuild(tensors), c, GMRES(Multigrid(coarsest=4)), rtol=1e-11).value

    assert torch.autograd.gradcheck(flow, tuple(t.clone().requires_grad_() for t in A.tensors), fast_mode=True)


def test_set_up_once_for_many_right_hand_sides():
    A = two_phase(64)
    state = CG(Multigrid()).setup(A)
    for seed in range(3):
        b = random(2, 64, 64, seed=seed)
        again, fresh = (solve_linear(A, b, solver) for solver in (state, CG(Multigrid())))
        assert torch.equal(again.value, fresh.value)


def test_small_grids_are_solved_at_once():
    for shape, coarsest in (((8, 8), 64), ((3, 3), 1), ((1, 5), 5), ((2, 2, 2), 4)):
        A = Diffusion(random(2, *shape).exp(), Grid(shape, nodes="cell"))
        b = random(2, *shape)
        exact = torch.linalg.solve(A.to_dense(), b.reshape(2, -1, 1)).reshape(b.shape)
        found = Multigrid(coarsest=coarsest, dtype=torch.float64).setup(A).apply(b)
        torch.testing.assert_close(found, exact)


def test_richardson_is_the_cycle_alone():
    A, b = two_phase(32), random(2, 32, 32)
    alone, wrapped = (solve_linear(A, b, method) for method in (Multigrid(), Richardson(preconditioner=Multigrid())))
    assert torch.equal(alone.value, wrapped.value)


def test_arguments_are_checked():
    for wrong, message in (
        ({"cycle": "X"}, "Multigrid.cycle: expected one of V, W, F, found 'X'"),
        ({"coarse": "averaged"}, "Multigrid.coarse: expected one of galerkin, rediscretised, found 'averaged'"),
        ({"pre": 0}, "Multigrid: expected pre >= 1 and post >= 1, found 0 and 1"),
        ({"post": -1}, "Multigrid: expected pre >= 1 and post >= 1, found 1 and -1"),
        ({"coarsest": 0}, "Multigrid.coarsest: expected 1 ... 1024 unknowns, found 0"),
        ({"coarsest": 4096}, "Multigrid.coarsest: expected 1 ... 1024 unknowns, found 4096"),
        ({"dtype": torch.int32}, "Multigrid.dtype: expected torch.float32 or torch.float64, found torch.int32"),
        ({"dtype": torch.float16}, "Multigrid.dtype: expected torch.float32 or torch.float64, found torch.float16"),
        ({"dtype": torch.complex64}, "Multigrid.dtype: expected torch.float32 or torch.float64, found torch.complex64"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            Multigrid(**wrong)
    for method in (Multigrid(cycle="F"), Multigrid(pre=2, smoother=Jacobi())):
        with pytest.raises(ValueError, match="symmetric"):
            CG(preconditioner=method).setup(two_phase(16))


@pytest.mark.slow
def test_counts_hold_to_a_thousand_squared():
    """Ten samples of the coefficient up to 512 squared, two beyond."""
    for n, samples in ((512, 10), (1024, 2)):
        A = two_phase(n, samples)
        assert iterations(A, CG(Multigrid())) <= 9
        assert iterations(two_phase(n, 2, high=1e6, low=1.0), CG(Multigrid())) <= 14
        history = solve_linear(A, random(samples, n, n), Multigrid(), rtol=1e-9, throw=False).history
        assert float(((history[-1] / history[3]) ** (1 / (len(history) - 4))).max()) <= 0.15


@pytest.mark.slow
def test_every_cycle_on_every_side():
    for grid, cycle, smoother in product(SIDES.values(), "VWF", SMOOTHERS):
        A = on(grid)
        for full in (False, True):
            method = Multigrid(cycle=cycle, smoother=smoother, full=full)
            assert iterations(A, method, random(2, *grid.shape)) <= (32 if grid.dim < 3 else 45)


def test_a_residual_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="expected an argument of shape"):
        Multigrid().setup(Diffusion(torch.ones(20, 20, dtype=torch.float64), Grid((20, 20), nodes="cell"))).apply(
            torch.ones(10, 10, dtype=torch.float64)
        )


def test_a_cycle_has_gradients_to_its_residual_whatever_runs_it():
    state = Multigrid().setup(Diffusion(torch.ones(20, 20, dtype=torch.float64), Grid((20, 20), nodes="cell")))
    r = random(20, 20).requires_grad_()
    state.apply(r).sum().backward()
    assert float(r.grad.abs().min()) > 0


@pytest.mark.parametrize("n", [40, 64])
def test_a_line_of_strong_jumps(n):
    a = torch.where(random(n) > 0, 1e6, 1.0).double()
    A = Diffusion(a, Grid((n,), boundary=(("dirichlet", "neumann"),), nodes="cell"))
    assert (
        int(solve_linear(A, torch.ones(n, dtype=torch.float64), CG(preconditioner=Multigrid()), rtol=1e-6).iterations)
        <= 4
    )


def test_single_precision_operators_run_in_the_same_loops():
    a, b = random(33, 41).exp(), random(33, 41, seed=1)
    grid = Grid((33, 41), extent=((0, 33), (0, 41)), nodes="cell")
    double = solve_linear(Diffusion(a, grid), b, CG(preconditioner=Multigrid()))
    single = solve_linear(Diffusion(a.float(), grid), b.float(), CG(preconditioner=Multigrid()), rtol=1e-4)
    assert single.value.dtype == single.residual.dtype == torch.float32
    torch.testing.assert_close(single.value.double(), double.value, rtol=0, atol=1e-3 * float(double.value.abs().max()))
