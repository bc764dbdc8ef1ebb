import pytest
import torch
from torch import nn

from opnet.data.batch import ArrayDataset, Batch
from opnet.evaluation.metrics import MSE, AbsoluteL2, RelativeL2
from opnet.evaluation.rollout import correlation, evaluate_rollout, unrolled
from opnet.graphs.graph import Graph
from opnet.linops.dense import Dense
from opnet.spaces.grid import Grid

GRID = Grid((16,), boundary="periodic")


class Waves(nn.Module):
    """From the last of `frames_in` frames of two channels, moved a node and multiplied, the `frames_out` next ones."""

    def __init__(self, factor=1.0, frames_out=1):
        super().__init__()
        self.factor, self.frames_out = factor, frames_out

    def forward(self, inputs, grid):
        frames = [inputs[:, -2:]]
        for _ in range(self.frames_out):
            frames.append(self.factor * torch.roll(frames[-1], 1, -1))
        return torch.cat(frames[1:], 1)


def trajectories(n=3, frames=7):
    """Waves of two channels that move by a node from frame to frame, at times 0, 1/2, 1, ..."""
    first = torch.randn(n, 2, 16, dtype=torch.float64)
    u = torch.stack([torch.roll(first, t, -1) for t in range(frames)], 1)
    return ArrayDataset(first, u, GRID, times=torch.arange(frames) / 2)


@pytest.mark.parametrize(("frames_in", "frames_out"), [(1, 1), (2, 1), (3, 2), (1, 4), (2, 9)])
def test_a_perfect_model_stays_perfect(frames_in, frames_out):
    data = trajectories()
    rollout = evaluate_rollout(
        Waves(frames_out=frames_out), data.rollouts(frames_in), (RelativeL2(), MSE()), batch_size=2
    )
    late = 7 - frames_in
    assert rollout.protocol == f"autoregressive: {frames_in} frames in, {frames_out} out at a time, {late} predicted"
    assert rollout.times.tolist() == [t / 2 for t in range(frames_in, 7)]
    assert {name: values.shape for name, values in rollout.errors.items()} == dict.fromkeys(
        ("RelativeL2", "MSE"), (3, late)
    )
    assert float(max(values.max() for values in rollout.errors.values())) == 0
    torch.testing.assert_close(rollout.correlation, torch.ones(3, late).double())
    assert rollout.correlation_times().tolist() == [3.0] * 3


def test_errors_grow_as_the_model_feeds_on_itself():
    rollout = evaluate_rollout(Waves(1.1), trajectories().rollouts(2))
    expected = torch.tensor([1.1**t - 1 for t in range(1, 6)], dtype=torch.float64)
    torch.testing.assert_close(rollout.errors["RelativeL2"], expected.expand(3, 5))
    torch.testing.assert_close(rollout.correlation, torch.ones(3, 5).double())


def test_unrolling_windows_ends_where_the_targets_do():
    data = trajectories()
    windows = data.windows(2, 3).all()
    torch.testing.assert_close(unrolled(Waves(), windows), windows.targets)
    torch.testing.assert_close(unrolled(Waves(frames_out=3), windows), windows.targets)
    with pytest.raises(
        ValueError, match="expected frames of 4 channels, found 4 channels in, 4 predicted and 6 wanted"
    ):
        unrolled(Waves(frames_out=2), windows)


def test_correlation_times_are_those_of_the_last_good_frame():
    class Drifts(Waves):
        """Loses its way at the fourth call, and the second sample at once."""

        def forward(self, inputs, grid):
            self.calls = getattr(self, "calls", 0) + 1
            out = super().forward(inputs, grid)
            out[1:2] *= -1
            return -out if self.calls == 5 else out  # the first call is for the protocol

    rollout = evaluate_rollout(Drifts(), trajectories().rollouts())
    assert rollout.start == 0
    assert rollout.correlation_times().tolist() == [1.5, 0.0, 1.5]
    assert rollout.correlation_times(-1.0).tolist() == [3.0] * 3


def test_what_blows_up_is_a_result():
    rollout = evaluate_rollout(Waves(1e150), trajectories().rollouts(), AbsoluteL2())
    errors = rollout.errors["AbsoluteL2"]
    assert torch.isfinite(errors[:, 0]).all()
    assert (errors[:, -1] == torch.inf).all()
    assert (rollout.correlation[:, -1] == 0).all()
    rows = rollout.records(model="Waves")
    assert [row["name"] for row in rows] == ["AbsoluteL2", *["share_not_finite"] * 5, "correlation_time"]
    assert rows[-2]["value"] == 1
    assert rows[-2]["of"] == "AbsoluteL2"


def test_records_say_when_and_how():
    rows = evaluate_rollout(Waves(1.1), trajectories().rollouts()).records(model="Waves", threshold=0.5)
    assert [row["case"] for row in rows] == [*(f"t = {t / 2:g}" for t in range(1, 7)), "correlation of at least 0.5"]
    assert {row["mode"] for row in rows} == {"autoregressive: 1 frames in, 1 out at a time, 6 predicted"}
    assert rows[1]["value"] == pytest.approx(0.21)
    assert rows[-1]["value"] == 3.0


def test_correlation_is_pearsons_by_the_quadrature():
    grid = Grid((5,))
    u, v = torch.randn(2, 3, 5).double(), torch.randn(2, 3, 5).double()
    w = grid.weights()
    a, b = (x - (x * w).sum(-1, keepdim=True) for x in (u, v))
    expected = (a * b * w).sum(-1) / ((a * a * w).sum(-1) * (b * b * w).sum(-1)).sqrt()
    torch.testing.assert_close(correlation(u, v, grid), expected)
    torch.testing.assert_close(correlation(3 - 2 * u, u, grid), -torch.ones(2, 3).double())
    assert correlation(torch.ones_like(u), u, grid).tolist() == [[0.0] * 3] * 2


def test_what_is_no_rollout_is_refused():
    data = trajectories()
    with pytest.raises(ValueError, match="dataset: expected rollouts such as"):
        evaluate_rollout(Waves(), data)
    with pytest.raises(ValueError, match="a positive batch_size, found 3 and 0"):
        evaluate_rollout(Waves(), data.rollouts(), batch_size=0)
    graph = Graph(Dense(torch.eye(4)))
    with pytest.raises(ValueError, match="unrolled: expected a batch on a Grid, found a Graph"):
        unrolled(Waves(), Batch(torch.ones(1, 4, 1), torch.ones(1, 4, 1), graph))
