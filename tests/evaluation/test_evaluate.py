import pytest
import torch
from torch import nn

from opnet.core.errors import SolveError
from opnet.data.batch import ArrayDataset
from opnet.evaluation.evaluate import evaluate, measure
from opnet.evaluation.intervals import mean_interval
from opnet.evaluation.metrics import MSE, RelativeL2
from opnet.graphs.graph import Graph
from opnet.linops.dense import Dense
from opnet.spaces.grid import Grid
from opnet.spaces.streams import stream


class Scale(nn.Module):
    """u = factor * a, with a dropout that must be off."""

    def __init__(self, factor):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))
        self.dropout = nn.Dropout(0.5)
        self.shapes = []

    def forward(self, inputs, grid=None):
        assert tuple(inputs.shape[2:]) == grid.shape
        self.shapes.append(tuple(inputs.shape))
        return self.dropout(inputs * self.factor)


def data(n=7, grid=None):
    grid = grid or Grid((8,), nodes="cell")
    inputs = torch.from_numpy(stream(0, 1).normal(size=(n, 2, *grid.shape)))
    return ArrayDataset(inputs, inputs.clone(), grid)


def test_rows_carry_mean_interval_and_samples():
    model, dataset = Scale(1.1), data()
    row, mse = evaluate(model, dataset, (RelativeL2(), MSE()), batch_size=3)
    assert [shape[0] for shape in model.shapes] == [3, 3, 1]
    assert row.mean == pytest.approx(0.1, rel=1e-5)
    assert row.per_sample.shape == (7,)
    assert row.per_sample.dtype == torch.float64
    assert mse.low < mse.mean < mse.high
    (alone,) = evaluate(model, dataset, MSE(), batch_size=3)
    assert (alone.metric, alone.mean) == ("MSE", mse.mean)
    record = mse.record(model="Scale", seed=0)
    assert record["name"] == "MSE"
    assert record["value"] == mse.mean
    assert (record["low"], record["high"]) == (mse.low, mse.high)
    assert record["resolution"] == [8]
    assert record["inference"] == "native"
    assert "case" not in record


def test_batch_size_changes_nothing_and_modes_come_back():
    model, dataset = Scale(0.5), data()
    model.train()
    model.dropout.eval()
    one, all_at_once = (measure(model, dataset, (RelativeL2(),), batch_size=size)[0] for size in (1, 100))
    torch.testing.assert_close(one, all_at_once)
    assert model.training
    assert not model.dropout.training
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(("nodes", "fine", "coarse"), [("left", 32, 16), ("vertex", 33, 17), ("interior", 31, 15)])
def test_subsampling_meets_the_coarse_nodes_and_interpolates_back(nodes, fine, coarse):
    grid = Grid((fine, fine), nodes=nodes)
    x, y = grid.coordinates()
    field = (torch.sin(3 * torch.pi * x) * torch.sin(2 * torch.pi * y))[None, None]
    model = Scale(1.0)
    row = evaluate(
        model, ArrayDataset(field, field, grid), inference="subsample_interpolate", resolution=coarse, batch_size=5
    )[0]
    assert model.shapes == [(1, 1, coarse, coarse)]
    assert row.mean < 1e-5
    assert (row.low, row.high) == (None, None)
    assert row.record()["case"] == f"inferred at {coarse}x{coarse}"
    assert row.record()["inference"] == "subsample_interpolate"
    assert "low" not in row.record()


def test_cells_are_met_by_odd_strides():
    grid = Grid((9,), nodes="cell")
    dataset = ArrayDataset(grid.axis(0)[None, None], grid.axis(0)[None, None], grid)
    seen = []

    class Spy(nn.Module):
        def forward(self, inputs, domain):
            seen.append((inputs, domain))
            return inputs

    evaluate(Spy(), dataset, inference="subsample_interpolate", resolution=3)
    torch.testing.assert_close(seen[0][0][0, 0], seen[0][1].axis(0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inference": "nearest"}, "expected one of native, subsample_interpolate, found 'nearest'"),
        ({"resolution": 4}, "expected with 'subsample_interpolate' and only there, found 4"),
        ({"inference": "subsample_interpolate"}, "found None"),
        (
            {"inference": "subsample_interpolate", "resolution": 4},
            "expected what a stride leaves of 8 cell nodes on axis 0, found 4",
        ),
        ({"inference": "subsample_interpolate", "resolution": 5}, "a stride leaves of 8 .*, found 5"),
        ({"batch_size": 0}, "batch_size: expected at least 1"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        evaluate(Scale(1.0), data(), **arguments)


def test_sine_interpolation_needs_a_dirichlet_boundary():
    with pytest.raises(ValueError, match="Dirichlet boundary"):
        evaluate(
            Scale(1.0),
            data(grid=Grid((8,), boundary="periodic")),
            inference="subsample_interpolate",
            resolution=4,
        )


def test_a_prediction_that_is_not_finite_is_named():
    dataset = data()
    dataset.inputs[5, 1, 2] = 1e300  # overflows to infinity in float32
    with pytest.raises(SolveError, match="sample 5 of the data set") as caught:
        evaluate(Scale(1.0), dataset, batch_size=2)
    assert caught.value.index == 5


def test_trajectories_on_graphs_are_predicted_from_their_times():
    class Still(nn.Module):
        def forward(self, graph, x0, ts):
            return x0[:, None].expand(-1, len(ts), -1, -1)

    start = torch.rand(3, 4, 2) + 1
    targets = start[:, None].expand(-1, 5, -1, -1) * 2
    dataset = ArrayDataset(start, targets, Graph(Dense(torch.eye(4))), times=torch.linspace(0, 1, 5))
    row = evaluate(Still(), dataset)[0]
    assert row.mean == pytest.approx(0.5)
    assert row.resolution == (4,)


def test_the_interval_covers_the_mean_about_as_often_as_it_says():
    hits = 0
    for seed in range(200):
        _, low, high = mean_interval(torch.from_numpy(stream(1, seed).exponential(size=60)), resamples=400)
        hits += low <= 1 <= high
    assert 175 <= hits <= 199
    values = torch.rand(10, generator=torch.Generator().manual_seed(0))
    assert mean_interval(values) == mean_interval(values)
