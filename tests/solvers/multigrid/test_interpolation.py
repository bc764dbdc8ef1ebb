from itertools import product
from math import prod

import pytest
import torch

from opnet.linops.diffusion import Diffusion
from opnet.linops.stencil import Stencil
from opnet.solvers.multigrid.coarsening import Coarsening, coarsenings
from opnet.solvers.multigrid.interpolation import Interpolation
from opnet.spaces.grid import Grid

GRIDS = [
    ((7,), (False,)),
    ((8,), (False,)),
    ((4,), (True,)),
    ((5,), (True,)),
    ((8,), (True,)),
    ((9,), (True,)),
    ((6, 7), (False, False)),
    ((4, 5), (True, True)),
    ((8, 9), (True, True)),
    ((9, 3), (True, False)),
    ((3, 8), (True, False)),
    ((1, 8), (True, False)),
    ((2, 9), (True, True)),
    ((4, 5, 6), (False, True, True)),
    ((5, 2, 4), (True, False, False)),
]


def random(*shape, dtype=torch.float64):
    return torch.rand(*shape, dtype=dtype)


def random_stencil(shape, periodic, symmetric, batch=(), dtype=torch.float64):
    """All 3^d coefficients, those of neighbours negative (of negative real part)."""
    coefficients = {}
    for q in product((-1, 0, 1), repeat=len(shape)):
        own = 3.0 ** len(shape) if not any(q) else 0.0
        coefficients[q] = own + (random(*batch, *shape, dtype=dtype) * (1 if own else -1))
    return Stencil(coefficients, periodic, symmetric=symmetric)


def interpolation(A):
    return Interpolation(A, coarsenings(A.in_shape, A.periodic))


def matrices(P, batch, dtype):
    """P and R as matrices, by applying them to unit vectors."""
    found = []
    for transfer, shape in ((P.prolong, P.coarse_shape), (P.restrict, P.fine_shape)):
        n = prod(shape)
        units = torch.eye(n, dtype=dtype).reshape(n, *(1,) * len(batch), *shape).expand(n, *batch, *shape)
        found.append(transfer(units).reshape(n, *batch, -1).movedim(0, -1))
    return found


@pytest.mark.parametrize(("shape", "periodic"), GRIDS)
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_coarse_operator_is_the_triple_product(shape, periodic, symmetric, dtype):
    A = random_stencil(shape, periodic, symmetric, (2,), dtype)
    P = interpolation(A)
    prolongation, restriction = matrices(P, (2,), dtype)
    torch.testing.assert_close(restriction, prolongation.mT)
    coarse = P.galerkin(A)
    assert coarse.in_shape == P.coarse_shape
    assert coarse.symmetric == symmetric
    torch.testing.assert_close(coarse.to_dense(), prolongation.mT @ A.to_dense() @ prolongation)


def test_five_points_make_nine():
    A = Diffusion(random(2, 9, 12) + 0.5, Grid((9, 12), nodes="cell")).stencil()
    P = interpolation(A)
    prolongation, _ = matrices(P, (2,), torch.float64)
    torch.testing.assert_close(P.galerkin(A).to_dense(), prolongation.mT @ A.to_dense() @ prolongation)
    assert len(P.galerkin(A).coefficients) == 9


@pytest.mark.parametrize("boundary", ["neumann", "periodic", ("periodic", "neumann")])
@pytest.mark.parametrize("shape", [(8, 10), (9, 13), (6, 7)])
def test_what_constants_are_to_the_operator_they_are_to_the_coarse_one(boundary, shape):
    A = Diffusion(random(3, *shape).mul(6).exp(), Grid(shape, boundary=boundary, nodes="cell")).stencil()
    P = interpolation(A)
    ones = torch.ones(P.coarse_shape, dtype=torch.float64)
    torch.testing.assert_close(P.prolong(ones), torch.ones(3, *shape, dtype=torch.float64))
    coarse = P.galerkin(A)
    largest = float(coarse.diagonal().max())
    assert float(coarse.apply(ones.expand(3, *P.coarse_shape)).abs().max()) < 1e-13 * largest


