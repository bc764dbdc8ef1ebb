import pytest
import torch

from opnet.linops.diffusion import Diffusion
from opnet.solvers.linear.cg import CG
from opnet.solvers.linear.relaxation import Jacobi
from opnet.solvers.linear.solve import solve_linear
from opnet.solvers.multigrid.multigrid import Multigrid
from opnet.solvers.multigrid.rediscretised import coarsen, grid_hierarchy
from opnet.solvers.multigrid.smoothers import GaussSeidel, Lines
from opnet.spaces.fields.gaussian import GaussianField
from opnet.spaces.grid import Grid

BOUNDARIES = ["dirichlet", "neumann", "periodic", (("neumann", "dirichlet"), "periodic")]
AVERAGED = Multigrid(coarse="rediscretised")


def two_phase(n, high=12.0):
    grid = Grid((n, n), nodes="cell")
    g = GaussianField(3.0, 2.0, max_mode=64).sample(0, range(2), grid)
    return Diffusion(torch.where(g >= 0, high, 3.0).double(), grid)


def iterations(A, method):
    b = torch.ones(*A.batch_shape, *A.in_shape, dtype=torch.float64)
    return int(solve_linear(A, b, method).iterations.max())


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_constant_coefficients_coarsen_to_their_own_discretisation(boundary):
    grid = Grid((8, 4), boundary=boundary, nodes="cell")
    half = grid.resized((4, 2))
    A, B = (Diffusion(torch.full(g.shape, 2.5, dtype=torch.float64), g) for g in (grid, half))
    torch.testing.assert_close(coarsen(A, half).to_dense(), B.to_dense())


def test_grids_halve_down_to_the_coarsest():
    shapes = [grid.shape for grid in grid_hierarchy(Grid((448, 224), nodes="cell"), 64, 1024)]
    assert shapes == [(448, 224), (224, 112), (112, 56), (56, 28), (28, 14), (14, 7)]


def test_iterations_do_not_grow_with_the_grid():
    counts = [iterations(two_phase(n), CG(AVERAGED)) for n in (32, 64, 128, 256)]
    assert max(counts) <= 10
    assert counts[-1] <= counts[1] + 1


def test_jumps_by_a_hundred_are_bearable():
    for n in (64, 128):
        averaged, galerkin = (
            iterations(two_phase(n, 300.0), CG(Multigrid(coarse=c))) for c in (AVERAGED.coarse, "galerkin")
        )
        assert galerkin < averaged <= 16


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_every_kind_of_side(boundary):
    generator = torch.Generator().manual_seed(0)
    grid = Grid((32, 48), extent=((0, 2), (0, 3)), boundary=boundary, nodes="cell")
    A = Diffusion(torch.rand(2, 32, 48, generator=generator, dtype=torch.float64) + 0.5, grid)
    b = torch.randn(2, 32, 48, generator=generator, dtype=torch.float64)
    if A.singular:
        b = b - b.mean((1, 2), keepdim=True)
    for smoother in (AVERAGED.smoother, Jacobi(0.8, sweeps=2), GaussSeidel(), Lines()):
        method = Multigrid(coarse="rediscretised", smoother=smoother)
        assert int(solve_linear(A, b, CG(method)).iterations.max()) <= 14
    for full in (False, True):
        alone = solve_linear(A, b, Multigrid(coarse="rediscretised", cycle="W", full=full))
        assert int(alone.iterations.max()) <= 25


@pytest.mark.parametrize("shape", [(256,), (16, 16, 16)])
def test_one_and_three_dimensions(shape):
    A = Diffusion(torch.ones(shape, dtype=torch.float64), Grid(shape, nodes="cell"))
    assert iterations(A, CG(AVERAGED)) <= 12


def test_single_precision_cycle_costs_no_iterations():
    for n in (64, 128):
        single, double = (
            iterations(two_phase(n), CG(Multigrid(coarse="rediscretised", dtype=dtype)))
            for dtype in (None, torch.float64)
        )
        assert single <= double + 1


def test_what_it_cannot_take_is_said():
    a = torch.ones(421, 421, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"halves only down to \(421, 421\).*such as \(432, 432\)"):
        AVERAGED.setup(Diffusion(a, Grid((421, 421), nodes="cell")))
    small = torch.ones(8, 8, dtype=torch.float64)
    cells = Grid((8, 8), nodes="cell")
    refused = (
        Diffusion(small, Grid((8, 8), nodes="interior")),
        Diffusion(small, cells, c=1.0),
        Diffusion(small, cells).stencil(),
    )
    for operator in refused:
        with pytest.raises(ValueError, match="coarse='rediscretised' expected a Diffusion on cells without c"):
            AVERAGED.setup(operator)
