import pytest
import torch

from opnet.models.blocks.neighbourhoods import Neighbourhoods
from opnet.spaces.grid import Grid
from opnet.spaces.points import Points


def cloud(n, seed=0, dim=2):
    generator = torch.Generator().manual_seed(seed)
    return Points(torch.rand(n, dim, generator=generator), torch.rand(n, generator=generator) + 0.1)


def matrix(near, sources, pairs=50):
    """The operator as a dense matrix from its tables."""
    dense = torch.zeros(len(near.x), sources, dtype=torch.float64)
    for rows, columns, there in near.pieces(pairs):
        q = near.quadrature(rows, columns, there, near.offsets(rows, columns))
        dense.index_put_((rows[:, None].expand_as(columns), near.origin[columns]), q, accumulate=True)
    return dense


@pytest.mark.parametrize("window", ["smooth", "flat"])
def test_the_average_is_the_one_of_all_distances(window):
    x, y = cloud(40), cloud(90, 1)
    s = torch.cdist(x.positions, y.positions) / 0.3
    weight = (s <= 1) * y.weights * ((1 - s**2) ** 2 if window == "smooth" else 1)
    expected = weight / weight.sum(1, keepdim=True)
    assert torch.allclose(matrix(Neighbourhoods.between(x, y, 0.3, window=window), 90), expected)


def test_periodic_axes_are_closed():
    points = Points.of_grid(Grid((20,), boundary="periodic"))
    dense = matrix(Neighbourhoods.between(points, points, 0.17), 20)
    assert float(dense[0, -3]) > 0
    for shift in range(20):
        assert torch.allclose(dense.roll((shift, shift), (0, 1)), dense)


def test_empty_balls_average_to_zero():
    x = Points(torch.tensor([[0.0], [5.0]]))
    y = Points(torch.tensor([[0.1], [0.2]]))
    dense = matrix(Neighbourhoods.between(x, y, 0.5), 2)
    assert torch.allclose(dense.sum(1), torch.tensor([1.0, 0.0], dtype=torch.float64))
    assert not matrix(Neighbourhoods.between(x, y, 0.01), 2).any()


def test_sampled_neighbours_are_few_and_the_sum_is_unbiased():
    x = cloud(15)
    f = torch.cos(3 * x.positions[:, 0])
    everything = matrix(Neighbourhoods.between(x, x, 0.5), 15)
    sums = []
    for seed in range(100):
        near = Neighbourhoods.between(x, x, 0.5, neighbours=4, seed=seed)
        assert int(near.degree.max()) == 4
        sampled = matrix(near, 15)
        assert bool((everything[sampled > 0] > 0).all())
        sums.append(sampled @ f)
    values = torch.stack(sums)
    error = values.mean(0) - everything @ f
    assert bool((values.std(0) > 0).any())
    assert bool((error.abs() <= 4.5 * values.std(0) / 100**0.5 + 1e-12).all())


def test_the_draw_depends_on_positions_and_seed_alone():
    x = cloud(60)
    order = torch.randperm(60)
    moved = Points(x.positions[order], x.weights[order])
    first = matrix(Neighbourhoods.between(x, x, 0.4, neighbours=5, seed=3), 60)
    torch.rand(7)
    assert torch.equal(matrix(Neighbourhoods.between(x, x, 0.4, neighbours=5, seed=3), 60), first)
    assert torch.allclose(
        matrix(Neighbourhoods.between(moved, moved, 0.4, neighbours=5, seed=3), 60), first[order][:, order]
    )
    assert not torch.allclose(matrix(Neighbourhoods.between(x, x, 0.4, neighbours=5, seed=4), 60), first)
