import pytest
import torch

from opnet.core.registry import lookup, names
from opnet.graphs import graphons
from opnet.graphs.sampling import sample_graph
from opnet.graphs.stationary import ToeplitzSum
from opnet.graphs.tent import TentSum
from opnet.graphs.tiled_sum import TiledSum
from opnet.linops.low_rank import LowRank

EXAMPLES = {
    "tent": {},
    "hoelder_tent": {"a": 0.5},
    "arithmetic_mean": {},
    "square_and_root": {},
    "exponential_of_powers": {},
    "sigmoid_of_squares": {},
    "weierstrass": {"a": 0.5},
    "hsbm": {"levels": 3},
    "checkerboard": {"m": 5},
    "stochastic_block": {
        "probabilities": [[0.9, 0.1, 0.2], [0.1, 0.5, 0.0], [0.2, 0.0, 1.0]],
        "shares": [0.3, 0.5, 0.2],
    },
    "band": {"width": 0.3},
    "hexaflake": {"depth": 3},
    "sierpinski_carpet": {"depth": 3},
    "koch_snowflake": {"depth": 3},
}


def test_every_registered_graphon_has_an_example():
    assert set(names("graphon")) == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_is_symmetric_in_the_unit_interval_and_sums_what_it_says(name):
    W = lookup("graphon", name)(**EXAMPLES[name])
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(40, generator=generator, dtype=torch.float64)
    w = torch.rand(40, generator=generator, dtype=torch.float64)
    matrix = W(x[:, None], x[None, :])
    assert torch.equal(matrix, matrix.T)
    assert 0 <= matrix.min() <= matrix.max() <= W.supremum
    if W.zero_one:
        assert set(matrix.unique().tolist()) <= {0.0, 1.0}
    for keep in (True, False):
        expected = (matrix if keep else matrix - torch.diag(matrix.diag())) * w
        S = W.weighted_sum(x, w, keep_diagonal=keep)
        for found in (S.to_dense(), S.transpose().to_dense().T, S.columns(torch.eye(40).double())):
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)
        torch.testing.assert_close(S.diagonal(), expected.diag())
    if W.rank is not None:
        phi, M = W.factors(x)
        assert phi.shape == (40, W.rank)
        torch.testing.assert_close(phi @ M @ phi.T, matrix)


def test_hsbm_has_thue_morse_signs():
    assert graphons.hsbm(3).signs == (1, -1, -1, 1, -1, 1, 1, -1)


def test_points_on_breakpoints_belong_to_the_block_on_the_right():
    W = graphons.checkerboard(10)
    breakpoints = torch.arange(10, dtype=torch.float64) / 10
    assert W.sign(breakpoints).tolist() == [1, -1] * 5
    assert W.sign(torch.tensor([1.0, 1.0])).tolist() == [-1, -1]


@pytest.mark.parametrize("keep", [True, False])
def test_tent_sums_are_those_of_the_matrix_in_any_order(keep):
    generator = torch.Generator().manual_seed(0)
    x, w, left = torch.rand(3, 40, generator=generator, dtype=torch.float64)
    S = TentSum(x, w, left, keep_diagonal=keep)
    matrix = 1 - (x[:, None] - x).abs()
    expected = left[:, None] * (matrix if keep else matrix.fill_diagonal_(0)) * w
    for found in (S.to_dense(), S.transpose().to_dense().T, S.columns(torch.eye(40).double())):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)
    torch.testing.assert_close(S.diagonal(), expected.diag())
    assert isinstance(graphons.tent().weighted_sum(torch.rand(300), torch.rand(300)), TentSum)


def test_tent_sums_keep_their_digits_in_float32():
    n = 100_000
    x = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    g = torch.cos(20 * x) + 3
    w = torch.full((n,), 1 / n)
    exact = TentSum(x, w.double()) @ g
    assert ((TentSum(x.float(), w) @ g.float()).double() - exact).abs().max() < 1e-6


@pytest.mark.parametrize("W", [graphons.hoelder_tent(0.3), graphons.sigmoid_of_squares()], ids=lambda W: W.name)
@pytest.mark.parametrize("keep", [True, False])
def test_structured_sums_of_many_points_are_those_of_the_matrix(W, keep):
    n = 300
    x, w = (torch.arange(n).double() + 0.5) / n, torch.rand(n, generator=torch.Generator().manual_seed(0)).double()
    matrix = W(x[:, None], x) * w
    S = W.weighted_sum(x, w, keep_diagonal=keep)
    assert isinstance(S, ToeplitzSum | LowRank)
    torch.testing.assert_close(S.to_dense(), matrix if keep else matrix.fill_diagonal_(0), rtol=0, atol=1e-12)


