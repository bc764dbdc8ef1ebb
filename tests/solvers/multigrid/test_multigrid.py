import pytest
import torch

from opnet.linops.dense import Dense
from opnet.linops.diffusion import Diffusion
from opnet.solvers.linear.cg import CG
from opnet.solvers.linear.relaxation import Jacobi
from opnet.solvers.linear.solve import solve_linear
from opnet.solvers.multigrid.rediscretised import coarsen, grid_hierarchy
from opnet.solvers.multigrid.multigrid import Multigrid
from opnet.solvers.multigrid.transfer import Transfer
from opnet.spaces.grid import Grid
from opnet.spaces.random_fields import GaussianField

BOUNDARIES = ["dirichlet", "neumann", "periodic", (("neumann", "dirichlet"), "periodic")]


def two_phase(n, samples=2, high=12.0):
    grid = Grid((n, n), nodes="cell")
    g = GaussianField(3.0, 2.0, max_mode=64).sample(0, range(samples), grid)
    return Diffusion(torch.where(g >= 0, high, 3.0).double(), grid)


def iterations(A, method, **options):
    b = torch.ones(*A.batch_shape, *A.in_shape, dtype=torch.float64)
    return int(solve_linear(A, b, method, **options).iterations.max())


def test_iterations_do_not_grow_with_the_grid():
    counts = [iterations(two_phase(n), CG(preconditioner=Multigrid())) for n in (32, 64, 128, 256)]
    assert max(counts) <= 9
    assert counts[-1] <= counts[1] + 1


def test_jumps_by_a_hundred_are_bearable():
    assert max(iterations(two_phase(n, high=300.0), CG(preconditioner=Multigrid())) for n in (64, 128)) <= 16


def test_single_precision_cycle_costs_no_iterations():
    for n in (64, 128):
        double, single = (
            iterations(two_phase(n), CG(preconditioner=Multigrid(dtype=dtype))) for dtype in (None, torch.float32)
        )
        assert single <= double + 1


def test_alone_it_contracts_grid_independently():
    rates = []
    for n in (32, 64, 128):
        A = Diffusion(torch.ones(n, n, dtype=torch.float64), Grid((n, n), nodes="cell"))
        b = torch.randn(n, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        history = solve_linear(A, b, Multigrid(), rtol=1e-10).history
        rates.append(float((history[-1] / history[3]) ** (1 / (len(history) - 4))))
    assert max(rates) < 0.15


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_every_kind_of_side(boundary):
    generator = torch.Generator().manual_seed(0)
    grid = Grid((32, 48), extent=((0, 2), (0, 3)), boundary=boundary, nodes="cell")
    A = Diffusion(torch.rand(2, 32, 48, generator=generator, dtype=torch.float64) + 0.5, grid)
    b = torch.randn(2, 32, 48, generator=generator, dtype=torch.float64)
    if A.singular:
        b = b - b.mean((1, 2), keepdim=True)
    solution = solve_linear(A, b, CG(preconditioner=Multigrid()))
    assert int(solution.iterations.max()) <= 12


@pytest.mark.parametrize("shape", [(256,), (16, 16, 16)])
def test_one_and_three_dimensions(shape):
    A = Diffusion(torch.ones(shape, dtype=torch.float64), Grid(shape, nodes="cell"))
    assert iterations(A, CG(preconditioner=Multigrid())) <= 12


def random_diffusion(shape, boundary, batch=()):
    a = torch.randn(*batch, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).exp()
    return Diffusion(a, Grid(shape, boundary=boundary, nodes="cell"))


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_restriction_is_the_scaled_transpose(boundary):
    transfer = Transfer(random_diffusion((6, 8), boundary, (2,)))
    fine, coarse = torch.randn(2, 6, 8, dtype=torch.float64), torch.randn(2, 3, 4, dtype=torch.float64)
    left = (transfer.prolong(coarse) * fine).sum()
    torch.testing.assert_close(left, 4 * (coarse * transfer.restrict(fine.clone())).sum())


def test_restriction_leaves_its_argument_alone():
    fine = torch.ones(4, dtype=torch.float64)
    Transfer(random_diffusion((4,), "neumann")).restrict(fine)
    assert fine.tolist() == [1.0] * 4


@pytest.mark.parametrize("boundary", ["neumann", "periodic"])
def test_constants_are_prolonged_exactly(boundary):
    ones = torch.ones(3, 4, dtype=torch.float64)
    torch.testing.assert_close(
        Transfer(random_diffusion((6, 8), boundary)).prolong(ones), torch.ones(6, 8, dtype=torch.float64)
    )


def test_prolongation_is_linear_for_a_constant_coefficient():
    grid = Grid((8, 16), boundary="dirichlet", nodes="cell")
    prolong = Transfer(Diffusion(torch.ones(8, 16, dtype=torch.float64), grid)).prolong
    coarse, fine = (g.coordinates() for g in (grid.resized((4, 8)), grid))
    values = prolong(coarse[0] + 2 * coarse[1])
    torch.testing.assert_close(values[1:-1, 1:-1], (fine[0] + 2 * fine[1])[1:-1, 1:-1])
    torch.testing.assert_close(prolong(coarse[0])[0, 1:-1], fine[0][0, 1:-1])  # through u = 0 on the side


def test_prolongation_keeps_the_flux_where_the_coefficient_jumps():
    """In one dimension a solution without sources is prolonged exactly, whatever the coefficient."""
    A = random_diffusion((8,), "dirichlet")
    ways = torch.cumsum(1 / A.faces[0], 0)  # u grows by the resistance of every face: constant flux
    u, halves = ways[:-1], 0.5 / A.faces[0][1::2]
    coarse = u[0::2] + halves  # at the coarse midpoints, on the faces between two children
    torch.testing.assert_close(Transfer(A).prolong(coarse)[:-1], u[:-1])


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_constant_coefficients_coarsen_to_their_own_discretisation(boundary):
    grid = Grid((8, 4), boundary=boundary, nodes="cell")
    half = grid.resized((4, 2))
    A, B = (Diffusion(torch.full(g.shape, 2.5, dtype=torch.float64), g) for g in (grid, half))
    torch.testing.assert_close(coarsen(A, half).to_dense(), B.to_dense())


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="expected a Diffusion"):
        Multigrid().setup(Dense(torch.eye(4)))
    with pytest.raises(ValueError, match=r"such as \(432, 432\)"):
        Multigrid().setup(Diffusion(torch.ones(421, 421), Grid((421, 421), nodes="cell")))
    assert grid_hierarchy(Grid((448, 448), nodes="cell"), 64, 1024)[-1].shape == (7, 7)
    for wrong in ({"cycle": "F"}, {"pre": 0}, {"coarsest": 0}):
        with pytest.raises(ValueError, match="Multigrid"):
            Multigrid(**wrong)
    with pytest.raises(ValueError, match="symmetric"):
        CG(preconditioner=Multigrid(pre=2, smoother=Jacobi())).setup(two_phase(16))
