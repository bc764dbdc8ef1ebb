import torch
from torch.nn.functional import gelu

from opnet.models.multipole_gno import MultipoleGNO
from opnet.spaces.grid import Grid
from opnet.spaces.points import Points


def test_multipole_levels_have_boxes_of_growing_size_and_balls_of_bounded_number():
    model = MultipoleGNO(1, 1, radius=0.1, levels=4, width=4, layers=1)
    levels = model.geometry(Points.of_grid(Grid((64, 64), nodes="cell")))
    assert [points.n for points in levels.points] == [4096, 100, 25, 9]
    for balls in (*levels.within[1:], *levels.up):
        assert int(balls.degree.max()) <= 21
    assert all(int(balls.degree.min()) > 0 for balls in (*levels.within, *levels.down, *levels.up))


def test_a_cycle_goes_down_and_up():
    """Two levels, written out: the coarse one is told of the fine one, settles, and tells it back."""
    torch.manual_seed(0)
    model = MultipoleGNO(1, 1, 1, radius=0.2, levels=2, width=4, layers=1, hidden=(6,)).double()
    points = Points(torch.rand(12, 1))
    a = torch.randn(12, 3, 1, dtype=torch.float64)
    levels, cycle = model.geometry(points), model.cycles[0]
    (box,), (_, coarse) = levels.boxes, levels.points
    means = torch.stack(
        [
            torch.einsum("p,pbc->bc", points.weights[box == k], a[box == k]) / points.weights[box == k].sum()
            for k in range(coarse.n)
        ]
    )
    fine, v1 = model.lifted(a, points), model.lifted(means, coarse)
    v1 = gelu(v1 + cycle.down[0](fine, levels.down[0]))
    v1 = gelu(cycle.pointwise[1](v1) + cycle.within[1](v1, levels.within[1]))
    v0 = cycle.pointwise[0](fine) + cycle.within[0](fine, levels.within[0]) + cycle.up[0](v1, levels.up[0])
    assert torch.allclose(model.operator(a, points, levels), v0)
