import pytest
import torch

from opnet.graphs.graphons import arithmetic_mean, checkerboard, hsbm, tent
from opnet.graphs.sampling import sample_graph
from opnet.linops.low_rank import LowRank
from opnet.linops.sparse import CSR


@pytest.mark.parametrize("W", [tent(), arithmetic_mean(), hsbm(3)], ids=lambda W: W.name)
@pytest.mark.parametrize("keep", [True, False])
def test_weighted_graphs_hold_the_graphon_at_their_nodes(W, keep):
    graph = sample_graph(W, 30, keep_diagonal=keep)
    x = (torch.arange(30).double() + 0.5) / 30
    expected = W(x[:, None], x[None, :]) / 30
    torch.testing.assert_close(graph.shift.to_dense(), expected if keep else expected.fill_diagonal_(0))
    torch.testing.assert_close(graph.positions, x)


def test_linspace_places_features_at_the_ends_and_weights_at_midpoints():
    published, midpoint = sample_graph(tent(), 9, nodes="linspace"), sample_graph(tent(), 9)
    torch.testing.assert_close(published.positions, torch.linspace(0, 1, 9).double())
    torch.testing.assert_close(published.shift.to_dense(), midpoint.shift.to_dense())


def test_uniform_nodes_are_sorted_and_shared_by_weights_and_features():
    graph = sample_graph(tent(), 50, nodes="uniform", seed=3)
    x = graph.positions
    assert (x.diff() > 0).all()
    torch.testing.assert_close(graph.shift.to_dense(), tent()(x[:, None], x) / 50)
    assert not torch.equal(x, sample_graph(tent(), 50, nodes="uniform", seed=4).positions)


@pytest.mark.parametrize("W", [hsbm(3), checkerboard(3), checkerboard(7)], ids=lambda W: W.name)
@pytest.mark.parametrize("n", [5, 8, 17, 24, 42])
def test_cells_are_joined_where_they_meet_the_support(W, n):
    # On a raster fine enough to have a point inside every piece of every cell.
    fine = n * W.blocks
    x = (torch.arange(fine).double() + 0.5) / fine
    raster = W(x[:, None], x).reshape(n, W.blocks, n, W.blocks).amax((1, 3))
    A = sample_graph(W, n, regime="cell").shift.to_dense() * n
    torch.testing.assert_close(A, raster)
    bare = sample_graph(W, n, regime="cell", keep_diagonal=False).shift.to_dense() * n
    torch.testing.assert_close(bare, raster.fill_diagonal_(0))


def test_the_published_rule_looks_at_five_points_of_each_diagonal():
    W, n = checkerboard(3), 11
    A = sample_graph(W, n, regime="published").shift.to_dense() * n
    for i in range(n):
        for j in range(n):
            part = torch.arange(5).double() / 4
            met = [bool(W(x, y) == 1) for x, y in zip((i + part) / n, (j + part) / n, strict=True)]
            assert A[i, j] == any(met), (i, j)
    bare = sample_graph(W, n, regime="published", keep_diagonal=False).shift.to_dense() * n
    assert torch.equal(bare, A.fill_diagonal_(0))


def test_centre_and_cell_agree_on_aligned_sizes():
    cell, centre = (sample_graph(hsbm(3), 64, regime=regime).shift.to_dense() for regime in ("cell", "centre"))
    torch.testing.assert_close(cell, centre)


@pytest.mark.parametrize("density", [1.0, 0.05])
def test_random_graphs_have_the_right_edge_probabilities(density):
    n, W = 400, tent()
    graph = sample_graph(W, n, regime="random", density=density, seed=1)
    assert isinstance(graph.shift, CSR) == (density < 0.1)
    A = graph.shift.to_dense() * density * n
    assert set(A.unique().round(decimals=9).tolist()) == {0.0, 1.0}
    torch.testing.assert_close(A, A.T)
    x = graph.positions
    p = density * W(x[:, None], x)
    # Degrees of 400 nodes: each within 5 standard deviations; every 100 x 100 tile within 4.
    assert ((A.sum(1) - p.sum(1)).abs() < 5 * (p * (1 - p)).sum(1).sqrt()).all()
    for i in range(0, n, 100):
        for j in range(i + 100, n, 100):
            tile, q = A[i : i + 100, j : j + 100], p[i : i + 100, j : j + 100]
            assert (tile.sum() - q.sum()).abs() < 4 * (q * (1 - q)).sum().sqrt()
    again = sample_graph(W, n, regime="random", density=density, seed=1).shift.to_dense()
    assert torch.equal(again, graph.shift.to_dense())


def test_random_graphs_can_be_large_and_sparse():
    n = 200_000
    graph = sample_graph(tent(), n, regime="random", density=10 / n, seed=0, dtype=torch.float32)
    edges = len(graph.shift.values)
    assert abs(edges - 10 * n * 2 / 3) < 5 * (2 * 10 * n * 2 / 3) ** 0.5  # the mean of the tent is 2/3


def test_low_rank_shift_takes_no_matrix():
    shift = sample_graph(hsbm(5), 100_001, regime="cell").shift
    assert isinstance(shift, LowRank)
    assert shift.rank == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"regime": "wieghted"}, "regime: expected one of"),
        ({"nodes": "middle"}, "nodes: expected one of"),
        ({"density": 0.5}, "density: expected 1"),
        ({"density": 0.0, "regime": "random"}, "density"),
        ({"regime": "cell"}, "expected a .*-valued graphon, found tent"),
        ({"n": 0}, "at least one node"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        sample_graph(tent(), **{"n": 4, **arguments})