@pytest.mark.parametrize("n", [8, 9, 30, 31])
def test_solutions_without_sources_are_reproduced_on_a_line(n):
    """Across any jumps: that the flux is continuous determines the values between two nodes."""
    a = 10 ** (8 * random(n) - 4)
    A = Diffusion(a, Grid((n,), nodes="cell"))
    ways = torch.cumsum(1 / A.faces[0], 0)  # u grows by the resistance of every face
    u = ways[:-1]
    P = interpolation(A.stencil())
    inner = slice(0, n - 1 if n % 2 else n)  # at the far end u is not zero, as P takes it to be
    torch.testing.assert_close(P.prolong(u[1::2])[inner], u[inner], rtol=1e-10, atol=0)


def test_it_is_linear_for_a_constant_coefficient():
    grid = Grid((9, 15), nodes="interior")
    P = interpolation(Diffusion(torch.ones(9, 15, dtype=torch.float64), grid).stencil())
    y, x = grid.coordinates()
    u = 1 + y + 2 * x
    fine = P.prolong(u[1::2, 1::2])
    torch.testing.assert_close(fine[1:-1, 1:-1], u[1:-1, 1:-1])
    torch.testing.assert_close(fine[0, 1:-1], u[1, 1:-1] / 2)  # halfway to u = 0 on the side


def test_nodes_that_nothing_couples_to_get_nothing():
    grid = Grid((9, 9), nodes="vertex")  # its ends lie on Dirichlet sides
    P = interpolation(Diffusion(random(9, 9) + 0.5, grid).stencil())
    fine = P.prolong(torch.ones(4, 4, dtype=torch.float64))
    for side in (fine[0], fine[-1], fine[:, 0], fine[:, -1]):
        assert side.tolist() == [0.0] * 9
    assert bool((fine[1:-1, 1:-1] > 0).all())


def test_right_hand_sides_and_operators_broadcast():
    A = random_stencil((8, 9), (False, True), True, (3,))
    P = interpolation(A)
    u, r = random(2, 1, *P.coarse_shape), random(2, 1, 8, 9)
    for i in range(3):
        weights = {q: c if c.ndim == 2 else c[i] for q, c in A.half.items()}
        alone = interpolation(Stencil(weights, A.periodic, symmetric=True))
        torch.testing.assert_close(P.prolong(u)[:, i], alone.prolong(u[:, 0]))
        torch.testing.assert_close(P.restrict(r)[:, i], alone.restrict(r[:, 0]))


def test_other_precision_and_conjugate():
    A = random_stencil((7, 8), (False, False), True, dtype=torch.complex128)
    P = interpolation(A)
    u = random(*P.coarse_shape, dtype=torch.complex128)
    torch.testing.assert_close(P.conj().prolong(u.conj()), P.prolong(u).conj())
    single = P.to(torch.complex64)
    assert single.prolong(u.to(torch.complex64)).dtype == torch.complex64
    torch.testing.assert_close(single.prolong(u.to(torch.complex64)), P.prolong(u).to(torch.complex64))


def test_arguments_are_left_alone():
    A = random_stencil((8, 9), (True, True), True)
    P, before = interpolation(A), {q: c.clone() for q, c in A.half.items()}
    u, r = random(*P.coarse_shape), random(8, 9)
    kept = {o: weight.clone() for o, weight in P.weights.items()}
    copies = u.clone(), r.clone()
    P.prolong(u), P.restrict(r), P.galerkin(A)
    assert torch.equal(u, copies[0])
    assert torch.equal(r, copies[1])
    assert all(torch.equal(c, before[q]) for q, c in A.half.items())
    assert all(torch.equal(weight, kept[o]) for o, weight in P.weights.items())


def test_an_axis_may_be_left_as_it_is():
    A = random_stencil((8, 8), (False, False), True)
    P = Interpolation(A, [None, Coarsening.of(8, False)])
    prolongation, restriction = matrices(P, (), torch.float64)
    assert P.coarse_shape == (8, 4)
    torch.testing.assert_close(restriction, prolongation.mT)
    torch.testing.assert_close(P.galerkin(A).to_dense(), prolongation.mT @ A.to_dense() @ prolongation)
