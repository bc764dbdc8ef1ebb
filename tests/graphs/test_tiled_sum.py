import torch

from opnet.graphs import graphons
from opnet.graphs.tiled_sum import TiledSum


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
