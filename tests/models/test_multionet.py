import pytest
import torch

from opnet.models.multionet import MultiONet
from opnet.spaces.grid import Grid


def double(*arguments, **options):
    torch.manual_seed(0)
    return MultiONet(*arguments, **options).double()


def test_the_answer_is_the_mean_of_the_answers_of_all_layers():
    model = double(2, 3, (5,), (6, 9, 12), activation="tanh")
    torch.nn.init.normal_(model.bias)
    a, x = torch.randn(2, 2, 5, dtype=torch.float64), torch.rand(7, 1, dtype=torch.float64)
    b1 = torch.tanh(model.branch[0](a.flatten(1)))
    b2 = torch.tanh(model.branch[1](b1))
    t1 = torch.tanh(model.trunk[0](x))
    t2 = torch.tanh(model.trunk[1](t1))
    pairs = [(b1, t1), (b2, t2), (model.branch[2](b2), torch.tanh(model.trunk[2](t2)))]
    for k in range(3):
        layers = []
        for b, t in pairs:
            mine = slice(k * b.shape[1] // 3, (k + 1) * b.shape[1] // 3)
            layers.append((b[:, None, mine] * t[:, mine]).sum(-1))
        assert torch.allclose(model(a, points=x)[:, k], sum(layers) / 3 + model.bias[k])


def test_points_answer_as_the_nodes():
    grid = Grid((6, 5), nodes="left")
    model = double(1, 2, (4, 4), (8, 4), zero_boundary=True, fourier_features=2)
    a, points = torch.randn(3, 1, 6, 5, dtype=torch.float64), grid.coordinates().flatten(1).T
    at_nodes = model(a, grid).flatten(2)
    assert torch.allclose(model(a, grid, points), at_nodes)
    assert torch.allclose(model(a, grid, points.expand(3, *points.shape)), at_nodes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"widths": ()}, "MultiONet: widths: expected one or more positive multiples of 2"),
        ({"widths": (4, 5)}, r"MultiONet: widths: .* multiples of 2, the output channels, found \(4, 5\)"),
        ({"fourier_features": -1}, "MultiONet: fourier_features: expected at least 0, found -1"),
        ({"activation": "none"}, "unknown activation 'none'"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        MultiONet(**{"in_channels": 1, "out_channels": 2, "sensors": (5,), "widths": (4,), **arguments})
