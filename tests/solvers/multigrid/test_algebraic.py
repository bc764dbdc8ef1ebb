"""Algebraic multigrid on PyAMG's own gallery, beside PyAMG's own cycles."""

import sys

import numpy as np
import pytest
import scipy.sparse
import torch

from opnet.core.status import Status
from opnet.linops.dense import Dense
from opnet.linops.diffusion import Diffusion
from opnet.linops.sparse import CSR
from opnet.solvers.linear.cg import CG
from opnet.solvers.linear.flexible_cg import FlexibleCG
from opnet.solvers.linear.gmres import GMRES
from opnet.solvers.linear.relaxation import Jacobi
from opnet.solvers.linear.solve import solve_linear
from opnet.solvers.multigrid.algebraic import AlgebraicMultigrid, RugeStuben, SmoothedAggregation
from opnet.spaces.grid import Grid

pyamg = pytest.importorskip("pyamg")
gallery = pyamg.gallery


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def poisson(*shape):
    return gallery.poisson(shape, format="csr"), None


def rotated(n):
    """Anisotropy 100 at thirty degrees to the grid."""
    return gallery.stencil_grid(gallery.diffusion_stencil_2d(0.01, np.pi / 6, type="FD"), (n, n), format="csr"), None


def elasticity(n):
    return gallery.linear_elasticity((n, n))


def example(name):
    content = gallery.load_example(name)
    return scipy.sparse.csr_array(content["A"]), content["B"]


def graph_laplacian(n=400):
    """Of points in the unit square joined to those within .15, with weights: singular, constants are its kernel."""
    points = np.random.default_rng(0).random((n, 2))
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
    weights = scipy.sparse.csr_array(np.where((distance < 0.15) & (distance > 0), np.exp(-distance / 0.05), 0))
    return scipy.sparse.csr_array(scipy.sparse.diags_array(weights.sum(1)) - weights)


PROBLEMS = {
    "Poisson 2-D": (lambda: poisson(100, 100), None),
    "Poisson 3-D": (lambda: poisson(20, 20, 20), None),
    "Poisson 2-D, aggregation": (lambda: poisson(100, 100), 1),
    "Poisson 3-D, aggregation": (lambda: poisson(20, 20, 20), 1),
    "rotated anisotropy": (lambda: rotated(80), None),
    "rotated anisotropy, aggregation": (lambda: rotated(80), 1),
    "elasticity, aggregation": (lambda: elasticity(40), 2),
    "tripod mesh of elasticity, aggregation": (lambda: example("bar"), 3),
    "airfoil mesh": (lambda: example("airfoil"), None),
    "tetrahedra in a cube": (lambda: example("unit_cube"), None),
    "knot mesh": (lambda: example("knot"), None),
}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_gallery_in_as_many_iterations_as_pyamg(problem):
    make, block = PROBLEMS[problem]
    matrix, B = make()
    b = random(matrix.shape[0])
    np.random.seed(0)  # noqa: NPY002
    if block is None:
        hierarchy = RugeStuben()
        theirs = pyamg.ruge_stuben_solver(scipy.sparse.csr_array(matrix), max_coarse=64)
    else:
        modes = None if B is None else torch.as_tensor(B.T.copy())
        hierarchy = SmoothedAggregation(near_nullspace=modes, block=block)
        blocked = matrix.tobsr((block, block)) if block > 1 else matrix
        theirs = pyamg.smoothed_aggregation_solver(blocked, B=B, max_coarse=64)
    history = []
    x = theirs.solve(b.numpy(), tol=1e-8, accel="cg", residuals=history, maxiter=100)
    A = CSR.from_scipy(matrix)
    solution = solve_linear(A, b, CG(preconditioner=AlgebraicMultigrid(hierarchy)), rtol=1e-8)
    assert int(solution.iterations) <= 1.3 * (len(history) - 1) + 2
    expected = torch.as_tensor(x)
    assert float((solution.value - expected).norm()) <= 1e-6 * float(expected.norm())


