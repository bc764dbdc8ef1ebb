import pytest
import torch

from opnet.models.deeponet import DeepONet
from opnet.models.mionet import MIONet
from opnet.spaces.grid import Grid


def double(*arguments, **options):
    torch.manual_seed(0)
    return MIONet(*arguments, **options).double()


def test_the_answer_is_the_sum_of_products_of_all_networks():
    model = double(3, 2, (5,), (6, 4), (7, 4), functions=(2, 1))
    torch.nn.init.normal_(model.bias)
    a, x = torch.randn(2, 3, 5, dtype=torch.float64), torch.rand(6, 1, dtype=torch.float64)
    b = model.branches[0](a[:, :2].flatten(1)) * model.branches[1](a[:, 2])
    t = model.trunk(x)
    for k in range(2):
        mine = slice(4 * k, 4 * k + 4)
        assert torch.allclose(model(a, points=x)[:, k], (b[:, None, mine] * t[:, mine]).sum(-1) + model.bias[k])


def test_with_linear_branches_it_is_linear_in_each_function():
    model = double(2, 1, (5, 5), (4,), (8, 4))
    f, g, h = torch.randn(3, 1, 1, 5, 5, dtype=torch.float64)
    for part in model.branches:
        torch.nn.init.zeros_(part.get_parameter("0.bias"))

    def answer(first, second):
        return model(torch.cat([first, second], 1))

    assert torch.allclose(answer(2 * f + g, h), 2 * answer(f, h) + answer(g, h))
    assert torch.allclose(answer(h, 2 * f + g), 2 * answer(h, f) + answer(h, g))


def test_with_one_function_it_is_the_deep_operator_network():
    grid = Grid((6, 5), nodes="left")
    one = double(2, 3, (4, 4), (8, 4), (8, 4), functions=(2,), zero_boundary=True, fourier_features=2)
    other = DeepONet(2, 3, (4, 4), (8, 4), (8, 4), zero_boundary=True, fourier_features=2).double()
    other.load_state_dict({k.replace("branches", "branch").replace("trunk", "trunk.0"): v
                           for k, v in one.state_dict().items()})  # fmt: skip
    a = torch.randn(2, 2, 6, 5, dtype=torch.float64)
    assert torch.allclose(one(a, grid), other(a, grid))
    points = torch.rand(2, 7, 2, dtype=torch.float64)
    assert torch.allclose(one(a, grid, points), other(a, grid, points))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"functions": (2, 2)}, r"MIONet: functions: expected positive numbers of 3 channels together, found \(2, 2\)"),
        ({"functions": (3, 0)}, "MIONet: functions: expected positive"),
        ({"functions": ()}, "MIONet: functions: expected positive"),
        ({"branch": (4, 5)}, "MIONet: branch, trunk: expected the same last width, found 5 and 4"),
        ({"activation": "none"}, "unknown activation 'none'"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        MIONet(**{"in_channels": 3, "out_channels": 1, "sensors": (5,), "branch": (4,), "trunk": (4,), **arguments})
