import dataclasses

import pytest
import torch
from small_training import CONFIG, STEPS, data, model, weights
from torch import nn

from opnet.core.errors import SolveError, TrainingError
from opnet.data.batch import ArrayDataset
from opnet.evaluation.evaluate import measure
from opnet.evaluation.metrics import MSE, RelativeH1
from opnet.graphs.graph import Graph
from opnet.linops.dense import Dense
from opnet.models.graph_nde import GraphNDE
from opnet.spaces.grid import Grid
from opnet.training import batches
from opnet.training.config import FitConfig
from opnet.training.fit import fit


class Pointwise(nn.Module):
    """A pointwise layer with what makes training state: dropout and running means."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv1d(1, 1, 1)
        self.norm = nn.BatchNorm1d(1)
        self.dropout = nn.Dropout(0.2)

    def forward(self, inputs, grid=None):
        return self.dropout(self.norm(self.layer(inputs)))


def pointwise():
    torch.manual_seed(0)
    return Pointwise()


class Dirty(ArrayDataset):
    """A data set that nobody checked."""

    def __init__(self, whole, sample, value, what="targets"):
        super().__init__(whole.inputs.clone(), whole.targets.clone(), whole.domain)
        getattr(self, what)[sample, 0, 5] = value


def test_training_learns_and_tells():
    seen = []
    held_out = data(14).subset(range(10, 14))
    run = fit(
        model(),
        data(),
        config=dataclasses.replace(CONFIG, epochs=60),
        validation=held_out,
        progress=lambda *args: seen.append(args),
    )
    assert run.steps == 180 == len(seen)
    assert seen[-1][:2] == (180, 180)
    assert "epoch 60" in seen[-1][2]
    first, last = run.history[0], run.history[-1]
    assert last["loss"] < 0.6 * first["loss"]
    assert last["validation"] < 0.8 * first["validation"]
    assert last.keys() == {"epoch", "step", "loss", "validation", "learning_rate", "seconds"}
    assert (last["epoch"], last["step"]) == (60, 180)
    assert run.history[run.best_epoch - 1]["validation"] == min(row["validation"] for row in run.history)
    assert not run.model.training


def test_the_history_has_the_mean_over_samples_not_over_batches():
    config = FitConfig(epochs=2, batch_size=7, learning_rate=1e-30)
    start = model()
    run = fit(start, data(), config=config, loss=MSE())
    values = measure(start, data(), (MSE(),))[0]
    for row in run.history:
        assert row["loss"] == pytest.approx(float(values.mean()), rel=1e-6)
    assert run.best_epoch is None


@pytest.mark.parametrize("build", [model, pointwise])
def test_a_seed_gives_the_same_bytes_and_leaves_the_global_stream_alone(build):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = fit(build(), data(), config=CONFIG)
    torch.manual_seed(1)
    two_start = build()
    torch.rand(3)
    after_build = torch.get_rng_state()
    two = fit(two_start, data(), config=CONFIG)
    assert torch.equal(torch.get_rng_state(), after_build)
    assert not torch.equal(before, after_build)
    assert weights(one.model) == weights(two.model)
    other = fit(build(), data(), config=dataclasses.replace(CONFIG, seed=1))
    assert weights(other.model) != weights(one.model)


def test_reading_by_batch_gives_the_same_bytes(monkeypatch):
    one = fit(model(), data(), config=CONFIG)
    monkeypatch.setattr(batches, "MEMORY_LIMIT", 0)
    reads = []

    class Counted(ArrayDataset):
        def batch(self, indices):
            reads.append(len(indices))
            return super().batch(indices)

        def all(self):
            raise AssertionError("read whole")

    whole = data()
    two = fit(model(), Counted(whole.inputs, whole.targets, whole.domain), config=CONFIG)
    assert weights(one.model) == weights(two.model)
    assert reads == [1] + [4, 4, 2] * 4


def test_precision_and_schedule_are_used():
    run = fit(model(), data(), config=FitConfig(epochs=2, precision="float64", schedule="step", learning_rate=1e-2))
    assert {p.dtype for p in run.model.parameters()} == {torch.float64}
    assert [row["learning_rate"] for row in run.history] == [1e-2, 2.5e-3]


def test_clipping_bounds_the_gradient():
    start = {name: p.clone() for name, p in model().named_parameters()}
    huge = data()
    config = FitConfig(epochs=1, batch_size=10, gradient_clip=1e-12, learning_rate=1e-2)
    run = fit(model(), huge, config=config, loss=MSE())
    # Adam's eps of 1e-8 then dominates: steps of at most rate * 1e-12 / 1e-8.
    assert all((p - start[name]).abs().max() <= 2e-6 for name, p in run.model.named_parameters())


def test_augmentation_teaches_a_symmetric_task_nothing_wrong():
    grid = Grid((8, 8), nodes="left")
    inputs = torch.rand(8, 1, 8, 8)
    seen = []

    class Spy(nn.Module):
        def __init__(self):
            super().__init__()
            self.factor = nn.Parameter(torch.ones(()))

        def forward(self, fields, domain):
            seen.append(fields)
            return self.factor * fields

    dataset = ArrayDataset(inputs, 2 * inputs, grid)
    config = FitConfig(epochs=4, batch_size=8, augmentation="dihedral", learning_rate=1e-6)
    fit(Spy(), dataset, config=config)
    sums = {round(float(fields.sum()), 3) for fields in seen}
    assert len(sums) > 1
    with pytest.raises(ValueError, match="expected two axes, found 1"):
        fit(model(), data(), config=dataclasses.replace(CONFIG, augmentation="dihedral"))


class Decay(nn.Module):
    """x' = -rate x on a graph, solved exactly; fails on a negative start, as a solver might."""

    def __init__(self):
        super().__init__()
        self.rate = nn.Parameter(torch.zeros(()))

    def forward(self, graph, x0, ts):
        if (x0 < 0).any():
            raise SolveError("solve_ode: no", status=4, index=0, time=0.0)
        return torch.exp(-self.rate * ts)[None, :, None, None] * x0[:, None]