def test_iterations_do_not_grow_with_the_mesh():
    counts = []
    for n in (32, 64, 128):
        A = CSR.from_scipy(poisson(n, n)[0])
        solver = CG(preconditioner=AlgebraicMultigrid())
        counts.append(int(solve_linear(A, random(n * n), solver).iterations))
    assert max(counts) <= min(counts) + 2 <= 8


def test_w_cycles_and_more_smoothing_help():
    A = CSR.from_scipy(rotated(64)[0])

    def iterations(**options):
        return int(solve_linear(A, random(64 * 64), CG(preconditioner=AlgebraicMultigrid(**options))).iterations)

    plain = iterations()
    assert iterations(cycle="W") < plain
    F = FlexibleCG(preconditioner=AlgebraicMultigrid(cycle="F"))
    assert iterations(cycle="W") <= int(solve_linear(A, random(64 * 64), F).iterations) < plain
    assert iterations(pre=2, post=2) < plain
    assert iterations(smoother=Jacobi(0.6, sweeps=2)) <= 2 * plain


def test_alone_it_converges():
    A = CSR.from_scipy(poisson(64, 64)[0])
    history = solve_linear(A, random(64 * 64), AlgebraicMultigrid(), rtol=1e-10).history
    assert float((history[-1] / history[3]) ** (1 / (len(history) - 4))) < 0.15


def test_single_precision_cycles_cost_no_iterations():
    A, b = CSR.from_scipy(poisson(64, 64)[0]), random(64 * 64)
    double, single = (
        solve_linear(A, b, CG(preconditioner=AlgebraicMultigrid(dtype=dtype)), rtol=1e-10)
        for dtype in (torch.float64, None)
    )
    assert abs(int(single.iterations) - int(double.iterations)) <= 1
    torch.testing.assert_close(single.value, double.value, rtol=0, atol=1e-8 * float(double.value.abs().max()))


def test_many_right_hand_sides_are_a_loop():
    A, b = CSR.from_scipy(poisson(24, 24)[0]), random(2, 3, 24 * 24)
    state = CG(preconditioner=AlgebraicMultigrid()).setup(A)
    together = solve_linear(A, b, state)
    assert together.status.shape == (2, 3)
    for i in range(2):
        for j in range(3):
            alone = solve_linear(A, b[i, j], state)
            assert int(alone.iterations) == int(together.iterations[i, j])
            torch.testing.assert_close(alone.value, together.value[i, j], rtol=1e-7, atol=1e-9)
    b[0, 1, 7] = torch.nan
    spoilt = solve_linear(A, b, state, throw=False)
    assert spoilt.status.tolist() == [[0, Status.NON_FINITE, 0], [0, 0, 0]]
    torch.testing.assert_close(spoilt.value[1], together.value[1], rtol=1e-12, atol=1e-14)


def test_operators_on_grids():
    grid = Grid((24, 20), nodes="cell", boundary=(("dirichlet", "neumann"), "periodic"))
    A, b = Diffusion(random(24, 20).exp(), grid), random(3, 24, 20)
    for operator in (A, A.stencil()):
        solution = solve_linear(operator, b, CG(preconditioner=AlgebraicMultigrid()))
        assert int(solution.iterations.max()) <= 12
        torch.testing.assert_close(A @ solution.value, b, rtol=0, atol=1e-6)


def test_states_are_symmetric_positive_definite_where_they_say_so():
    matrix = poisson(10, 12)[0]
    options = {"coarsest": 4, "dtype": torch.float64}
    for method in (AlgebraicMultigrid(**options), AlgebraicMultigrid(SmoothedAggregation(), cycle="W", **options)):
        state = method.setup(CSR.from_scipy(matrix))
        assert state.symmetric
        M = state.apply(torch.eye(120, dtype=torch.float64))
        torch.testing.assert_close(M, M.T, rtol=0, atol=1e-13)
        assert float(torch.linalg.eigvalsh(M).min()) > 0
    for method in (AlgebraicMultigrid(pre=2), AlgebraicMultigrid(cycle="F")):
        assert not method.setup(CSR.from_scipy(matrix)).symmetric
    off = scipy.sparse.csr_array(([1e-9], ([0], [1])), shape=matrix.shape)
    assert not AlgebraicMultigrid().setup(CSR.from_scipy(matrix + off)).symmetric
    assert AlgebraicMultigrid().setup(CSR.from_scipy(matrix + 1e-7 * off)).symmetric  # to rounding
    with pytest.raises(ValueError, match="symmetric"):
        CG(preconditioner=AlgebraicMultigrid(pre=2)).setup(CSR.from_scipy(matrix))


