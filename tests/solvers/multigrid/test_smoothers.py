from itertools import product

import pytest
import torch

from opnet.linops.dense import Dense
from opnet.linops.diffusion import Diffusion
from opnet.linops.stencil import Stencil
from opnet.solvers.linear.cg import CG
from opnet.solvers.linear.solve import solve_linear
from opnet.solvers.multigrid.smoothers import GaussSeidel, Lines, as_stencil
from opnet.spaces.grid import Grid

SMOOTHERS = [GaussSeidel(), GaussSeidel(sweeps=2), Lines(), Lines(axes=(0,)), Lines(axes=(1, 0), sweeps=2)]


def random(*shape, dtype=torch.float64):
    return torch.rand(*shape, dtype=dtype)


def nine_points(shape, periodic=(False, False), symmetric=True, batch=(), dtype=torch.float64):
    coefficients = {}
    for q in product((-1, 0, 1), repeat=len(shape)):
        coefficients[q] = -random(*batch, *shape, dtype=dtype) if any(q) else 3 ** len(shape) + random(*batch, *shape)
    coefficients[(0,) * len(shape)] = coefficients[(0,) * len(shape)].to(dtype)
    return Stencil(coefficients, periodic, symmetric=symmetric)


def one_at_a_time(A, x, b, order):
    """Gauss-Seidel as it is written in books: every unknown in turn takes what its equation says."""
    matrix, x, b = A.to_dense(), x.flatten().clone(), b.flatten()
    for i in order:
        x[i] += (b[i] - matrix[i] @ x) / matrix[i, i]
    return x.reshape(A.in_shape)


@pytest.mark.parametrize(("shape", "boundary"), [((6, 7), "dirichlet"), ((4, 6), "periodic"), ((9,), "neumann")])
def test_red_black_is_gauss_seidel_in_that_order(shape, boundary):
    A = Diffusion(random(*shape) + 0.5, Grid(shape, boundary=boundary, nodes="cell"))
    x, b = random(*shape), random(*shape)
    nodes = list(product(*map(range, shape)))
    order = sorted(range(len(nodes)), key=lambda i: sum(nodes[i]) % 2)
    state = GaussSeidel().setup(A)
    torch.testing.assert_close(state.improve(x.clone(), b), one_at_a_time(A, x, b, order))
    torch.testing.assert_close(state.improve_backwards(x.clone(), b), one_at_a_time(A, x, b, order[::-1]))
    torch.testing.assert_close(state.begin(b), one_at_a_time(A, torch.zeros_like(b), b, order))


@pytest.mark.parametrize(("shape", "colours"), [((5, 6), 4), ((4, 3, 5), 8)])
def test_stencils_with_corners_have_a_colour_for_every_parity(shape, colours):
    A = nine_points(shape, (False,) * len(shape))
    state = GaussSeidel().setup(A)
    groups = [parity for colour in state.colours for parity in colour]
    assert (len(state.colours), len(set(groups))) == (colours, colours)
    nodes = list(product(*map(range, shape)))
    rank = {parity: k for k, parity in enumerate(groups)}
    order = sorted(range(len(nodes)), key=lambda i: rank[tuple(n % 2 for n in nodes[i])])
    x, b = random(*shape), random(*shape)
    torch.testing.assert_close(state.improve(x.clone(), b), one_at_a_time(A, x, b, order))


@pytest.mark.parametrize("boundary", ["dirichlet", "periodic", "neumann"])
@pytest.mark.parametrize("axis", [0, 1])
def test_lines_are_exact_where_only_they_are_coupled(boundary, axis):
    """Whatever the other axis; with something that holds every line."""
    shape = (7, 10)
    along = [(1 if i == axis else 1e-300) * (random(2, *shape) + 0.5) for i in (0, 1)]
    A = Diffusion(along, Grid(shape, boundary=boundary, nodes="cell"), c=1.0)
    x = torch.randn(2, *shape, dtype=torch.float64)
    torch.testing.assert_close(Lines(axes=(axis,)).setup(A).begin(A @ x), x, rtol=1e-10, atol=1e-10)


def test_zebra_lines_solve_every_second_line_and_then_those_between():
    A = nine_points((5, 6))
    x, b = random(5, 6), random(5, 6)
    matrix, expected = A.to_dense(), x.flatten().clone()
    for parity in (0, 1):
        rows = torch.arange(30).reshape(5, 6)[parity::2].flatten()
        block = matrix[rows][:, rows]
        expected[rows] += torch.linalg.solve(block, (b.flatten() - matrix @ expected)[rows])
    torch.testing.assert_close(Lines(axes=(1,)).setup(A).improve(x.clone(), b), expected.reshape(5, 6))


def test_lines_in_space_come_in_four_colours():
    A = nine_points((4, 5, 3), (False,) * 3)
    assert len(Lines(axes=(1,)).setup(A).corrections()) == 4
    assert len(Lines().setup(A).corrections()) == 12
    assert len(Lines(axes=(0,)).setup(nine_points((4, 1))).corrections()) == 1


