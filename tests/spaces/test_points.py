import pytest
import torch

from opnet.spaces.grid import Grid
from opnet.spaces.points import Points, average


def test_a_grid_is_measured_by_its_longest_side():
    grid = Grid((5, 4), extent=((-1, 3), (10, 12)), boundary=("dirichlet", "periodic"))
    points = Points.of_grid(grid)
    assert points.periods == (None, 0.5)
    expected = (grid.coordinates().flatten(1).T - torch.tensor([-1.0, 10.0])) / 4
    assert torch.allclose(points.positions, expected)
    assert torch.allclose(points.weights, grid.weights().flatten() / 8)


def test_boxes_keep_mass_and_centre():
    torch.manual_seed(0)
    points = Points(torch.rand(300, 2), torch.rand(300) + 0.1)
    coarse, box = points.pooled(0.25)
    assert coarse.n == 16
    for k in range(coarse.n):
        members = box == k
        assert torch.allclose(coarse.weights[k], points.weights[members].sum())
        mean = (points.weights[members, None] * points.positions[members]).sum(0) / coarse.weights[k]
        assert torch.allclose(coarse.positions[k], mean)
        assert len(torch.unique(torch.floor(points.positions[members] * 4), dim=0)) == 1
    values = torch.randn(300, 2, 3, dtype=torch.float64)
    means = average(values, points.weights, box, coarse.n)
    assert torch.allclose(
        torch.einsum("p,pbc->bc", points.weights, values), torch.einsum("p,pbc->bc", coarse.weights, means)
    )


def test_boxes_do_not_depend_on_the_order_nor_on_the_last_digit():
    positions = Grid((11, 11)).coordinates().flatten(1).T
    order = torch.randperm(121)
    coarse, box = Points(positions).pooled(0.1)
    assert torch.equal(Points(positions[order]).pooled(0.1)[1], box[order])
    assert torch.equal(Points(positions * (1 - 1e-14)).pooled(0.1)[1], box)
    assert coarse.n == 121


def test_the_same_points_are_known_again():
    positions = torch.rand(5, 2)
    assert Points(positions).is_same(Points(positions.clone()))
    assert not Points(positions).is_same(Points(positions.flip(0)))
    assert not Points(positions).is_same(Points(positions, torch.arange(1.0, 6.0)))
    assert not Points(positions).is_same(Points(positions, periods=(1.0, None)))
    assert not Points(positions).is_same(Points(positions[:4]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.rand(5),), r"positions: expected \(point, dim\), found \(5,\)"),
        ((torch.rand(0, 2),), r"positions: expected \(point, dim\), found \(0, 2\)"),
        ((torch.full((2, 2), torch.nan),), "positions: expected finite numbers"),
        ((torch.rand(5, 2), torch.ones(4)), r"weights: expected 5 positive numbers.* found \(4,\)"),
        ((torch.rand(2, 2), torch.tensor([1.0, 0.0])), "weights: expected 2 positive numbers"),
        ((torch.rand(2, 2), None, (1.0,)), "periods: expected a positive number or None for each of 2 axes"),
        ((torch.rand(2, 2), None, (1.0, -1.0)), "periods: expected a positive number or None"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Points(*arguments)
