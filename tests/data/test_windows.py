import pickle

import numpy as np
import pytest
import torch

from opnet.data.batch import ArrayDataset
from opnet.data.dataset import open_dataset
from opnet.data.generate import generate
from opnet.data.graph_trajectories import graph_trajectories
from opnet.data.recipe import DataRecipe
from opnet.graphs.graphons import tent
from opnet.solvers.pde.advection import Advection
from opnet.solvers.pde.kuramoto import Kuramoto
from opnet.spaces.grid import Grid

GRID = Grid((4,), boundary="periodic")


@pytest.fixture
def data():
    """Sample s at frame t in channel c is 100 s + 10 t + c everywhere."""
    s, t, c = torch.arange(3.0), torch.arange(7.0), torch.arange(2.0)
    u = 100 * s[:, None, None, None] + 10 * t[:, None, None] + c[:, None] + torch.zeros(4)
    return ArrayDataset(u[:, 0], u, GRID, times=t / 2)


def test_windows_are_frames_as_channels(data):
    pairs = data.windows(2, 3, stride=2)
    assert len(pairs) == 3 * 2
    batch = pairs.batch([0, 1, 5])
    assert batch.inputs[:, :, 0].tolist() == [[0, 1, 10, 11], [20, 21, 30, 31], [220, 221, 230, 231]]
    assert batch.targets[0, :, 0].tolist() == [20, 21, 30, 31, 40, 41]
    assert batch.times is None
    assert pairs.description == "frames [0, 1] to [2, 3, 4] of 2 starts a trajectory"


def test_windows_may_skip_frames(data):
    pairs = data.windows(2, 1, every=3)
    assert len(pairs) == 3
    assert pairs.batch([1]).inputs[0, ::2, 0].tolist() == [100, 130]
    assert pairs.batch([-1]).targets[0, :, 0].tolist() == [260, 261]


def test_a_map_between_frames(data):
    batch = data.frame_map(1, -1).batch([2])
    assert batch.inputs[0, :, 0].tolist() == [210, 211]
    assert batch.targets[0, :, 0].tolist() == [260, 261]


def test_rollouts_keep_the_later_frames_and_their_times(data):
    batch = data.rollouts(2).batch([1])
    assert batch.inputs[0, :, 0].tolist() == [100, 101, 110, 111]
    assert batch.targets.shape == (1, 5, 2, 4)
    assert batch.times.tolist() == [1.0, 1.5, 2.0, 2.5, 3.0]


def test_features_of_nodes_are_cut_alike():
    data = graph_trajectories(Kuramoto(), tent(), 5, range(2), (0.0, 0.5, 1.0))
    batch = data.windows(2, 1).batch([1])
    assert batch.inputs.shape == (1, 5, 4)
    assert torch.equal(batch.inputs[..., 2:], data.targets[1:, 1])
    assert torch.equal(batch.targets, data.targets[1:, 2])


def test_a_store_reads_only_the_frames_that_are_asked_for(tmp_path):
    problem = Advection(times=tuple(0.1 * i for i in range(6)))
    generate(DataRecipe(problem=problem, n_train=5, n_test=1, train_resolution=8, shard_size=2), tmp_path)
    data = open_dataset(tmp_path).train
    targets = data.all().targets
    samples, frames = np.array([4, 0, 3]), np.array([[0, 1], [3, 5], [2, 0]])
    expected = targets[torch.from_numpy(samples)[:, None], torch.from_numpy(frames)]
    assert torch.equal(data.frames(samples, frames), expected)
    pairs = data.windows(1, 1)
    assert torch.equal(pairs.all().inputs, targets[:, :-1].flatten(0, 1))
    assert torch.equal(pickle.loads(pickle.dumps(pairs)).batch([3]).targets, pairs.batch([3]).targets)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: d.windows(7, 1), "windows: expected frames from 0 to 6"),
        (lambda d: d.windows(0, 1), "windows: frames_in: expected at least 1, found 0"),
        (lambda d: d.rollouts(7), "rollouts: expected 1 to 6 frames in, found 7"),
        (lambda d: d.frame_map(0, 7), "windows: expected frames from 0 to 6"),
    ],
    ids=range(4),
)
def test_frames_that_are_not_there_are_refused(data, call, message):
    with pytest.raises(ValueError, match=message):
        call(data)


@pytest.mark.parametrize("view", [lambda d: d, lambda d: d.windows(2, 1), lambda d: d.rollouts()], ids=range(3))
def test_samples_that_are_not_there_are_refused(data, view):
    seen = view(data)
    first, last = seen.batch([0]).inputs, seen.batch([len(seen) - 1]).inputs
    assert torch.equal(seen.batch([-len(seen), -1]).inputs, torch.cat([first, last]))
    for index in (len(seen), -len(seen) - 1):  # such a one must not be another sample's
        with pytest.raises(IndexError, match=f"indices: expected positions below {len(seen)}, found {index}"):
            seen.batch([index])
    for indices in (torch.tensor([0.5]), torch.tensor([True, False])):  # nor a mask be taken for positions
        with pytest.raises(ValueError, match="indices: expected integers, found"):
            seen.batch(indices)


def test_samples_without_times_have_no_windows():
    still = ArrayDataset(torch.zeros(2, 1, 4), torch.zeros(2, 1, 4), GRID)
    with pytest.raises(ValueError, match="expected trajectories, found samples without times"):
        still.windows(1, 1)
