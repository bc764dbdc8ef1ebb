from math import pi

import pytest
import torch

from opnet.spaces.grid import Grid
from opnet.spaces.norms import l2_norm
from opnet.spaces.pod import pod

PLACEMENTS = ["cell", "vertex", "left", "interior"]
BOX = ((-1, 1), (0, 3))


def functions(grid, n=12):
    """Two channels of smooth functions that span five dimensions about their mean."""
    x, y = grid.unit_coordinates()
    waves = torch.stack([torch.cos(pi * (k + 1) * x) * torch.exp(-k * y) for k in range(5)])
    weights = torch.randn(n, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values = torch.tensordot(weights / torch.arange(1, 6), waves, dims=1)
    return torch.stack([1 + values, 2 * values.flip(-1)], 1)


def inner(u, v, grid):
    return torch.einsum("ic...,jc...,...->ij", u, v, grid.weights())


@pytest.mark.parametrize("nodes", PLACEMENTS)
def test_modes_are_orthonormal_and_leave_the_least(nodes):
    grid = Grid((9, 12), extent=BOX, nodes=nodes)
    u = functions(grid)
    basis = pod(u, grid, 3)
    assert torch.allclose(inner(basis.modes, basis.modes, grid), torch.eye(3, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(basis.mean, u.mean(0))
    c = basis.project(u)
    assert torch.allclose(c, inner(u - basis.mean, basis.modes, grid))
    assert torch.allclose(c.square().mean(0).sqrt(), basis.singular_values)
    assert (basis.singular_values.diff() < 0).all()
    left = l2_norm(u - basis.reconstruct(c), grid).square().sum(1).mean()
    whole = l2_norm(u - basis.mean, grid).square().sum(1).mean()
    assert float(left / whole) == pytest.approx(1 - basis.explained)
    # The eigenvalues of the correlation of the functions tell how little three dimensions can leave.
    correlation = inner(u - basis.mean, u - basis.mean, grid) / len(u)
    assert float(left) == pytest.approx(float(torch.linalg.eigvalsh(correlation)[:-3].sum()))
    full = pod(u, grid, 5)
    assert full.explained == pytest.approx(1)
    assert torch.allclose(full.reconstruct(full.project(u)), u)


def test_modes_of_functions_as_they_are():
    grid = Grid((9, 12))
    u = functions(grid)
    basis = pod(u, grid, 6, centred=False)
    assert not basis.mean.any()
    assert torch.allclose(basis.reconstruct(basis.project(u)), u)


def test_modes_and_singular_values_converge_as_the_grid_is_refined():
    (coarse, a), (fine, b) = ((grid, pod(functions(grid), grid, 2)) for grid in (Grid((33, 33)), Grid((65, 65))))
    assert torch.allclose(a.singular_values, b.singular_values, rtol=1e-2)
    assert float((a.modes - b.modes[..., ::2, ::2]).norm() / a.modes.norm()) < 1e-2
    assert coarse.shape != fine.shape


@pytest.mark.parametrize("nodes", PLACEMENTS)
def test_on_another_grid_projection_and_reconstruction_belong_together(nodes):
    grid = Grid((17, 20), extent=BOX)
    basis = pod(functions(grid), grid, 3)
    other = basis.at(Grid((12, 13), extent=BOX, nodes=nodes))
    c = torch.randn(4, 3, dtype=torch.float64)
    assert torch.allclose(other.project(other.reconstruct(c)), c)
    truth = pod(functions(grid), grid, 5).at(other.grid)
    u = functions(other.grid)
    assert float((truth.reconstruct(truth.project(u)) - u).norm() / u.norm()) < 0.02
    same = basis.at(grid)
    assert torch.equal(same.modes, basis.modes)


def test_dtype_sign_and_determinism():
    grid = Grid((9, 12))
    basis = pod(functions(grid).float(), grid, 3)
    assert {basis.mean.dtype, basis.modes.dtype, basis.singular_values.dtype} == {torch.float32}
    assert torch.equal(basis.modes, pod(functions(grid).float(), grid, 3).modes)
    flat = basis.modes.flatten(1)
    assert (flat.amax(1) == flat.abs().amax(1)).all()
    assert basis.rank == 3


@pytest.mark.parametrize(
    ("n", "rank", "message"),
    [
        (12, 0, "rank: expected 1 to 5, what the 12 functions span, found 0"),
        (12, 6, "rank: expected 1 to 5, what the 12 functions span, found 6"),
        (3, 3, "rank: expected 1 to 2, what the 3 functions span, found 3"),
        (0, 1, "rank: expected 1 to 0, what the 0 functions span"),
    ],
)
def test_ranks_beyond_what_the_functions_span_are_refused(n, rank, message):
    grid = Grid((9, 12))
    with pytest.raises(ValueError, match=message):
        pod(functions(grid)[:n], grid, rank)


def test_values_that_do_not_lie_on_the_grid_are_refused():
    grid = Grid((9, 12))
    basis = pod(functions(grid), grid, 5)
    for call in (lambda u: pod(u, grid, 1), basis.project):
        with pytest.raises(ValueError, match=r"values: expected \(batch, channel, 9, 12\)"):
            call(functions(Grid((9, 13))))
    small = basis.at(Grid((2, 1), nodes="cell"))
    with pytest.raises(ValueError, match="grid: expected at least 5 values a function, one a mode, found 4"):
        small.project(torch.zeros(1, 2, 2, 1, dtype=torch.float64))
