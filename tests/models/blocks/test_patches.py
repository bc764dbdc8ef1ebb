import pytest
import torch

from opnet.models.blocks.patches import Patches
from opnet.spaces.grid import Grid


def cut(grid, counts, **options):
    return Patches(grid, counts, **{"levels": 1, "halo": 0.25, "dtype": torch.float64, **options})


@pytest.mark.parametrize("nodes", ["cell", "vertex", "left", "interior"])
@pytest.mark.parametrize("boundary", ["dirichlet", "periodic"])
@pytest.mark.parametrize("halo", [0.0, 0.3])
@pytest.mark.parametrize(
    ("shape", "counts"), [((9,), (2,)), ((10, 13), (2, 3)), ((6, 7, 8), (2, 1, 3))], ids=["1d", "2d", "3d"]
)
def test_patches_put_together_are_the_whole(nodes, boundary, halo, shape, counts):
    grid = Grid(shape, nodes=nodes, boundary=boundary)
    patches = cut(grid, counts, halo=halo)
    values = torch.randn(2, 3, *shape, dtype=torch.float64)
    views = patches.split(values)
    assert views.shape == (2 * patches.count, 6, *patches.widths)
    assert torch.equal(patches.join(views[:, :3]), values)


def test_a_part_without_halo_is_a_slice():
    values = torch.randn(2, 1, 8, 12, dtype=torch.float64)
    views = cut(Grid((8, 12), nodes="cell"), (2, 3), levels=0, halo=0.0).split(values)
    expected = torch.stack([values[:, :, i : i + 4, j : j + 4] for i in (0, 4) for j in (0, 4, 8)], 1)
    assert torch.equal(views, expected.flatten(0, 1))


@pytest.mark.parametrize(
    ("boundary", "fill", "expected"),
    [
        ("dirichlet", "edge", [[0, 0, 1.5, 5.5, 9.5, 13.5], [1.5, 5.5, 9.5, 13.5, 15, 15]]),
        ("dirichlet", "zero", [[0, 0, 1.5, 5.5, 9.5, 13.5], [1.5, 5.5, 9.5, 13.5, 0, 0]]),
        ("periodic", "edge", [[9.5, 13.5, 1.5, 5.5, 9.5, 13.5], [1.5, 5.5, 9.5, 13.5, 1.5, 5.5]]),
    ],
    ids=["edge", "zero", "periodic"],
)
def test_a_farther_view_is_of_means_about_the_same_centre(boundary, fill, expected):
    """16 cells in two parts of 8, halo 2: the view of level 2 spans 48 cells, four each."""
    patches = cut(Grid((16,), nodes="cell", boundary=boundary), (2,), levels=2, halo=0.25, fill=fill)
    view = patches.split(torch.arange(16, dtype=torch.float64).reshape(1, 1, 16))[:, 2]
    middle = torch.tensor(expected, dtype=torch.float64)
    # 12 values each; around part 0 the domain begins 4 cells a value to the left of its centre at 4.
    assert torch.equal(view[0, 3:9], middle[0])
    assert torch.equal(view[1, 3:9], middle[1])


def test_a_farther_view_of_nodes_is_of_trapezoidal_means_about_nodes():
    patches = cut(Grid((17,), nodes="vertex"), (2,), levels=1, halo=0.0)
    values = torch.arange(17, dtype=torch.float64) ** 2
    view = patches.split(values.reshape(1, 1, 17))[1, 1]
    # 9 values about node 12, from node 4 to node 20; beyond 16 the last one is repeated.
    inner = [(values[i - 1] / 2 + values[i] + values[i + 1] / 2) / 2 for i in range(4, 16, 2)]
    assert torch.equal(view[:6], torch.stack(inner))
    assert view[-2:].tolist() == [256, 256]


def test_parts_keep_their_place_and_width_at_every_resolution():
    for nodes, sizes in (("vertex", (17, 33)), ("left", (16, 32)), ("interior", (15, 31)), ("cell", (16, 32))):
        boxes = [cut(Grid((n,), nodes=nodes), (2,)).patch.extent[0][1] for n in sizes]
        assert boxes == [0.75, 0.75]


def test_a_part_without_nodes_is_refused():
    with pytest.raises(ValueError, match="patches: expected a node in each of 5 parts of axis 0, found 4 nodes"):
        cut(Grid((4,), nodes="cell"), (5,))
