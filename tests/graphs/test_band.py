import pytest
import torch

from opnet.graphs import graphons
from opnet.graphs.sampling import sample_graph


@pytest.mark.parametrize("n", [10, 17])
def test_a_band_knows_its_cells_and_its_neighbours(n):
    W = graphons.band(0.4)
    x = (torch.arange(n * 40).double() + 0.5) / (n * 40)
    raster = W(x[:, None], x).reshape(n, 40, n, 40).amax((1, 3))
    torch.testing.assert_close(sample_graph(W, n, regime="cell").shift.to_dense() * n, raster)
    neighbours = sample_graph(W, 10, regime="centre").shift.to_dense() * 10
    assert neighbours.sum(1).tolist() == [5.0] * 10  # itself and two on each side, those at the edge among them
