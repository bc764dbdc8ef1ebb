import pytest
import torch

from opnet.data.batch import ArrayDataset
from opnet.evaluation.evaluate import evaluate
from opnet.models.training_mean import TrainingMean
from opnet.spaces.grid import Grid
from opnet.training.model_file import load_model, save_model


def test_it_is_the_mean_on_every_grid(tmp_path):
    grid, fine = Grid((5, 6)), Grid((9, 11))
    slopes = torch.tensor([1.0, 2.0, 6.0], dtype=torch.float64).reshape(3, 1, 1, 1)
    model = TrainingMean(2, 1)
    model.adapt(torch.zeros(3, 2, 5, 6), slopes * grid.coordinates()[0] + 1, grid)
    expected = 3 * fine.coordinates()[0] + 1
    assert torch.allclose(model(torch.randn(2, 2, 9, 11, dtype=torch.float64), fine), expected.expand(2, 1, 9, 11))
    save_model(model, tmp_path / "mean")
    assert torch.equal(load_model(tmp_path / "mean").mean.values, model.mean.values)


def test_it_is_measured_in_its_own_precision():
    data = ArrayDataset(torch.zeros(2, 1, 4), torch.tensor([1.0, 3.0]).reshape(2, 1, 1).expand(2, 1, 4), Grid((4,)))
    model = TrainingMean(1, 1)
    model.adapt(data.inputs, data.targets, data.grid)
    assert evaluate(model.double(), data)[0].per_sample.tolist() == pytest.approx([1, 1 / 3])


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"TrainingMean: expected to have seen training data"):
        TrainingMean(1, 1)(torch.zeros(1, 1, 4))
    with pytest.raises(ValueError, match="TrainingMean: out_channels: expected at least 1, found 0"):
        TrainingMean(1, 0)
    for targets in (torch.zeros(3, 2, 4), torch.zeros(0, 1, 4)):
        with pytest.raises(ValueError, match="TrainingMean: targets: expected samples of 1 channels, found"):
            TrainingMean(1, 1).adapt(torch.zeros(3, 1, 4), targets, Grid((4,)))
