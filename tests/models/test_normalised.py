import pytest
import torch

from opnet.models.base import Model
from opnet.models.deeponet import DeepONet
from opnet.models.normalised import Normalised
from opnet.spaces.grid import Grid
from opnet.spaces.statistics import ChannelStatistics


class Echo(Model):
    domain = "grid"

    def __init__(self):
        super().__init__()
        self.arguments = {}

    def forward(self, inputs, grid=None):
        self.seen = inputs
        return inputs


def test_the_model_inside_sees_order_one_and_the_world_physical_units():
    echo = Echo()
    model = Normalised(echo, ChannelStatistics((2.0,), (4.0,)), ChannelStatistics((1.0,), (10.0,)))
    answer = model(torch.full((1, 1, 3), 6.0))
    assert echo.seen.tolist() == [[[1.0, 1.0, 1.0]]]
    assert answer.tolist() == [[[11.0, 11.0, 11.0]]]


def test_statistics_follow_the_dtype_of_the_values():
    model = Normalised(Echo(), ChannelStatistics((0.0,), (3.0,)), ChannelStatistics((0.0,), (1.0,))).double()
    assert model(torch.ones(1, 1, 2, dtype=torch.float64)).dtype == torch.float64
    with pytest.raises(ValueError, match=r"inputs: expected floating-point values, found torch.int64"):
        model(torch.ones(1, 1, 2, dtype=torch.int64))


def test_points_reach_the_model_inside():
    grid = Grid((6,), extent=((0, 2),))
    model = Normalised(
        DeepONet(1, 1, (6,), (4,), (4,)), ChannelStatistics((2.0,), (4.0,)), ChannelStatistics((1.0,), (10.0,))
    )
    inputs, points = torch.randn(3, 1, 6), grid.coordinates(torch.float32).T
    assert torch.allclose(model(inputs, grid, points=points), model(inputs, grid), atol=1e-5)
