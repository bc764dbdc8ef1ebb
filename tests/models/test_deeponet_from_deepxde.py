import io
from contextlib import redirect_stdout
from itertools import pairwise

import pytest
import torch
from torch import nn

from opnet.models.deeponet_from_deepxde import deeponet_from_deepxde

SENSORS = (4, 5)


def network(*sizes):
    return nn.ModuleDict({"linears": nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))})


def state(branch=(20, 7, 6), trunk=(2, 8, 6), outputs=1):
    net = nn.ModuleDict({"branch": network(*branch), "trunk": network(*trunk)})
    return {**net.state_dict(), **{f"b.{k}": torch.tensor(0.5 + k) for k in range(outputs)}}


@pytest.fixture
def deepxde(monkeypatch):
    monkeypatch.setenv("DDE_BACKEND", "pytorch")
    with redirect_stdout(io.StringIO()):
        module = pytest.importorskip("deepxde")
    yield module
    torch.set_default_device("cpu")


@pytest.mark.parametrize(
    ("strategy", "branch", "trunk", "outputs"),
    [
        (None, (40, 9, 6), (2, 8, 6), 1),
        ("independent", (40, 9, 6), (2, 8, 6), 3),
        ("split_both", (40, 9, 6), (2, 8, 6), 3),
        ("split_branch", (40, 9, 6), (2, 8, 2), 3),
        ("split_trunk", (40, 9, 2), (2, 8, 6), 3),
    ],
    ids=str,
)
def test_outputs_equal_those_of_deepxde(deepxde, strategy, branch, trunk, outputs):
    torch.manual_seed(0)
    a, x = torch.randn(5, 2, *SENSORS), torch.rand(7, 2)
    options = {"num_outputs": outputs, "multi_output_strategy": strategy}
    product = deepxde.nn.DeepONetCartesianProd(branch, trunk, "tanh", "Glorot normal", **options)
    aligned = deepxde.nn.DeepONet(branch, trunk, "tanh", "Glorot normal", **options)
    for net in (product, aligned):
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        model = deeponet_from_deepxde(net.state_dict(), SENSORS, activation="tanh", outputs=strategy or "split_both")
        if net is product:
            found, expected = model(a, points=x), net((a.flatten(1), x)).reshape(5, 7, outputs).transpose(1, 2)
        else:
            found, expected = model(a, points=x[:5, None])[..., 0], net((a.flatten(1), x[:5]))
        assert torch.allclose(found, expected, atol=1e-6)


def test_widths_and_channels_are_read_off_the_weights():
    model = deeponet_from_deepxde(state(), SENSORS, activation="relu", sensor_nodes="vertex")
    assert model.config == {
        "class": "DeepONet", "in_channels": 1, "out_channels": 1, "sensors": [4, 5],
        "sensor_nodes": ["vertex", "vertex"], "branch": [7, 6], "trunk": [8, 6], "outputs": "split_both",
        "stacked": False, "activation": "relu", "fourier_features": 0, "zero_boundary": False,
    }  # fmt: skip
    assert float(model.bias.detach()) == 0.5


@pytest.mark.parametrize(
    ("entries", "options", "message"),
    [
        ({"b.0": None}, {}, "state: expected the biases 'b.0'"),
        ({"trunk.linears.0.bias": None}, {}, "state: expected an entry 'trunk.linears.0.bias'"),
        ({"merger.weight": torch.zeros(1)}, {}, "state: expected weights of branch and trunk alone, .* merger.weight"),
        ({"b.1": torch.zeros(())}, {"outputs": "split_branch"}, "expected the same last width, found 3 and 6"),
        ({"b.1": torch.zeros(())}, {"outputs": "independent"}, "expected fully connected layers 'branch.linears.0"),
        ({}, {"sensors": (3, 5)}, "sensors: expected 2 axes and a divisor of 20 sensors"),
        ({}, {"sensors": (20,)}, "sensors: expected 2 axes"),
        ({"trunk.linears.0.bias": torch.zeros(9)}, {}, r"state: expected trunk weights \(8,\) .* found \(9,\)"),
    ],
)
def test_weights_of_something_else_are_refused(entries, options, message):
    given = {k: v for k, v in {**state(), **entries}.items() if v is not None}
    with pytest.raises(ValueError, match=message):
        deeponet_from_deepxde(given, options.pop("sensors", SENSORS), activation="relu", **options)
