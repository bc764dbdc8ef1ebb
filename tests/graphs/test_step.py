import torch

from opnet.graphs import graphons
from opnet.graphs.sampling import sample_graph


def test_hsbm_has_thue_morse_signs():
    assert graphons.hsbm(3).signs == (1, -1, -1, 1, -1, 1, 1, -1)


def test_points_on_breakpoints_belong_to_the_block_on_the_right():
    W = graphons.checkerboard(10)
    breakpoints = torch.arange(10, dtype=torch.float64) / 10
    assert W.sign(breakpoints).tolist() == [1, -1] * 5
    assert W.sign(torch.tensor([1.0, 1.0])).tolist() == [-1, -1]


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
