import pytest
import torch

from opnet.models.resnet import ResNet
from opnet.spaces.grid import Grid


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_one_to_three_dimensions_of_any_size(dim):
    model = ResNet(2, 3, dim, width=2, blocks=1)
    for shape in ((4, 4, 4), (9, 6, 5)):
        assert model(torch.randn(2, 2, *shape[:dim])).shape == (2, 3, *shape[:dim])


def test_it_commutes_with_shifts_on_periodic_boxes():
    torch.manual_seed(0)
    model = ResNet(1, 2, width=4, blocks=2, dilations=(1, 3)).double()
    grid = Grid((6, 7), boundary="periodic")
    a = torch.randn(2, 1, 6, 7, dtype=torch.float64)
    assert torch.allclose(model(a.roll((2, 3), (2, 3)), grid), model(a, grid).roll((2, 3), (2, 3)))


def test_dilations_reach_further():
    def reach(dilations):
        torch.manual_seed(0)
        model = ResNet(1, 1, 1, width=3, blocks=1, dilations=dilations).double()
        for block in model.blocks:
            block.norms = torch.nn.ModuleList(torch.nn.Identity() for _ in dilations)  # a norm sees all nodes
        a = torch.zeros(1, 1, 41, dtype=torch.float64, requires_grad=True)
        return int((torch.autograd.grad(model(a)[0, 0, 20], a)[0][0, 0].nonzero() - 20).abs().max())

    assert (reach((1, 1)), reach((1, 2, 4, 2, 1))) == (2, 10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"in_channels": 0}, "ResNet: in_channels: expected at least 1, found 0"),
        ({"out_channels": 0}, "ResNet: out_channels: expected at least 1, found 0"),
        ({"dim": 4}, "ResNet: dim: expected 1, 2 or 3, found 4"),
        ({"width": 0}, "ResNet: width: expected at least 1, found 0"),
        ({"blocks": 0}, "ResNet: blocks: expected at least 1, found 0"),
        ({"dilations": ()}, "ResNet: dilations: expected at least one positive number"),
        ({"dilations": (1, 0)}, "ResNet: dilations: expected at least one positive number"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        ResNet(**{"in_channels": 1, "out_channels": 1, **arguments})


def test_a_grid_smaller_than_the_dilations_is_refused():
    with pytest.raises(ValueError, match=r"dilations: expected at most 7 on a grid of \(16, 7\) nodes, found 8"):
        ResNet(1, 1, width=2, dilations=(8,))(torch.zeros(1, 1, 16, 7))
