import pytest
import torch

from opnet.models.unet import UNet
from opnet.spaces.grid import Grid


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_one_to_three_dimensions_of_any_size(dim):
    model = UNet(2, 3, dim, width=2, levels=2)
    for shape in ((4, 4, 4), (9, 6, 5)):
        assert model(torch.randn(2, 2, *shape[:dim])).shape == (2, 3, *shape[:dim])


def test_the_kind_of_side_is_seen():
    torch.manual_seed(0)
    model, a = UNet(1, 1, 1, width=4, levels=2), torch.randn(1, 1, 16)
    answers = [model(a, Grid((16,), boundary=kind, nodes="cell")) for kind in ("periodic", "dirichlet", "neumann")]
    assert not any(torch.allclose(u, v) for u, v in zip(answers, answers[1:] + answers[:1], strict=True))


def test_far_nodes_are_seen_through_the_coarse_levels():
    torch.manual_seed(0)
    a = torch.zeros(1, 1, 33, dtype=torch.float64, requires_grad=True)
    deep = UNet(1, 1, 1, width=4, levels=3).double()
    for norm in [m for m in deep.modules() if isinstance(m, torch.nn.GroupNorm)]:
        norm.forward = lambda v: v  # which sees all nodes
    reached = torch.autograd.grad(deep(a)[0, 0, 16], a)[0][0, 0].nonzero()
    assert int(reached.min()) == 0
    assert int(reached.max()) == 32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"in_channels": 0}, "UNet: in_channels: expected at least 1, found 0"),
        ({"out_channels": 0}, "UNet: out_channels: expected at least 1, found 0"),
        ({"dim": 4}, "UNet: dim: expected 1, 2 or 3, found 4"),
        ({"dim": 0}, "UNet: dim: expected at least 1, found 0"),
        ({"width": 0}, "UNet: width: expected at least 1, found 0"),
        ({"levels": 0}, "UNet: levels: expected at least 1, found 0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        UNet(**{"in_channels": 1, "out_channels": 1, **arguments})


def test_a_grid_too_small_for_the_levels_is_refused():
    with pytest.raises(ValueError, match=r"levels: expected at most 2 on a grid of \(16, 7\) nodes, found 3"):
        UNet(1, 1, width=2)(torch.zeros(1, 1, 16, 7))
