import pytest
import torch

from opnet.spaces import neighbours
from opnet.spaces.grid import Grid
from opnet.spaces.neighbours import pairs_within, periodic_images


def found(targets, sources, radius):
    pieces = list(pairs_within(targets, sources, radius))
    return [torch.cat(parts) for parts in zip(*pieces, strict=True)], len(pieces)


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("radius", [0.003, 0.15, 0.6, 5.0])
def test_pairs_are_those_of_all_distances(dim, radius, monkeypatch):
    monkeypatch.setattr(neighbours, "PAIRS", 1000)
    torch.manual_seed(0)
    # Sources reach beyond the targets on some sides and not on others; some points coincide.
    targets = torch.rand(80, dim, dtype=torch.float64)
    sources = torch.cat([1.5 * torch.rand(120, dim, dtype=torch.float64) - 0.2, targets[:9]])
    (row, column, distance), pieces = found(targets, sources, radius)
    expected = torch.cdist(targets, sources)
    assert bool((row.diff() >= 0).all())
    assert pieces > 1 or radius < 0.6
    known = torch.full_like(expected, torch.inf)
    known[row, column] = distance
    assert len(row) == int((expected <= radius).sum())
    assert torch.allclose(known[expected <= radius], expected[expected <= radius], atol=1e-7)
    assert bool((known[expected > radius] == torch.inf).all())


def test_points_at_the_radius_count_however_they_are_rounded():
    for scale in (1.0, 1 / 3, 0.1, 7.0):
        x = scale * torch.arange(40, dtype=torch.float64)[:, None]
        assert len(found(x, x, 3 * scale)[0][0]) == 7 * 40 - 12


def test_memory_is_linear_in_the_pairs():
    """The matrix of all distances would take 80 GB."""
    x = Grid((100_000,)).coordinates().T.contiguous()
    assert len(found(x, x, 1.5e-5)[0][0]) == 3 * 100_000 - 2


def test_periodic_images_reach_around_as_often_as_the_radius_does():
    points = torch.tensor([[0.1, 0.4], [0.6, 0.9]], dtype=torch.float64)
    images, origin = periodic_images(points, (1.0, None), 1.2)
    assert torch.allclose(images[:, 1], points[origin, 1])
    for i in range(2):
        shifts = torch.arange(-5, 6)
        expected = {round(float(points[i, 0]) + int(s), 6) for s in shifts if -1.1 <= points[i, 0] + s <= 1.8}
        assert {round(x, 6) for x in images[origin == i, 0].tolist()} == expected