def test_a_line_that_nothing_holds_is_smoothed_nevertheless():
    """Its own problem is singular, and as consistent as rounding lets it be."""
    for boundary, shape in product(("neumann", "periodic"), ((16,), (7, 16))):
        across = [1e-300 * torch.ones(shape, dtype=torch.float64)] * (len(shape) - 1)
        A = Diffusion([*across, random(*shape) + 0.5], Grid(shape, boundary=boundary, nodes="cell"))
        x = torch.randn(shape, dtype=torch.float64)
        found = Lines(axes=(len(shape) - 1,)).setup(A).begin(A @ x)
        assert float((A @ found - A @ x).norm()) < 0.2 * float((A @ x).norm())


@pytest.mark.parametrize("smoother", SMOOTHERS, ids=str)
@pytest.mark.parametrize("periodic", [False, True])
def test_as_a_preconditioner_it_is_symmetric_positive_definite(smoother, periodic):
    """Also on a periodic axis of odd length, where two nodes of a colour are coupled."""
    for shape in ((5, 6), (7, 3)):
        sides = "periodic" if periodic else "dirichlet"
        five = Diffusion(random(2, *shape).mul(4).exp(), Grid(shape, boundary=sides, nodes="cell"), c=0.1)
        for A in (five, nine_points(shape, (periodic, periodic), batch=(2,))):
            state = smoother.setup(A)
            n = A.shape[0]
            units = torch.eye(n, dtype=torch.float64).reshape(n, 1, *shape).expand(n, 2, *shape)
            M = state.apply(units).reshape(n, 2, n).movedim(0, -1)
            scale = M.diagonal(dim1=-2, dim2=-1).rsqrt()
            M = scale[..., :, None] * M * scale[..., None, :]
            assert state.symmetric
            torch.testing.assert_close(M, M.mT, rtol=1e-9, atol=1e-9)
            assert float(torch.linalg.eigvalsh(M).min()) > 0


@pytest.mark.parametrize("smoother", SMOOTHERS, ids=str)
def test_the_adjoint_state_is_the_adjoint_map(smoother):
    complex_symmetric = nine_points((5, 6), dtype=torch.complex128)
    for A in (nine_points((5, 6), symmetric=False, dtype=torch.complex128), complex_symmetric):
        state = smoother.setup(A)
        u, v = (torch.randn(5, 6, dtype=torch.complex128) for _ in range(2))
        adjoint = state.adjoint()
        assert not state.symmetric
        torch.testing.assert_close(adjoint.operator.to_dense(), A.to_dense().mH)
        torch.testing.assert_close(
            torch.vdot(v.flatten(), state.apply(u).flatten()), torch.vdot(adjoint.apply(v).flatten(), u.flatten())
        )
    state = smoother.setup(nine_points((5, 6)))
    assert state.adjoint() is state


@pytest.mark.parametrize("smoother", SMOOTHERS, ids=str)
def test_conjugate_gradients_take_them(smoother):
    A = Diffusion(random(2, 12, 12).mul(3).exp(), Grid((12, 12), nodes="cell"))
    b = torch.randn(3, 2, 12, 12, dtype=torch.float64)
    plain, better = (int(solve_linear(A, b, CG(M)).iterations.max()) for M in (None, smoother))
    assert better < plain / 2


def test_alone_they_solve():
    A = Diffusion(torch.ones(6, 6, dtype=torch.float64), Grid((6, 6), nodes="cell"))
    b = random(6, 6)
    for smoother in SMOOTHERS:
        solution = solve_linear(A, b, smoother)
        torch.testing.assert_close(A @ solution.value, b, rtol=0, atol=1e-7)


def test_a_given_diagonal_is_divided_by():
    A = nine_points((5, 6))
    twice = GaussSeidel().setup(A, 2 * A.diagonal())
    b, first = random(5, 6), (slice(None, None, 2), slice(None, None, 2))
    torch.testing.assert_close(twice.begin(b)[first], GaussSeidel().setup(A).begin(b)[first] / 2)


def test_right_hand_sides_are_left_alone():
    A, b = nine_points((5, 6)), random(5, 6)
    copy = b.clone()
    for smoother in SMOOTHERS:
        smoother.setup(A).apply(b)
        assert torch.equal(b, copy)


def test_as_stencil_takes_what_is_one():
    A = Diffusion(torch.ones(4, 4), Grid((4, 4), nodes="cell"))
    assert as_stencil("here", A) is A.stencil()
    assert as_stencil("here", A.stencil()) is A.stencil()


def test_arguments_are_checked():
    without = Stencil({(0, 1): torch.ones(4, 4)}, [False, False])
    with pytest.raises(
        ValueError, match=r"here: expected a Stencil with a diagonal, found one of the offsets \[\(0, 1\)\]"
    ):
        as_stencil("here", without)
    for smoother in (GaussSeidel(), Lines()):
        with pytest.raises(ValueError, match=r"expected a Diffusion or Stencil operator, .* found Dense"):
            smoother.setup(Dense(torch.eye(4)))
    for wrong in (0, -1):
        with pytest.raises(ValueError, match=r"GaussSeidel.sweeps: expected"):
            GaussSeidel(sweeps=wrong)
        with pytest.raises(ValueError, match=r"Lines.sweeps: expected"):
            Lines(sweeps=wrong)
    for axes in ((2,), (-1,), ()):
        with pytest.raises(ValueError, match=r"Lines.axes: expected some of 0 \.\.\. 1, found"):
            Lines(axes=axes).setup(nine_points((4, 4)))
