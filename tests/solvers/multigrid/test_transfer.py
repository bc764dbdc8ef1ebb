import pytest
import torch

from opnet.linops.diffusion import Diffusion
from opnet.solvers.multigrid.transfer import Transfer
from opnet.spaces.grid import Grid

BOUNDARIES = ["dirichlet", "neumann", "periodic", (("neumann", "dirichlet"), "periodic")]


def random_diffusion(shape, boundary, batch=(), **options):
    a = torch.randn(*batch, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).exp()
    return Diffusion(a, Grid(shape, boundary=boundary, nodes="cell"), **options)


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


def test_conjugate_of_complex_transfers():
    """A complex Robin side makes complex weights beside it."""
    transfer = Transfer(random_diffusion((6, 8), ("robin", "dirichlet"), robin=2.0 - 3j))
    coarse = torch.randn(3, 4, dtype=torch.complex128)
    fine = transfer.prolong(coarse)
    assert bool((fine.imag != coarse.imag.repeat_interleave(2, 0).repeat_interleave(2, 1)).any())
    torch.testing.assert_close(transfer.conj().prolong(coarse.conj()), fine.conj())
    torch.testing.assert_close(transfer.conj().restrict(fine.conj()), transfer.restrict(fine.clone()).conj())
