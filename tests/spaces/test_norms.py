from math import pi

import pytest
import torch

from opnet.spaces.grid import Grid
from opnet.spaces.norms import h1_norm, h1_seminorm, l2_norm


def sine(grid):
    return torch.sin(pi * grid.axis(0))[None, None]


@pytest.mark.parametrize("nodes", ["vertex", "cell", "left", "interior"])
def test_the_seminorm_is_second_order_for_every_placement(nodes):
    def error(n):
        grid = Grid((n,), nodes=nodes)
        return abs(float(h1_seminorm(torch.exp(grid.axis(0))[None, None], grid)) - ((torch.e**2 - 1) / 2) ** 0.5)

    order = torch.log2(torch.tensor(error(64) / error(128)))
    assert 1.8 < order < 2.2


@pytest.mark.parametrize("n", [16, 17])
def test_on_a_periodic_axis_resolved_waves_are_exact(n):
    grid = Grid((n, 4), extent=((0, 3), (0, 1)), boundary="periodic", nodes=("left", "cell"))
    x = grid.coordinates()[0]
    values = torch.cos(2 * pi * 5 * x / 3)[None, None]
    torch.testing.assert_close(h1_seminorm(values, grid), torch.full((1, 1), 2 * pi * 5 / 3 * 1.5**0.5).double())


def test_differences_are_second_order_on_periodic_axes_too():
    def error(n):
        grid = Grid((n,), boundary="periodic")
        values = torch.exp(torch.sin(2 * pi * grid.axis(0)))[None, None]
        return float(abs(h1_seminorm(values, grid, "difference") - h1_seminorm(values, grid)))

    assert 1.8 < torch.log2(torch.tensor(error(64) / error(128))) < 2.2
    with pytest.raises(ValueError, match="derivative: expected one of spectral, difference, found 'finite'"):
        h1_seminorm(torch.ones(1, 1, 8), Grid((8,), boundary="periodic"), "finite")


def test_the_checkerboard_is_seen():
    for boundary in ("periodic", "dirichlet"):
        grid = Grid((8,), boundary=boundary, nodes="cell")
        checkerboard = torch.tensor([1.0, -1.0] * 4)[None, None]
        assert h1_seminorm(checkerboard, grid) > 10


def test_vertices_give_the_seminorm_of_the_interpolant():
    grid = Grid((3,), extent=((0, 2),))
    values = torch.tensor([[[0.0, 3.0, 1.0]]])
    torch.testing.assert_close(h1_seminorm(values, grid), torch.tensor([[(9.0 + 4.0) ** 0.5]]))


def test_axes_add_up_with_the_quadrature_of_the_others():
    grid = Grid((33, 40), extent=((0, 1), (0, 2)), nodes=("vertex", "cell"))
    x, y = grid.coordinates()
    values = (3 * x + 4 * y)[None, None]
    torch.testing.assert_close(h1_seminorm(values, grid), torch.tensor([[50.0**0.5]]).double())


def test_the_norm_joins_both():
    grid = Grid((50,), nodes="interior")
    torch.testing.assert_close(
        h1_norm(sine(grid), grid).square(), l2_norm(sine(grid), grid).square() + h1_seminorm(sine(grid), grid).square()
    )


@pytest.mark.parametrize("norm", [l2_norm, h1_seminorm, h1_norm])
@pytest.mark.parametrize("boundary", ["periodic", "dirichlet"])
def test_gradients_are_right_and_finite_at_zero(norm, boundary):
    grid = Grid((5, 4), boundary=boundary)
    zero = torch.zeros(1, 1, 5, 4, requires_grad=True)
    norm(zero, grid).sum().backward()
    assert torch.isfinite(zero.grad).all()
    values = torch.linspace(0, 1, 20, dtype=torch.float64).sin().reshape(1, 1, 5, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: norm(v, grid), values)


def test_one_node_has_no_slope():
    assert h1_seminorm(torch.ones(2, 3, 1), Grid((1,), nodes="cell")).tolist() == [[0.0] * 3] * 2
