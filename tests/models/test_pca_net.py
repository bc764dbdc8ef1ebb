from math import pi

import pytest
import torch

from opnet.data.batch import ArrayDataset
from opnet.evaluation.evaluate import evaluate
from opnet.models.base import build_model
from opnet.models.normalised import Normalised
from opnet.models.pca_net import PCANet
from opnet.models.symmetrised import Symmetrised
from opnet.spaces.grid import Grid
from opnet.spaces.pod import pod
from opnet.spaces.statistics import ChannelStatistics
from opnet.training.config import FitConfig
from opnet.training.fit import fit
from opnet.training.model_file import load_model, save_model


def data(n, samples=64, nodes="vertex"):
    """Cosine sums to what a linear operator makes of them: three dimensions to three."""
    grid = Grid((n,), nodes=nodes)
    x = grid.axis(0)
    waves = torch.stack([torch.cos(pi * k * x) for k in range(1, 4)])
    c = torch.randn(samples, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    inputs = c @ waves + 2
    targets = (c * torch.tensor([1.0, -0.5, 0.2])) @ waves + x
    return ArrayDataset(inputs[:, None], targets[:, None], grid)


def adapted(**options):
    torch.manual_seed(0)
    train = data(17)
    model = PCANet(1, 1, 3, 3, **options).double()
    model.adapt(train.inputs, train.targets, train.grid)
    return model, train


def test_bases_are_the_pod_of_the_training_data():
    model, train = adapted(hidden=(8,))
    basis = pod(train.inputs, train.grid, 3)
    assert torch.allclose(model.inputs.values[0], basis.mean)
    assert torch.allclose(model.inputs.values[1:], basis.modes)
    assert torch.allclose(model.input_scale, basis.singular_values)
    assert torch.allclose(model.output_scale, pod(train.targets, train.grid, 3).singular_values)
    assert {name for name, _ in model.named_parameters()} == {
        f"network.{i}.{p}" for i in (0, 2) for p in ("weight", "bias")
    }


def test_a_linear_operator_is_learned_and_read_on_other_grids():
    model, train = adapted(hidden=())
    fit(
        model,
        train,
        config=FitConfig(epochs=30, batch_size=16, learning_rate=0.05, precision="float64", weight_decay=0),
    )
    assert evaluate(model, train)[0].mean < 1e-3
    for nodes, n in (("vertex", 33), ("cell", 40)):
        assert evaluate(model, data(n, nodes=nodes))[0].mean < 0.03
    assert evaluate(model, data(9))[0].mean < 0.05


def test_without_training_data_there_is_no_answer():
    with pytest.raises(ValueError, match=r"PCANet: expected to have seen training data: call adapt\("):
        PCANet(1, 1, 3, 3)(torch.zeros(1, 1, 8))


def test_bases_travel_with_the_weights(tmp_path):
    model, train = adapted(hidden=(8,))
    assert PCANet(1, 1).config["grid"] is None
    assert model.config["grid"] == train.grid.describe()
    again = build_model(model.config).double()
    again.load_state_dict(model.state_dict())
    for wrapped in (model, Normalised(model, *train.statistics()).double()):
        save_model(wrapped, tmp_path / "model.safetensors")
        loaded = load_model(tmp_path / "model.safetensors")
        assert torch.equal(loaded(train.inputs, train.grid), wrapped(train.inputs, train.grid))


def test_wrapped_models_adapt_to_what_they_are_given():
    train = data(17)
    statistics = ChannelStatistics((2.0,), (0.5,))
    inner = PCANet(1, 1, 2, 2)
    Normalised(inner, statistics, ChannelStatistics((0.0,), (2.0,))).adapt(train.inputs, train.targets, train.grid)
    assert torch.allclose(inner.inputs.values[0].double(), ((train.inputs - 2) / 0.5).mean(0), atol=1e-6)
    assert torch.allclose(inner.outputs.values[0].double(), (train.targets / 2).mean(0), atol=1e-6)
    square = torch.randn(4, 1, 6, 6)
    inner = PCANet(1, 1, 2, 2)
    Symmetrised(inner).adapt(square, square, Grid((6, 6), nodes="cell"))
    assert torch.allclose(inner.inputs.values[0], square.mean(0), atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"in_channels": 0}, "PCANet: in_channels: expected at least 1, found 0"),
        ({"out_channels": 0}, "PCANet: out_channels: expected at least 1, found 0"),
        ({"input_rank": 0}, "PCANet: input_rank: expected at least 1, found 0"),
        ({"output_rank": 0}, "PCANet: output_rank: expected at least 1, found 0"),
        ({"hidden": (8, 0)}, "PCANet: hidden: expected positive integers"),
        ({"activation": "selu"}, "unknown activation 'selu'"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        PCANet(**{"in_channels": 1, "out_channels": 1, **arguments})


def test_training_data_that_do_not_fit_are_refused():
    train = data(17)
    with pytest.raises(ValueError, match="PCANet: input_rank: expected 1 to 3, what the 64 functions span, found 4"):
        PCANet(1, 1, 4, 3).adapt(train.inputs, train.targets, train.grid)
    with pytest.raises(ValueError, match="PCANet: output data: expected 2 channels, found 1"):
        PCANet(1, 2, 3, 3).adapt(train.inputs, train.targets, train.grid)
    model, _ = adapted()
    with pytest.raises(ValueError, match="grid: expected at least 3 values a function, one a mode, found 2"):
        model(torch.zeros(1, 1, 2, dtype=torch.float64))