def convection(n):
    """Upwind convection along the first axis with diffusion: not symmetric."""
    slope = scipy.sparse.diags_array([1.0, -1.0], offsets=[0, -1], shape=(n, n))
    return scipy.sparse.csr_array(poisson(n, n)[0] + 0.5 * scipy.sparse.kron(slope, scipy.sparse.eye_array(n)))


@pytest.mark.parametrize("hierarchy", [RugeStuben(), SmoothedAggregation()], ids=["classical", "aggregation"])
def test_adjoint_reuses_the_hierarchy(hierarchy):
    A, b = CSR.from_scipy(convection(24)), random(24 * 24)
    method = AlgebraicMultigrid(hierarchy, coarsest=8, dtype=torch.float64)
    state = method.setup(A)
    assert not state.symmetric
    adjoint = state.adjoint()
    basis = torch.eye(24 * 24, dtype=torch.float64)
    torch.testing.assert_close(adjoint.apply(basis), state.apply(basis).T, rtol=0, atol=1e-12)
    for operator, bound in ((A, state), (adjoint.operator, adjoint)):
        solution = solve_linear(operator, b, bound, rtol=1e-10)
        assert int(solution.iterations) <= 60
    torch.testing.assert_close(A.T @ solution.value, b, rtol=0, atol=1e-8)
    outer = GMRES(preconditioner=method)
    assert int(solve_linear(A, b, outer).iterations) <= 12


def test_gradients_go_through_the_hierarchy_and_back():
    A = CSR.from_scipy(convection(6))
    A = A.rebuild((A.values.clone().requires_grad_(),))
    b = random(36).requires_grad_()

    def solve(values, b):
        return solve_linear(A.rebuild((values,)), b, GMRES(AlgebraicMultigrid(coarsest=4)), rtol=1e-12).value

    assert torch.autograd.gradcheck(solve, (A.values, b), fast_mode=True)


def test_complex_hermitian_matrices():
    """U^H A U with random phases on the diagonal of U: the spectrum of A, and U^H 1 for its near-kernel, constants."""
    phases = np.exp(2j * np.pi * random(400).sigmoid().numpy())
    U = scipy.sparse.diags_array(phases)
    A = CSR.from_scipy(scipy.sparse.csr_array(U.conj() @ poisson(20, 20)[0] @ U), torch.complex128)
    b = torch.complex(random(400), random(400, seed=1))
    hierarchy = SmoothedAggregation(near_nullspace=torch.as_tensor(phases.conj())[None])
    solution = solve_linear(A, b, CG(preconditioner=AlgebraicMultigrid(hierarchy, coarsest=10)))
    assert int(solution.iterations) <= 10
    torch.testing.assert_close(A @ solution.value, b, rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match="RugeStuben: expected a real operator"):
        AlgebraicMultigrid().setup(A)


@pytest.mark.parametrize("name", ["graph", "mesh without Dirichlet sides"])
def test_consistent_singular_systems(name):
    matrix = graph_laplacian() if name == "graph" else example("unit_square")[0]
    n = matrix.shape[0]
    A, b = CSR.from_scipy(matrix), random(2, n)
    b = b - b.mean(-1, keepdim=True)
    constants = torch.ones(1, n, dtype=torch.float64)
    solution = solve_linear(A, b, CG(preconditioner=AlgebraicMultigrid()), nullspace=constants)
    assert solution.status.tolist() == [Status.CONVERGED] * 2
    assert int(solution.iterations.max()) <= 12
    torch.testing.assert_close(A @ solution.value, b, rtol=0, atol=1e-6)
    assert float(solution.value.mean(-1).abs().max()) < 1e-10
    failed = solve_linear(A, b + 1, CG(preconditioner=AlgebraicMultigrid()), nullspace=constants, throw=False)
    assert failed.status.tolist() == [Status.INCONSISTENT] * 2


