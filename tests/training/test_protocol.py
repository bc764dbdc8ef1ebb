from dataclasses import replace

import pytest
import torch
from small_training import model, weights

from opnet.data.batch import ArrayDataset
from opnet.evaluation.metrics import MSE
from opnet.graphs.graph import Graph
from opnet.linops.dense import Dense
from opnet.models.graph_nde import GraphNDE
from opnet.spaces.grid import Grid
from opnet.training.config import FitConfig
from opnet.training.fit import fit
from opnet.training.protocol import RolloutTraining, noisy, pushed_forward

GRID = Grid((16,), boundary="periodic")
CONFIG = FitConfig(epochs=3, batch_size=4, learning_rate=1e-2)


def trajectories(n=4, frames=6):
    first = torch.sin(2 * torch.pi * GRID.axis(0) * (1 + torch.arange(n)[:, None])).float()[:, None]
    u = torch.stack([torch.roll(first, t, -1) for t in range(frames)], 1)
    return ArrayDataset(first, u, GRID, times=torch.arange(frames).float())


def test_pushforward_learns_the_last_step_from_the_models_own():
    net, batch = model(), trajectories().windows(1, 3).all()
    once = net(batch.inputs, GRID)
    pushed = pushed_forward(net, batch, 2)
    torch.testing.assert_close(pushed.inputs, net(once, GRID))
    assert not pushed.inputs.requires_grad
    assert torch.equal(pushed.targets, batch.targets[:, 2:])


def test_pushforward_keeps_the_true_frames_that_are_still_in_the_window():
    class Last(torch.nn.Module):
        def forward(self, inputs, grid):
            return 10 * inputs[:, -1:]

    batch = trajectories().windows(3, 2).all()
    pushed = pushed_forward(Last(), batch, 1)
    assert torch.equal(pushed.inputs, torch.cat([batch.inputs[:, 1:], 10 * batch.inputs[:, -1:]], 1))
    with pytest.raises(ValueError, match=r"pushforward: expected targets of 3 predictions, .* found 2 channels"):
        pushed_forward(Last(), batch, 2)


def test_noise_is_a_share_of_each_channel():
    batch = trajectories(n=200).windows(1, 1).all()
    batch = replace(batch, inputs=torch.cat([batch.inputs, 100 * batch.inputs], 1))
    added = noisy(batch, 0.1).inputs - batch.inputs
    sizes = added.square().mean((0, 2)).sqrt() / batch.inputs.square().mean((0, 2)).sqrt()
    torch.testing.assert_close(sizes, torch.tensor([0.1, 0.1]), rtol=0.02, atol=0)
    assert noisy(batch, 0.1).targets is batch.targets


def test_teacher_forcing_changes_nothing():
    batch = trajectories().windows(1, 1).all()
    assert RolloutTraining().prepared(model(), batch) is batch


@pytest.mark.parametrize("options", [{"noise": 0.05}, {"pushforward": 1}, {"noise": 0.05, "pushforward": 1}])
def test_training_is_reproducible_and_resumed_and_another_for_each_protocol(options, tmp_path):
    windows = trajectories().windows(1, 1 + options.get("pushforward", 0))
    rollouts = RolloutTraining(**options)
    first, second, other = model(), model(), model()
    run = fit(first, windows, config=CONFIG, rollouts=rollouts, validation=windows)
    torch.rand(3)
    fit(second, windows, config=CONFIG, rollouts=rollouts, folder=tmp_path)
    fit(other, trajectories().windows(1, 1), config=CONFIG)
    assert weights(first) == weights(second) != weights(other)
    assert run.history[-1]["loss"] < run.history[0]["loss"]
    with pytest.raises(ValueError, match=r"rollouts.noise: expected 0.5, found"):
        fit(second, windows, config=CONFIG, rollouts=replace(rollouts, noise=0.5), folder=tmp_path)


def test_validation_follows_the_model_over_all_frames():
    windows, net = trajectories().windows(1, 3), model()
    run = fit(net, windows, config=CONFIG, rollouts=RolloutTraining(pushforward=2), loss=MSE(), validation=windows)
    batch, frames = windows.all(), []
    with torch.no_grad():
        for _ in range(3):
            frames.append(net(frames[-1] if frames else batch.inputs, GRID))
    expected = (torch.cat(frames, 1) - batch.targets).square().mean()
    assert run.history[-1]["validation"] == pytest.approx(float(expected), rel=1e-5)


def test_runs_say_how_they_were_trained():
    data = trajectories()
    for rollouts, windows, said in (
        (RolloutTraining(), data.windows(2, 1), "frames [0, 1] to [2] of 4 starts a trajectory; teacher forcing"),
        (
            RolloutTraining(noise=0.01),
            data.windows(2, 1),
            "frames [0, 1] to [2] of 4 starts a trajectory; teacher forcing; noise 0.01",
        ),
        (RolloutTraining(), data.windows(2, 1).in_memory(), "one-shot"),
    ):
        net = torch.nn.Module()
        net.scale, net.forward = (
            torch.nn.Parameter(torch.ones(())),
            lambda inputs, grid, m=net: m.scale * inputs[:, -1:],
        )
        assert fit(net, windows, config=replace(CONFIG, epochs=1), rollouts=rollouts).protocol == said


def test_graphs_and_whole_trajectories_are_refused():
    graph = Graph(Dense(torch.eye(4)))
    times = torch.linspace(0, 1, 3)
    data = ArrayDataset(torch.ones(2, 4, 1), torch.ones(2, 3, 4, 1), graph, times=times)
    for options in ({"noise": 0.1}, {"pushforward": 1}):
        with pytest.raises(ValueError, match="fit: rollouts: expected data on a Grid"):
            fit(GraphNDE((1, 2, 1)), data, config=CONFIG, rollouts=RolloutTraining(**options))
    with pytest.raises(ValueError, match=r"fit: rollouts: expected windows such as .* found trajectories"):
        fit(model(), trajectories(), config=CONFIG, rollouts=RolloutTraining(pushforward=1))


@pytest.mark.parametrize(("name", "value"), [("noise", -0.1), ("noise", float("nan")), ("pushforward", -1)])
def test_numbers_out_of_range_are_refused(name, value):
    with pytest.raises(ValueError, match=rf"RolloutTraining.{name}: expected .* found"):
        RolloutTraining(**{name: value})
