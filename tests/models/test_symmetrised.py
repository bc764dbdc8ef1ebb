import pytest
import torch

from opnet.models.base import Model
from opnet.models.fno import FNO
from opnet.models.symmetrised import Symmetrised
from opnet.spaces.grid import Grid
from opnet.spaces.symmetry import N_ELEMENTS, dihedral


def model():
    torch.manual_seed(0)
    return Symmetrised(FNO(1, 1, modes=(3, 3), width=4, layers=2, zero_boundary=True).double())


@pytest.mark.parametrize("nodes", ["cell", "vertex", "interior", "left"])
def test_it_commutes_with_the_group(nodes):
    grid = Grid((7, 7), nodes=nodes)
    inputs = torch.randn(2, 1, 7, 7, dtype=torch.float64)
    if nodes == "left":  # so that filling with the nearest value loses nothing
        inputs[..., 0, :] = inputs[..., 1, :]
        inputs[..., 0] = inputs[..., 1]
        inputs[..., 0, 0] = inputs[..., 1, 1]
    averaging = model().eval()
    outputs = averaging(inputs, grid)
    for g in range(N_ELEMENTS):
        turned = averaging(dihedral(inputs, grid, g, "edge"), grid)
        assert torch.allclose(turned, dihedral(outputs, grid, g, "zero")), g
    assert not torch.allclose(averaging.model(inputs, grid), outputs)


def test_an_equivariant_model_is_left_alone_and_training_does_not_average():
    grid = Grid((7, 7), nodes="cell")
    inputs = torch.randn(2, 1, 7, 7, dtype=torch.float64)
    twice = Symmetrised(model()).eval()
    assert torch.allclose(twice(inputs, grid), twice.model(inputs, grid))
    training = model().train()
    assert torch.equal(training(inputs, grid), training.model(inputs, grid))


def test_what_has_no_symmetry_is_refused():
    with pytest.raises(ValueError, match="expected a square"):
        model()(torch.zeros(1, 1, 7, 8, dtype=torch.float64))

    class OnGraphs(Model):
        domain = "graph"

    with pytest.raises(ValueError, match="expected an operator model on grids, found OnGraphs"):
        Symmetrised(OnGraphs())
