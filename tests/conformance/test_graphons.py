import pytest
import torch

from opnet.core.registry import lookup, names
from opnet.graphs import graphons  # noqa: F401  (registers)

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
