from math import pi

import pytest
import torch

from opnet.spaces.grid import Grid
from opnet.spaces.interpolation import (
    _linear_matrix,
    close_ends,
    linear_interpolate,
    open_ends,
    restrict_cells,
    sine_interpolate,
)

PLACEMENTS = ["cell", "vertex", "left", "interior"]


def sine_sum(grid, orders=((1, 2), (5, 3))):
    (x, y), (lx, ly) = grid.coordinates() - torch.tensor([[[low]] for low, _ in grid.extent]), grid.lengths
    return sum(torch.sin(pi * k * x / lx) * torch.sin(pi * m * y / ly) / k for k, m in orders)[None, None]


@pytest.mark.parametrize("source", PLACEMENTS)
@pytest.mark.parametrize("target", PLACEMENTS)
def test_sine_sums_are_interpolated_exactly(source, target):
    coarse = Grid((8, 9), extent=((-1, 1), (0, 3)), nodes=source)
    fine = Grid((21, 5), extent=((-1, 1), (0, 3)), nodes=target)
    assert torch.allclose(sine_interpolate(sine_sum(coarse), coarse, fine), sine_sum(fine))


def test_boundary_values_are_taken_to_be_zero():
    # Subsampled "left" data: what stands at index 0 does not matter, the missing last node is 0.
    coarse, fine = Grid((16, 16), nodes="left"), Grid((32, 32), nodes="left")
    values = sine_sum(coarse)
    disturbed = values.clone()
    disturbed[..., 0, :] += 1.0
    disturbed[..., :, 0] -= 2.0
    found = sine_interpolate(disturbed, coarse, fine)
    assert torch.allclose(found, sine_interpolate(values, coarse, fine))
    assert torch.allclose(found[..., ::2, ::2], values)
    assert float(found[..., 0, :].abs().max()) < 1e-14


def test_interpolation_keeps_the_dtype_and_says_what_does_not_fit():
    coarse, fine = Grid((8,), nodes="cell"), Grid((16,), nodes="cell")
    assert sine_interpolate(torch.ones(2, 3, 8), coarse, fine).dtype == torch.float32
    with pytest.raises(ValueError, match=r"values: expected \(batch, channel, 8\), found \(2, 3, 9\)"):
        sine_interpolate(torch.ones(2, 3, 9), coarse, fine)
    with pytest.raises(ValueError, match="target: expected a grid on the box"):
        sine_interpolate(torch.ones(2, 3, 8), coarse, Grid((16,), extent=((0, 2),)))


@pytest.mark.parametrize("fill", ["edge", "zero"])
@pytest.mark.parametrize("nodes", PLACEMENTS)
def test_closing_then_opening_gives_the_values_back(nodes, fill):
    grid = Grid((4, 3), nodes=nodes)
    values = torch.randn(2, 1, 4, 3)
    closed, on = close_ends(values, grid, fill)
    assert tuple(closed.shape[2:]) == on.shape
    assert on.spacing == pytest.approx(grid.spacing)
    assert torch.equal(open_ends(closed, grid), values)
    if nodes != "cell":
        assert on.axis(0)[[0, -1]].tolist() == [0.0, 1.0]


def test_what_is_filled_in():
    values = torch.tensor([[[1.0, 2.0]]])
    assert close_ends(values, Grid((2,), nodes="interior"), "edge")[0].tolist() == [[[1.0, 1.0, 2.0, 2.0]]]
    assert close_ends(values, Grid((2,), nodes="interior"), "zero")[0].tolist() == [[[0.0, 1.0, 2.0, 0.0]]]
    assert close_ends(values, Grid((2,), nodes="left"), "edge")[0].tolist() == [[[1.0, 2.0, 2.0]]]
    periodic = Grid((2,), boundary="periodic")
    assert close_ends(values, periodic)[1] is periodic


def test_cell_averages_of_averages():
    grid = Grid((12, 8), nodes="cell")
    values = torch.randn(1, 2, 12, 8, dtype=torch.float64)
    coarse, on = restrict_cells(values, grid, 4)
    assert on == Grid((3, 2), nodes="cell")
    twice, _ = restrict_cells(*restrict_cells(values, grid, 2), 2)
    assert torch.allclose(coarse, twice)
    assert torch.allclose((coarse * on.weights()).sum((2, 3)), (values * grid.weights()).sum((2, 3)))
    with pytest.raises(ValueError, match="factor: expected a divisor"):
        restrict_cells(values, grid, 3)
    with pytest.raises(ValueError, match="expected cell nodes"):
        restrict_cells(values, Grid((12, 8)), 2)


@pytest.mark.parametrize("source", PLACEMENTS)
@pytest.mark.parametrize("target", PLACEMENTS)
def test_affine_functions_are_interpolated_exactly(source, target):
    coarse = Grid((8, 3), extent=((-1, 1), (0, 3)), nodes=source)
    fine = Grid((21, 5), extent=((-1, 1), (0, 3)), nodes=target)
    values = [2 + 3 * x - y for x, y in (coarse.coordinates(), fine.coordinates())]
    assert torch.allclose(linear_interpolate(values[0][None, None], coarse, fine)[0, 0], values[1])


def test_linear_interpolation_is_of_second_order_and_wraps_on_periodic_axes():
    target = Grid((37,), boundary="periodic", nodes="cell")

    def error(n):
        grid = Grid((n,), boundary="periodic")
        wave, exact = (torch.sin(2 * pi * (on.axis(0) + 0.1)) for on in (grid, target))
        return float((linear_interpolate(wave[None, None], grid, target)[0, 0] - exact).abs().max())

    assert error(16) / error(64) == pytest.approx(16, rel=0.3)


@pytest.mark.parametrize(
    ("nodes", "boundary"), [("vertex", "dirichlet"), ("cell", "neumann"), ("left", "periodic"), ("cell", "periodic")]
)
@pytest.mark.parametrize("sizes", [((4, 3), (12, 6)), ((12, 6), (4, 3)), ((4, 1), (8, 4)), ((5, 4), (9, 6))])
def test_linear_interpolation_by_torch_is_that_by_matrices(nodes, boundary, sizes):
    grid, target = (
        Grid(tuple(n + (nodes == "vertex") for n in shape), nodes=nodes, boundary=boundary) for shape in sizes
    )
    values = torch.randn(2, 3, *grid.shape, dtype=torch.float64, requires_grad=True)
    rows, columns = (_linear_matrix(grid, target, axis) for axis in range(2))
    assert torch.allclose(linear_interpolate(values, grid, target), rows @ values @ columns.T)


def test_linear_interpolation_keeps_values_at_shared_nodes_dtype_and_constants():
    coarse, fine = Grid((5, 4)), Grid((9, 7))
    values = torch.randn(2, 3, 5, 4)
    found = linear_interpolate(values, coarse, fine)
    assert found.dtype == torch.float32
    assert torch.allclose(found[..., ::2, ::2], values)
    assert torch.equal(linear_interpolate(values, coarse, coarse), values)
    one = Grid((1, 4), nodes="cell")
    assert torch.allclose(linear_interpolate(torch.ones(1, 1, 1, 4), one, fine), torch.ones(1, 1, 9, 7))
    with pytest.raises(ValueError, match=r"values: expected \(batch, channel, 5, 4\)"):
        linear_interpolate(torch.ones(2, 3, 9, 4), coarse, fine)
    with pytest.raises(ValueError, match="target: expected a grid on the box"):
        linear_interpolate(values, coarse, Grid((9, 7), extent=((0, 2), (0, 1))))
