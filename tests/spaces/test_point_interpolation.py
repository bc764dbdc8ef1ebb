import pytest
import torch

from opnet.spaces.grid import Grid
from opnet.spaces.interpolation import linear_interpolate
from opnet.spaces.point_interpolation import linear_at

BOX = ((-1, 1), (0, 3))


@pytest.mark.parametrize("nodes", ["cell", "vertex", "left", "interior"])
@pytest.mark.parametrize("boundary", ["dirichlet", "periodic"])
@pytest.mark.parametrize("shape", [(5, 4), (6, 1)])
def test_at_the_nodes_of_a_grid_it_is_linear_interpolate(nodes, boundary, shape):
    if 1 in shape and (boundary == "periodic" or nodes == "vertex"):
        pytest.skip("one node is no axis of its own there")
    grid, target = Grid(shape, BOX, boundary, nodes), Grid((7, 9), BOX, nodes="cell")
    values = torch.randn(2, 3, *shape, dtype=torch.float64)
    points = target.coordinates().flatten(1).T
    assert torch.allclose(linear_at(values, grid, points), linear_interpolate(values, grid, target).flatten(2))


def test_derivatives_are_those_of_finite_differences():
    grid = Grid((5, 4), BOX)
    values = torch.randn(1, 2, 5, 4, dtype=torch.float64, requires_grad=True)
    points = torch.tensor([[-0.3, 1.7], [0.9, 0.2]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v, x: linear_at(v, grid, x), (values, points))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"points: expected \(point, 2\), found \(3, 1\)"):
        linear_at(torch.zeros(1, 1, 5, 4), Grid((5, 4)), torch.zeros(3, 1))
    with pytest.raises(ValueError, match="values: expected"):
        linear_at(torch.zeros(1, 1, 5, 5), Grid((5, 4)), torch.zeros(3, 2))
