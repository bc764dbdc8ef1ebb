import pytest
import torch

from opnet.spaces.grid import Grid
from opnet.spaces.symmetry import N_ELEMENTS, compose, dihedral, inverse

SQUARES = [
    Grid((5, 5), nodes="cell"),
    Grid((5, 5), nodes="vertex"),
    Grid((5, 5), nodes="interior"),
    Grid((5, 5), nodes="left"),
    Grid((6, 6), boundary="periodic", nodes="left"),
    Grid((6, 6), boundary="periodic", nodes="cell"),
]


def field_on(grid):
    """Random, and on "left" nodes vanishing where its boundary is, so that filling with zero loses nothing."""
    field = torch.randn(2, 3, *grid.shape, generator=torch.Generator().manual_seed(0))
    if grid.nodes[0] == "left" and grid.boundary[0][0] != "periodic":
        field[..., 0, :] = field[..., :, 0] = 0
    return field


@pytest.mark.parametrize("grid", SQUARES, ids=str)
def test_the_action_is_that_of_the_group(grid):
    field = field_on(grid)
    assert torch.equal(dihedral(field, grid, 0), field)
    for first in range(N_ELEMENTS):
        moved = dihedral(field, grid, first, "zero")
        for second in range(N_ELEMENTS):
            expected = dihedral(field, grid, compose(second, first), "zero")
            assert torch.equal(dihedral(moved, grid, second, "zero"), expected)
        assert compose(inverse(first), first) == compose(first, inverse(first)) == 0


@pytest.mark.parametrize("grid", SQUARES, ids=str)
def test_the_eight_elements_differ(grid):
    images = [dihedral(field_on(grid), grid, element) for element in range(N_ELEMENTS)]
    assert not any(torch.equal(images[i], images[j]) for i in range(N_ELEMENTS) for j in range(i))


@pytest.mark.parametrize("grid", SQUARES[:4], ids=str)
def test_a_function_is_moved_as_a_function(grid):
    def bump(x, y):
        return x * (1 - x) * y * (1 - y) * torch.exp(x + 2 * y)

    x, y = grid.coordinates()
    moved = dihedral(bump(x, y)[None, None], grid, 5, "zero")
    # First x -> 1 - x, then the axes swapped.
    assert torch.allclose(moved[0, 0], bump(1 - y, x))


def test_a_missing_node_is_filled_as_asked():
    grid = Grid((4, 4), nodes="left")
    rows = torch.arange(4.0).reshape(1, 1, 4, 1).expand(1, 1, 4, 4)
    assert dihedral(rows, grid, 1, "edge")[0, 0, :, 0].tolist() == [3, 3, 2, 1]
    assert dihedral(rows, grid, 1, "zero")[0, 0, :, 0].tolist() == [0, 3, 2, 1]


@pytest.mark.parametrize(
    ("grid", "element", "message"),
    [
        (Grid((4, 4)), 8, "element: expected 0 to 7, found 8"),
        (Grid((4, 4)), -1, "element: expected 0 to 7, found -1"),
        (Grid((4,)), 1, "expected two axes, found 1"),
        (Grid((4, 5)), 1, "expected a square"),
        (Grid((4, 4), nodes=("cell", "left")), 1, "expected a square"),
        (Grid((4, 4), extent=((0, 1), (0, 2))), 1, "expected a square"),
        (Grid((4, 4), boundary=("dirichlet", "neumann")), 1, "expected a square"),
        (Grid((4, 4), boundary=(("dirichlet", "neumann"),) * 2), 1, "expected a square"),
    ],
)
def test_what_is_no_symmetry_is_refused(grid, element, message):
    with pytest.raises(ValueError, match=message):
        dihedral(torch.zeros(1, 1, *grid.shape), grid, element)


def test_an_unknown_fill_is_refused():
    with pytest.raises(ValueError, match="fill: expected one of edge, zero, found 'mean'"):
        dihedral(torch.zeros(1, 1, 4, 4), Grid((4, 4), nodes="left"), 1, "mean")
