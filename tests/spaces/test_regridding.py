from math import pi

import pytest
import torch

from opnet.spaces.grid import Grid
from opnet.spaces.regridding import Regridding


@pytest.mark.parametrize("nodes", ["cell", "vertex", "left", "interior"])
@pytest.mark.parametrize("boundary", ["dirichlet", "periodic"])
def test_constants_are_kept_and_the_same_grid_changes_nothing(nodes, boundary):
    grid = Grid((9, 6), nodes=nodes, boundary=boundary)
    for shape in ((5, 11), (9, 6)):
        assert torch.allclose(
            Regridding(grid, grid.resized(shape))(torch.ones(9, 6, 2, dtype=torch.float64)),
            torch.ones(*shape, 2, dtype=torch.float64),
        )
    values = torch.randn(9, 6, 2, 3, dtype=torch.float64)
    inner = (slice(None),) if boundary == "periodic" else (slice(1, -1), slice(1, -1))
    assert torch.allclose(Regridding(grid, grid)(values)[inner], values[inner])


@pytest.mark.parametrize(
    ("nodes", "boundary"),
    [("cell", "dirichlet"), ("cell", "periodic"), ("vertex", "dirichlet"), ("left", "periodic")],
)
@pytest.mark.parametrize("factor", [2, 0.5], ids=["finer", "coarser"])
def test_smooth_functions_are_met_at_second_order_inside(nodes, boundary, factor):
    errors = []
    for n in (32, 64, 128):
        more = int(nodes == "vertex")
        grid = Grid((n + more,), nodes=nodes, boundary=boundary)
        target = grid.resized((int(n * factor) + more,))
        found = Regridding(grid, target)(torch.sin(2 * pi * grid.axis(0) + 1))
        errors.append(float((found - torch.sin(2 * pi * target.axis(0) + 1))[1:-1].abs().max()))
    assert errors[1] / errors[0] < 0.28
    assert errors[2] / errors[1] < 0.28


def test_what_a_coarse_grid_does_not_resolve_is_averaged_away():
    fine = Grid((32,), boundary="periodic")
    wave = torch.cos(pi * torch.arange(32, dtype=torch.float64))
    assert torch.allclose(Regridding(fine, fine.resized(16))(wave), torch.zeros(16, dtype=torch.float64))


def test_another_box_is_refused():
    with pytest.raises(ValueError, match=r"target: expected a grid on the box \(\(0.0, 1.0\),\), found"):
        Regridding(Grid((4,)), Grid((4,), extent=((0, 2),)))
