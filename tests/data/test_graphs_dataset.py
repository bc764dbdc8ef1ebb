import pytest
import torch

from opnet.core.errors import SolveError, TrainingError
from opnet.data.batch import ArrayDataset, Batch
from opnet.data.graph_trajectories import graph_trajectories
from opnet.data.graphs_dataset import GraphsDataset
from opnet.evaluation.evaluate import evaluate
from opnet.evaluation.metrics import MSE, RelativeL2
from opnet.graphs.graphons import hsbm, tent
from opnet.models.graph_nde import GraphNDE
from opnet.solvers.pde.kuramoto import Kuramoto
from opnet.spaces.grid import Grid
from opnet.training.config import FitConfig
from opnet.training.fit import fit
from opnet.training.losses import mean_loss

TIMES = (0.0, 0.5, 1.0)


def trajectories(W, n, samples, times=TIMES, **options):
    return graph_trajectories(Kuramoto(), W, n, range(samples), times, **options)


@pytest.fixture(scope="module")
def parts():
    return [
        trajectories(tent(), 20, 3),
        trajectories(hsbm(2), 12, 2),
        trajectories(tent(), 30, 4, regime="random", seed=1),
    ]


@pytest.fixture(scope="module")
def data(parts):
    return GraphsDataset(parts)


def model():
    torch.manual_seed(0)
    return GraphNDE((2, 4, 2), solver={"method": "RK4", "step": 0.25})


def same(found: Batch, expected: Batch):
    assert torch.equal(found.inputs, expected.inputs)
    assert torch.equal(found.targets, expected.targets)
    assert torch.equal(found.domain.shift.to_dense(), expected.domain.shift.to_dense())
    assert torch.equal(found.times, expected.times)


def test_samples_keep_their_graphs_in_the_order_asked_for(data, parts):
    assert len(data) == 9
    batch = data.batch([8, 0, 4, 1, -1])
    assert len(batch) == 5
    assert batch.domain.sizes == (30, 20, 12, 20, 30)
    assert batch.index.tolist() == [8, 0, 4, 1, 8]
    for place, (part, row) in enumerate([(2, 3), (0, 0), (1, 1), (0, 1), (2, 3)]):
        same(batch.take(torch.tensor([place])), parts[part].batch([row]))
    assert batch.take(torch.tensor([2, 0])).index.tolist() == [4, 8]


def test_samples_of_one_graph_share_it(data, parts):
    batch = data.batch([4, 3])
    same(batch, parts[1].batch([1, 0]))
    assert batch.index.tolist() == [4, 3]


def test_the_gradient_is_the_mean_over_samples(data):
    gnde = model()
    alone = [mean_loss(RelativeL2(), gnde, data[i]) for i in (7, 2, 3)]
    wanted = torch.autograd.grad(sum(alone) / 3, list(gnde.parameters()))
    found = torch.autograd.grad(mean_loss(RelativeL2(), gnde, data.batch([7, 2, 3])), list(gnde.parameters()))
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_fit_trains_and_evaluate_measures_each_sample(data, parts, batch_size):
    gnde = model()
    before = evaluate(gnde, data)[0].per_sample
    run = fit(gnde, data, config=FitConfig(epochs=10, batch_size=batch_size, learning_rate=1e-2), validation=data)
    row = evaluate(gnde, data, batch_size=4)[0]
    assert row.mean < 0.5 * before.mean()
    assert row.resolution == (20, 12, 30)
    assert run.history[-1]["validation"] == pytest.approx(row.mean)
    torch.testing.assert_close(row.per_sample, torch.cat([evaluate(gnde, part)[0].per_sample for part in parts]))


def test_the_sample_that_fails_is_named(data, parts):
    bad = parts[1].in_memory()
    bad.inputs[1] = torch.inf
    both = GraphsDataset([parts[0], bad])
    with pytest.raises(TrainingError, match=r"samples \[4\] of the data set"):
        fit(model(), both, loss=MSE(), config=FitConfig(epochs=1, batch_size=5))

    class Blunt(torch.nn.Module):
        def forward(self, graph, x0, ts):
            return x0[:, None] + 0 * ts[:, None, None]

    with pytest.raises(SolveError, match="sample 4 of the data set is not finite"):
        evaluate(Blunt(), both, batch_size=3)


def test_subsets_statistics_and_error_bars(data, parts):
    some = data.subset([8, 0])
    assert some.batch([0, 1]).domain.sizes == (30, 20)
    assert torch.tensor(some.statistics()[0].scale).isfinite().all()
    assert data.discretisation_error is None
    barred = [ArrayDataset(p.inputs, p.targets, p.domain, times=p.times, residual=p.inputs[:, 0, 0]) for p in parts]
    assert GraphsDataset(barred).residual.shape == (9,)
    for part in barred:
        part.parameters = {"K": part.residual}
    assert torch.equal(GraphsDataset(barred).batch([6, 0]).parameters["K"], GraphsDataset(barred).residual[[6, 0]])


def test_what_does_not_fit_is_refused(data, parts):
    on_grid = ArrayDataset(torch.zeros(1, 1, 4), torch.zeros(1, 1, 4), Grid((4,), nodes="cell"))
    double = trajectories(tent(), 20, 1, dtype=torch.float64)
    for wrong, message in (
        ([], "at least one data set, found none"),
        ([parts[0], on_grid], r"parts\[1\].domain: expected a Graph, found an object of type Grid"),
        ([parts[0], double], "one dtype and device"),
        ([parts[0], trajectories(tent(), 20, 1, (0.0, 1.0))], r"parts\[1\]: expected times \[0.0, 0.5, 1.0\]"),
    ):
        with pytest.raises(ValueError, match=message):
            GraphsDataset(wrong)
    for call in (data.in_memory, data.rollouts, lambda: data.windows(1), lambda: data.subset([0]).windows(1)):
        with pytest.raises(ValueError, match="several graphs"):
            call()
    with pytest.raises(IndexError, match="below 9"):
        data.batch([9])
    twice = Batch(torch.zeros(2, 32, 2), torch.zeros(2, 3, 32, 2), data.batch([0, 3]).domain)
    with pytest.raises(ValueError, match="one signal on each graph"):
        twice.take(torch.tensor([0]))