def trajectories(x0):
    ts = torch.linspace(0, 1, 4)
    targets = torch.exp(-2 * ts)[None, :, None, None] * x0[:, None]
    return ArrayDataset(x0, targets, Graph(Dense(torch.eye(6).roll(1, 0))), times=ts)


def test_trajectories_on_graphs_are_fitted():
    dataset = trajectories(torch.rand(8, 6, 2) + 0.5)
    run = fit(Decay(), dataset, config=FitConfig(epochs=100, batch_size=4, learning_rate=0.1))
    assert run.model.rate.item() == pytest.approx(2.0, abs=1e-2)


@pytest.mark.parametrize("limit", [0, 1 << 30])
def test_a_graph_goes_where_its_data_go(limit, monkeypatch):
    monkeypatch.setattr("opnet.training.batches.MEMORY_LIMIT", limit)
    dataset, config = trajectories(torch.rand(4, 6, 2) + 0.5), FitConfig(epochs=1, precision="float64")
    run = fit(GraphNDE((2, 3, 2)), dataset, config=config, validation=dataset)
    assert run.history[0]["validation"] > 0
    assert dataset.domain.shift.dtype == torch.float32


def test_a_solver_that_fails_names_the_sample():
    x0 = torch.rand(8, 6, 2) + 0.5
    x0[6] = -1
    with pytest.raises(TrainingError, match=r"step \d of 2 .*solve_ode: no; samples \[6\]"):
        fit(Decay(), trajectories(x0), config=FitConfig(epochs=1, batch_size=4))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 3e38])
@pytest.mark.parametrize("what", ["inputs", "targets"])
@pytest.mark.parametrize("build", [model, pointwise])
def test_one_bad_value_stops_at_its_step_and_poisons_nothing(tmp_path, build, what, value):
    start = build()
    dataset = Dirty(data(), 7, 0.0)
    getattr(dataset, what)[7, 0, 5] = value
    # The mean square overflows at 3e38, as does the gradient.
    folder = tmp_path if build is model else None
    with pytest.raises(TrainingError, match=r"fit: step \d of 12 \(epoch 1\).*samples \[7\] of the data set"):
        fit(start, dataset, config=CONFIG, loss=MSE(), folder=folder)
    assert all(torch.isfinite(v).all() for v in start.state_dict().values())
    assert all(p.grad is None for p in start.parameters())


def test_a_gradient_that_is_infinite_under_a_finite_loss_is_caught():
    class Root(nn.Module):
        def __init__(self):
            super().__init__()
            self.shift = nn.Parameter(torch.zeros(()))

        def forward(self, inputs, grid):
            return (inputs + self.shift).abs().sqrt() + 1

    dataset = Dirty(data(), 3, 0.0, "inputs")
    start = Root()
    with pytest.raises(TrainingError, match=r"step 1 of 1 .*: the norm of the gradient is .*samples \[3\]"):
        fit(start, dataset, config=FitConfig(epochs=1, batch_size=10))
    assert start.shift.item() == 0.0


@pytest.mark.parametrize("rate", [1e12, 1e30, 1e300])
def test_a_spiking_learning_rate_stops_before_any_weight_is_lost(rate, tmp_path):
    start = model(layers=4)
    with pytest.raises(TrainingError, match=r"fit: step \d+ of 36"):
        fit(
            start,
            data(),
            config=FitConfig(epochs=12, batch_size=4, learning_rate=rate, schedule="constant"),
            loss=MSE(),
            folder=tmp_path,
            checkpoint_seconds=0,
        )
    assert all(torch.isfinite(p).all() for p in start.parameters())
    from opnet.training.checkpoint import load_latest

    assert all(torch.isfinite(p).all() for p in load_latest(tmp_path).parameters())


def test_wrong_arguments_are_named(tmp_path):
    with pytest.raises(ValueError, match="expected an opnet Model to write checkpoints of, found Pointwise"):
        fit(pointwise(), data(), folder=tmp_path)
    with pytest.raises(ValueError, match="at least one sample"):
        fit(model(), data().subset([]))
    with pytest.raises(ValueError, match="parameters to train"):
        fit(nn.Identity(), data())
    whole = data()
    whole.inputs = torch.ones_like(whole.inputs, dtype=torch.long)
    with pytest.raises(ValueError, match=r"inputs of floating dtype, found torch.int64"):
        fit(model(), whole)


def test_shapes_that_would_broadcast_are_refused():
    class Squeezed(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Conv1d(1, 1, 1)

        def forward(self, inputs, grid):
            return self.layer(inputs)[:, 0]

    with pytest.raises(ValueError, match=r"one shape, found \(4, 16\) and \(4, 1, 16\)"):
        fit(Squeezed(), data(), config=CONFIG)


def test_other_losses_train():
    run = fit(model(), data(), loss=RelativeH1(), config=CONFIG)
    assert run.steps == STEPS
    assert run.history[-1]["loss"] < run.history[0]["loss"]
