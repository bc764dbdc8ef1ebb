import pytest
import torch

from opnet.graphs.graphons import hsbm, tent
from opnet.graphs.normalise import normalised_shift
from opnet.graphs.sampling import sample_graph
from opnet.graphs.tent import TentSum
from opnet.linops.dense import Dense
from opnet.linops.low_rank import LowRank
from opnet.linops.sparse import CSR

N = 300
X, ONES = (torch.arange(N).double() + 0.5) / N, torch.ones(N).double()


def sparse() -> CSR:
    S = sample_graph(tent(), N, regime="random", density=0.05, seed=1).shift
    return S.rebuild((torch.ones_like(S.values),))


ADJACENCIES = {
    "dense": lambda: Dense(tent()(X[:, None], X)),
    "sparse": sparse,
    "low rank": lambda: hsbm(3).weighted_sum(X, ONES),
    "tent": lambda: tent().weighted_sum(X, ONES),
}
FORMS = {"dense": Dense, "sparse": CSR, "low rank": LowRank, "tent": TentSum}


@pytest.mark.parametrize("form", ADJACENCIES)
@pytest.mark.parametrize("self_loops", [False, True])
def test_is_what_the_formula_says_in_the_form_of_the_adjacency(form, self_loops):
    adjacency = ADJACENCIES[form]()
    A = adjacency.to_dense() + self_loops * torch.eye(N).double()
    d = A.sum(1)
    for normalisation, expected in {
        "none": A,
        "n": A / N,
        "symmetric": A / d.sqrt() / d.sqrt()[:, None],
        "random_walk": A / d[:, None],
    }.items():
        S = normalised_shift(adjacency, normalisation, self_loops=self_loops)
        torch.testing.assert_close(S.to_dense(), expected)
        torch.testing.assert_close(S.columns(A), expected @ A)
        if not self_loops:
            assert isinstance(S, FORMS[form])
    halved = normalised_shift(adjacency, "n", self_loops=self_loops, density=0.5)
    torch.testing.assert_close(halved.to_dense(), 2 * A / N)


def test_isolated_nodes_need_loops():
    A = Dense(torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))
    for normalisation in ("symmetric", "random_walk"):
        with pytest.raises(ValueError, match=r"found 1 without edges \(node 2 first\)"):
            normalised_shift(A, normalisation)
        S = normalised_shift(A, normalisation, self_loops=True).to_dense()
        torch.testing.assert_close(S.sum(1), torch.ones(3))


@pytest.mark.parametrize(
    ("matrix", "arguments", "message"),
    [
        (torch.zeros(2, 3), {}, "expected a square operator, found 2 x 3"),
        (torch.tensor([[0.0, 1.0], [0.5, 0.0]]), {}, "expected a symmetric one, found row and column"),
        (torch.tensor([[0.0, float("nan")], [1.0, 0.0]]), {}, "expected finite weights"),
        (torch.tensor([[0.0, -1.0], [-1.0, 0.0]]), {}, "found negative degrees"),
        (torch.ones(2, 2), {"normalisation": "rows"}, "expected one of none, n, symmetric, random_walk"),
        (torch.ones(2, 2), {"density": 0.5}, "density: expected 1"),
    ],
)
def test_what_cannot_be_normalised_is_refused(matrix, arguments, message):
    with pytest.raises(ValueError, match=message):
        normalised_shift(Dense(matrix), **arguments)


def test_one_edge_one_way_shows_beside_a_hub():
    n = 20_000
    spoke, hub = torch.arange(1, n), torch.zeros(n - 1, dtype=torch.int64)
    row, column = torch.cat([spoke, hub]), torch.cat([hub, spoke])

    def star(kept):
        return CSR.from_entries(row[kept], column[kept], torch.ones(int(kept.sum())), (n, n))

    normalised_shift(star(row >= 0), "symmetric")
    with pytest.raises(ValueError, match="expected a symmetric one, found row and column 7 to differ"):
        normalised_shift(star(row != 7), "symmetric", self_loops=True)


def test_a_directed_graph_can_walk():
    directed = Dense(torch.tensor([[0.0, 1.0], [0.5, 0.5]]))
    torch.testing.assert_close(normalised_shift(directed, "random_walk").to_dense(), directed.matrix)