def test_set_up_is_the_same_every_time_and_keeps_the_callers_draws():
    A, r = CSR.from_scipy(elasticity(12)[0]), random(288)
    np.random.seed(3)  # noqa: NPY002
    first = AlgebraicMultigrid(SmoothedAggregation(block=2)).setup(A).apply(r)
    after = np.random.rand()  # noqa: NPY002
    np.random.seed(3)  # noqa: NPY002
    assert after == np.random.rand()  # noqa: NPY002
    assert torch.equal(first, AlgebraicMultigrid(SmoothedAggregation(block=2)).setup(A).apply(r))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cycles_run_on_another_device():
    A, b = CSR.from_scipy(poisson(40, 40)[0]), random(4, 1600)
    here = solve_linear(A, b, CG(preconditioner=AlgebraicMultigrid()))
    there = solve_linear(A.to("cuda"), b.cuda(), CG(preconditioner=AlgebraicMultigrid()))
    assert int((there.iterations.cpu() - here.iterations).abs().max()) <= 1
    torch.testing.assert_close(there.value.cpu(), here.value, rtol=0, atol=1e-6)


def test_operators_are_checked():
    for operator, what in (
        (Dense(torch.eye(3)), r"an operator with to_scipy\(\), such as CSR or Diffusion, found Dense"),
        (Diffusion(torch.ones(2, 4), Grid((4,), nodes="cell")), r"an operator without a batch .* found batch \(2,\)"),
        (CSR.from_scipy(scipy.sparse.eye_array(3, 4)), "a square operator, found 3 x 4"),
        (CSR.from_scipy(scipy.sparse.diags_array([1.0, np.nan])), "finite entries, found NaN or Inf"),
        (CSR.from_scipy(scipy.sparse.diags_array([1.0, 0.0, 0.0])), "no zero on the diagonal, found 2, first 1"),
    ):
        with pytest.raises(ValueError, match="AlgebraicMultigrid: expected " + what):
            AlgebraicMultigrid().setup(operator)


def test_arguments_are_checked():
    for wrong in ({"cycle": "X"}, {"pre": 0}, {"post": 0}, {"coarsest": 0}):
        with pytest.raises(ValueError, match="AlgebraicMultigrid"):
            AlgebraicMultigrid(**wrong)
    for wrong in ({"threshold": 1.0}, {"interpolation": "cubic"}):
        with pytest.raises(ValueError, match=r"RugeStuben\.(threshold|interpolation): expected"):
            RugeStuben(**wrong)
    for wrong in ({"threshold": -1.0}, {"block": 0}):
        with pytest.raises(ValueError, match="SmoothedAggregation"):
            SmoothedAggregation(**wrong)
    A = CSR.from_scipy(poisson(5, 5)[0])
    for hierarchy, what in (
        (SmoothedAggregation(block=2), "block: expected a divisor of 25 unknowns, found 2"),
        (SmoothedAggregation(near_nullspace=torch.ones(25, 1)), r"of 25 unknowns each, found \(25, 1\)"),
        (SmoothedAggregation(near_nullspace=torch.full((1, 25), torch.nan)), "expected finite vectors"),
    ):
        with pytest.raises(ValueError, match=what):
            AlgebraicMultigrid(hierarchy).setup(A)


def test_what_cannot_be_coarsened_is_refused():
    """Uncoupled unknowns do not interpolate from each other."""
    A = CSR.from_scipy(scipy.sparse.eye_array(3000, format="csr"))
    with pytest.raises(ValueError, match="expected coarsening down to 2048 unknowns, found that it stopped at 3000"):
        AlgebraicMultigrid().setup(A)


def test_without_pyamg_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyamg", None)
    with pytest.raises(ImportError, match=r"pip install opnet\[amg\]"):
        AlgebraicMultigrid().setup(CSR.from_scipy(poisson(5, 5)[0]))
