"""Laws of every fractal: what its sections, cells, sums and points say is one and the same set."""

from math import log, pi, sqrt

import pytest
import torch

from opnet.graphs.fractals.carpet import sierpinski_carpet
from opnet.graphs.fractals.hexaflake import hexaflake
from opnet.graphs.fractals.koch import koch_snowflake
from opnet.graphs.graphon import EXACT, RANDOM_EXPONENTS
from opnet.graphs.runs import RunSum
from opnet.graphs.sampling import sample_graph

HEXAGON, TRIANGLE = 1.5 * sqrt(3) * 0.495**2, 0.75 * sqrt(3) * 0.495**2
AREAS = {
    hexaflake: lambda depth: HEXAGON * (7 / 9) ** depth,
    sierpinski_carpet: lambda depth: (8 / 9) ** depth,
    koch_snowflake: lambda depth: TRIANGLE * (8 / 5 - 3 / 5 * (4 / 9) ** depth),
}


@pytest.fixture(
    params=[(make, depth) for make in AREAS for depth in (0, 1, 2, 4)], ids=lambda p: f"{p[0].__name__}{p[1]}"
)
def case(request):
    return request.param


@pytest.fixture
def W(case):
    make, depth = case
    return make(depth)


def uniform(n, seed=0):
    return torch.rand(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_area_is_known(case, W):
    n = 60 * 81  # a multiple of the carpet's blocks
    x = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    area = AREAS[case[0]](case[1])
    assert abs(float(W.sections(x).total.mean()) - area) < 1e-4
    assert abs(float(W(uniform(40_000), uniform(40_000, 1)).mean()) - area) < 0.011  # 4.4 standard deviations


def test_sections_hold_the_points_of_the_set(W):
    x, y = uniform(60), uniform(300, 1)
    sections = W.sections(x)
    assert sections.rows == 60
    inside = torch.zeros(60, 300, dtype=torch.int64)
    held = (sections.low[:, None] <= y) & (y < sections.high[:, None])
    inside.index_add_(0, sections.row, held.long())
    assert torch.equal(inside.double(), W(x[:, None], y))


def test_cells_are_all_that_a_fine_raster_meets_and_few_more(W):
    # More, since a raster misses corners; n has no common divisor with the raster of the carpet, or all of them.
    for n in (1, 2, 7, 27, 40):
        cells = W.cell_adjacency(n).to_dense() > 0
        fine = (torch.arange(n * 25, dtype=torch.float64) + 0.5) / (n * 25)
        raster = W(fine[:, None], fine).reshape(n, 25, n, 25).amax((1, 3)) > 0
        assert bool((cells | ~raster).all())
        assert int((cells & ~raster).sum()) <= 0.03 * n * n
        assert torch.equal(cells, cells.T)


def test_cells_do_not_depend_on_how_rows_are_chunked(W, monkeypatch):
    whole, sections = W.cells(50), W.sections(uniform(50))
    monkeypatch.setattr("opnet.graphs.fractals.pieces.PieceTree.rows_at_once", lambda self: 7)
    for parts, one in ((W.cells(50), whole), (W.sections(uniform(50)), sections)):
        assert torch.equal(parts.start, one.start)
        assert torch.equal(parts.low, one.low)
        assert torch.equal(parts.high, one.high)


def test_cells_no_larger_than_smallest_pieces_miss_none_of_them():
    # Brute force: every smallest hexagon lies in the cells of the vertices and points of its own.
    depth, n = 3, 50
    angles = pi / 4 + torch.arange(6, dtype=torch.float64) * pi / 3
    corner = torch.polar(torch.ones(6, dtype=torch.float64), angles)
    centre, radius = torch.tensor([0.5 + 0.5j], dtype=torch.complex128), 0.495
    for _ in range(depth):
        offsets = torch.cat([torch.zeros(1, dtype=torch.complex128), 2 / 3 * radius * corner])
        centre, radius = (centre[:, None] + offsets).reshape(-1), radius / 3
    ring = torch.cat([corner * (1 - t) + corner.roll(-1) * t for t in torch.linspace(0, 1, 40, dtype=torch.float64)])
    disc = torch.cat([ring * s for s in torch.linspace(0, 1, 10, dtype=torch.float64)])
    points = (centre[:, None] + radius * disc * (1 - 1e-12)).reshape(-1)
    matrix = torch.zeros(n, n)
    matrix[(points.real * n).long(), (points.imag * n).long()] = 1
    cells = hexaflake(depth).cell_adjacency(n).to_dense()
    assert bool((cells >= matrix).all())
    assert int((cells - matrix).sum()) <= 4
    assert len(centre) == 7**depth


def test_exactly_aligned_cells_of_the_carpet_are_its_squares():
    W = sierpinski_carpet(3)
    middle = (torch.arange(27, dtype=torch.float64) + 0.5) / 27
    assert torch.equal(W.cell_adjacency(27).to_dense(), W(middle[:, None], middle))
    edges = torch.arange(27, dtype=torch.float64) / 27
    assert torch.equal(W(edges[:, None], edges), W(middle[:, None], middle))
    assert torch.equal(W.sections(edges).total, W.sections(middle).total)


def test_orders_are_known_where_cells_resolve_the_pieces():
    assert hexaflake(2).exponents(401, regime="cell")["operator"].value == -1
    assert "operator" not in hexaflake(10).exponents(401, regime="cell")
    assert sierpinski_carpet(2).exponents(400, regime="cell")["operator"].value == -0.5
    assert sierpinski_carpet(2).exponents(405, regime="cell")["operator"].value == EXACT
    assert "operator" not in sierpinski_carpet(6).exponents(400, regime="cell")
    assert hexaflake(10).exponents(401, regime="random") == RANDOM_EXPONENTS


def test_centres_of_cells_are_in_the_set(W):
    graph = sample_graph(W, 60, regime="centre")
    assert isinstance(graph.shift, RunSum)
    x = graph.positions
    torch.testing.assert_close(graph.shift.to_dense(), W(x[:, None], x) / 60)
    runs = W.columns(x)
    assert torch.equal(runs.total.double(), W(x[:, None], x).sum(1))
    with pytest.raises(ValueError, match="ascending"):
        W.columns(x.flip(0))


def test_single_precision_is_the_same_set(W):
    x = uniform(200).float()
    found = W(x[:, None], x)
    assert found.dtype == torch.float32
    expected = W(x.double()[:, None], x.double())
    assert int((found != expected).sum()) <= 200  # single points on breakpoints at most
    assert W.weighted_sum(x, torch.ones(200)).dtype == torch.float32


@pytest.mark.parametrize("make", AREAS)
@pytest.mark.parametrize("depth", [-1, 13])
def test_depths_are_checked(make, depth):
    with pytest.raises(ValueError, match=r"expected .*found"):
        make(depth)


def test_numbers_of_cells_are_checked():
    with pytest.raises(ValueError, match="at least one"):
        hexaflake(1).cells(0)


def test_runs_in_a_row_of_a_deep_hexaflake():
    x = (torch.arange(500, dtype=torch.float64) + 0.5) / 500
    assert 145 < len(hexaflake(6).sections(x).low) / 500 < 165


@pytest.mark.slow
def test_mean_degree_and_norm_of_a_very_deep_hexaflake():
    # Boundary of dimension b = log 7 / log 3: degree falls as n^-(2 - b), its root as n^-(1 - b / 2).
    sizes = torch.tensor([250, 500, 1000, 2000, 4000])
    degree = torch.tensor([float(hexaflake(10).cells(int(n)).total.sum()) / int(n) ** 2 for n in sizes])
    x = sizes.log() - sizes.log().mean()
    slope = float((x * degree.log()).sum() / (x * x).sum())
    assert abs(slope + 2 - log(7) / log(3)) <= 0.01
