from math import pi

import torch

from opnet.models.blocks.trunk import Trunk, position_features


def test_features_are_the_position_and_waves_along_every_axis():
    x = torch.rand(5, 2, dtype=torch.float64)
    found = position_features(x, 3)
    assert found.shape == (5, 2 * (1 + 2 * 3))
    waves = [f(pi * k * x[:, i]) for f in (torch.cos, torch.sin) for i in range(2) for k in (1, 2, 3)]
    assert torch.allclose(found, torch.stack([x[:, 0], x[:, 1], *waves], 1))
    assert position_features(x, 0) is x


def test_the_last_layer_is_activated():
    torch.manual_seed(0)
    trunk, x = Trunk(2, (6, 4), "relu", fourier_features=2), torch.rand(3, 50, 2)
    assert torch.equal(trunk(x), torch.relu(trunk.mlp(position_features(x, 2))))
    assert trunk(x).min().item() == 0
