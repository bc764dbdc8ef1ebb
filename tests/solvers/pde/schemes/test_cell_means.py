import torch

from opnet.solvers.pde.schemes.cell_means import defect, solve_cells
from opnet.solvers.pde.schemes.finite_volume import FiniteVolume
from opnet.solvers.pde.schemes.saint_venant import SaintVenant
from opnet.spaces.grid import Grid


def test_means_of_refined_solutions_lie_on_the_grid_and_keep_their_totals():
    grid = Grid((8,), boundary="periodic", nodes="cell")

    def step(indices, nodes):
        x = nodes.axis(0)
        return torch.stack([torch.stack([1 + 0.1 * i * (x < 0.3), 0 * x]) for i in indices])

    for refinement in (0, 1):
        scheme = FiniteVolume(SaintVenant(), (1 / (8 * 2**refinement),))
        w, totals, least = solve_cells(scheme, step, [0, 1, 4], grid, (0.0, 0.1), refinement=refinement)
        assert w.shape == (3, 2, 2, 8)
        assert totals.shape == (3, 2, 2)
        torch.testing.assert_close(totals[:, 0, 0], 1 + 0.03 * torch.tensor([0.0, 1, 4]).double(), rtol=0, atol=1e-2)
        assert float(defect(totals, 0).max()) < 1e-14
        assert least[0].tolist()[0] == 1.0
        assert 0 < float(w[2, 0, 0, 2] - 1) < 0.4  # the cell that the step lies in
