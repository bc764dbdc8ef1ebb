import pytest
import torch

from opnet.spaces.grid import Grid


@pytest.mark.parametrize("nodes", ["vertex", "cell", "left", "interior"])
def test_axis_and_spacing_agree(nodes):
    grid = Grid((9,), extent=((-1, 2),), nodes=nodes)
    assert torch.allclose(grid.axis(0).diff(), torch.tensor(grid.spacing[0], dtype=torch.float64))


@pytest.mark.parametrize(("nodes", "degree"), [("vertex", 1), ("cell", 1), ("left", 0)])
def test_quadrature_is_exact_to_its_degree(nodes, degree):
    grid = Grid((8, 6), extent=((0, 2), (1, 3)), nodes=nodes)
    x, y = grid.coordinates()
    weights = grid.weights()
    assert float(weights.sum()) == pytest.approx(4.0)
    if degree:
        assert float((weights * (x + y)).sum()) == pytest.approx(4.0 + 8.0)


def test_periodic_vertices_leave_the_right_end_out():
    grid = Grid((4,), boundary="periodic")
    assert grid.axis(0).tolist() == [0, 0.25, 0.5, 0.75]


def test_describe_makes_the_same_grid_again():
    grid = Grid(
        (4, 5), extent=((0, 1), (0, 2)), boundary=("periodic", ("dirichlet", "neumann")), nodes=("left", "cell")
    )
    assert Grid.from_description(grid.describe()) == grid
    assert grid.resized(8).resized((4, 5)) == grid


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": ()}, "at least one axis"),
        ({"shape": (0,), "nodes": "cell"}, "at least 1 nodes on axis 0, found 0"),
        ({"shape": (4,), "nodes": "center"}, "expected one of vertex, cell, left, interior, found 'center'"),
        ({"shape": (4,), "boundary": "open"}, "Grid.boundary"),
        ({"shape": (4,), "boundary": (("periodic", "neumann"),)}, "expected both sides of axis 0 periodic or none"),
        ({"shape": (4,), "extent": ((1, 0),)}, "low < high on axis 0"),
        ({"shape": (4, 4), "extent": ((0, 1),)}, "expected 2"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Grid(**arguments)