def test_sums_by_tiles_are_those_of_the_matrix_and_so_are_their_gradients(monkeypatch):
    W = graphons.from_function(lambda x, y: (-(x - y).abs()).exp(), kink=1.0)
    x, w, g = torch.rand(3, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = (W(x[:, None], x) * w) @ g
    monkeypatch.setattr("opnet.graphs.graphon.LARGEST_MATRIX", 10)
    monkeypatch.setattr("opnet.graphs.tiled_sum.TILE", 170)
    S = W.weighted_sum(x, w)
    assert isinstance(S, TiledSum)
    torch.testing.assert_close(S.apply(g), expected)
    assert torch.autograd.gradcheck(S.apply, g.requires_grad_())


def test_weierstrass_is_as_rough_as_it_says():
    # The mean square of increments falls as h^(2a).
    f = graphons.weierstrass(0.5).half
    u = torch.rand(20_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64) / 2
    rms = torch.stack([(f(u + h) - f(u)).square().mean().sqrt() for h in (2.0**-6, 2.0**-8, 2.0**-10)])
    assert (rms[:-1] / rms[1:] - 2).abs().max() < 0.1
    assert 0 <= f(u).min() <= f(u).max() <= 0.5


@pytest.mark.parametrize("n", [10, 17])
def test_a_band_knows_its_cells_and_its_neighbours(n):
    W = graphons.band(0.4)
    x = (torch.arange(n * 40).double() + 0.5) / (n * 40)
    raster = W(x[:, None], x).reshape(n, 40, n, 40).amax((1, 3))
    torch.testing.assert_close(sample_graph(W, n, regime="cell").shift.to_dense() * n, raster)
    neighbours = sample_graph(W, 10, regime="centre").shift.to_dense() * 10
    assert neighbours.sum(1).tolist() == [5.0] * 10  # itself and two on each side, those at the edge among them


def test_blocks_of_any_width_know_which_cells_they_meet():
    W = graphons.stochastic_block([[1, 0, 0], [0, 0, 1], [0, 1, 0]], [0.25, 0.35, 0.4])
    assert W.zero_one
    for n in (3, 7, 20):
        # On a raster fine enough to have a point inside every piece of every cell.
        x = (torch.arange(n * 20).double() + 0.5) / (n * 20)
        raster = W(x[:, None], x).reshape(n, 20, n, 20).amax((1, 3))
        torch.testing.assert_close(sample_graph(W, n, regime="cell").shift.to_dense() * n, raster)
    assert W.aligned(20)
    assert not W.aligned(7)


NAN = float("nan")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: graphons.hsbm(0), "expected 1 to 12 levels, found 0"),
        (lambda: graphons.checkerboard(1), "expected at least 2"),
        (lambda: graphons.hoelder_tent(1.0), "between 0 and 1"),
        (lambda: graphons.band(1.0), "a share between 0 and 1"),
        (lambda: graphons.weierstrass(0.0), "between 0 and 1"),
        (lambda: graphons.stochastic_block([[1.0, 0.5]]), "expected a square matrix"),
        (lambda: graphons.stochastic_block([[0.1, 0.5], [0.4, 0.1]]), r"found 0.5 at \(0, 1\) and 0.4"),
        (lambda: graphons.stochastic_block([[1.2]]), r"values in \[0, 1\], found 1.2"),
        (lambda: graphons.stochastic_block([[NAN]]), r"values in \[0, 1\], found nan"),
        (lambda: graphons.stochastic_block([[1.0, 0.0], [0.0, 1.0]], [0.5, 0.6]), "add up to 1"),
        (lambda: graphons.from_function(lambda x, y: max(x, y)), "tensors that broadcast, found RuntimeError"),
        (lambda: graphons.from_function(lambda x, y: 0.5), "expected a vectorised function.*found float"),
        (lambda: graphons.from_function(lambda x, y: (x + y).flatten()), r"a tensor \(41, 41\), found \(1681,\)"),
        (lambda: graphons.from_function(lambda x, y: x + y), r"values in \[0, 1\], found .* to 2"),
        (lambda: graphons.from_function(lambda x, y: x + 0 * y), r"W\(x, y\) = W\(y, x\)"),
        (lambda: graphons.from_function(lambda x, y: (x - y).abs(), smooth=True), "polynomials to miss"),
        (lambda: graphons.from_function(lambda x, y: x * y, smooth=True, kink=1), "kink: expected None"),
        (lambda: graphons.from_function(lambda x, y: x * y, kink=-1), "expected a positive power"),
    ],
)  # fmt: skip
def test_what_is_no_graphon_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
