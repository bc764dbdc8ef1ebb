import pytest
import torch

from opnet.graphs import graphons
from opnet.linops.low_rank import LowRank


@pytest.mark.parametrize("keep", [True, False])
def test_sums_of_low_rank_are_those_of_the_matrix(keep):
    W, n = graphons.sigmoid_of_squares(), 300
    x, w = (torch.arange(n).double() + 0.5) / n, torch.rand(n, generator=torch.Generator().manual_seed(0)).double()
    matrix = W(x[:, None], x) * w
    S = W.weighted_sum(x, w, keep_diagonal=keep)
    assert isinstance(S, LowRank)
    torch.testing.assert_close(S.to_dense(), matrix if keep else matrix.fill_diagonal_(0), rtol=0, atol=1e-12)
