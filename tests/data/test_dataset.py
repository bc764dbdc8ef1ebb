from dataclasses import replace

import numpy as np
import pytest
import torch
from damage import write_darcy_files
from killed_generation import RECIPE
from torch.utils.data import DataLoader

from opnet.core.errors import DataError
from opnet.data.batch import ArrayDataset, as_batch
from opnet.data.dataset import open_dataset
from opnet.data.generate import generate
from opnet.data.graph_trajectories import graph_trajectories
from opnet.data.recipe import DataRecipe
from opnet.graphs.graphons import tent
from opnet.solvers.pde.advection import Advection
from opnet.solvers.pde.kuramoto import Kuramoto
from opnet.spaces.fields.sine_waves import SineWaves
from opnet.spaces.grid import Grid


def test_a_store_opens_as_splits(tmp_path):
    store = generate(replace(RECIPE, error_share=0.5), tmp_path)
    splits = open_dataset(tmp_path)
    assert (len(splits.train), len(splits.test), len(splits.at(32))) == (20, 4, 4)
    assert splits.resolutions == (16, 32)
    assert splits.test is splits.at(16)
    assert splits.digest == store.digest
    assert splits.provenance["equation"] == RECIPE.problem.equation
    assert splits.provenance["recipe"]["problem"]["class"] == "SinePoisson"
    assert "share of 0.5" in splits.notes[0]
    with pytest.raises(ValueError, match=r"resolution: expected one of \[16, 32\], found 64"):
        splits.at(64)
    with pytest.raises(ValueError, match="expected no options, as for any store, found problem"):
        open_dataset(tmp_path, problem="darcy")


def test_an_unfinished_store_is_refused(tmp_path):
    def interrupt(done, total, message=""):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(RECIPE, tmp_path, progress=interrupt)
    with pytest.raises(DataError, match="expected 20 samples of train at 16, found 4; run the generation again"):
        open_dataset(tmp_path)


def test_a_foreign_folder_is_recognised_by_its_names(tmp_path):
    write_darcy_files(tmp_path)
    assert open_dataset(tmp_path, train_resolution=4).resolutions == (4, 8)


def test_what_cannot_be_opened_says_what_was_expected(tmp_path):
    with pytest.raises(DataError, match=r"expected a store \(manifest\.json\) or the files of one format of"):
        open_dataset(tmp_path)
    with pytest.raises(DataError, match="found no folder"):
        open_dataset(tmp_path / "absent")
    with pytest.raises(ValueError, match=r"unknown format 'neuraloperater' .did you mean 'neuraloperator'"):
        open_dataset(tmp_path, format="neuraloperater")
    with pytest.raises(ValueError, match=r"format neuraloperator: .* unexpected keyword argument 'resolution'"):
        open_dataset(tmp_path, format="neuraloperator", resolution=4)


def test_resampled_data_lie_on_the_coarse_grid(tmp_path):
    problem = Advection(times=(0.0, 0.5), initial=SineWaves(max_mode=3))
    generate(DataRecipe(problem=problem, n_train=3, n_test=1, train_resolution=32, dtype="float64"), tmp_path)
    fine = open_dataset(tmp_path).train
    coarse = fine.resampled(8, ("stride", "spectral")).batch([1, 2])
    assert coarse.domain == fine.grid.resized(8)
    torch.testing.assert_close(coarse.inputs, fine.batch([1, 2]).inputs[..., ::4])
    torch.testing.assert_close(coarse.targets, fine.batch([1, 2]).targets[..., ::4])
    assert torch.equal(fine.resampled(8).discretisation_error, fine.discretisation_error)


def test_statistics_of_batches_are_those_of_the_whole(monkeypatch):
    values = 1e6 + torch.randn(50, 2, 8, dtype=torch.float64)
    data = ArrayDataset(values, values, Grid((8,), nodes="cell"))
    monkeypatch.setattr("opnet.data.batch.STATISTICS_VALUES", 7 * 2 * 16)
    read, batch = [], data.batch
    monkeypatch.setattr(data, "batch", lambda indices: (read.append(list(indices)), batch(indices))[1])
    inputs, targets = data.statistics()
    assert [i for part in read for i in part] == list(range(50))
    assert max(map(len, read)) == 7
    channels = values.transpose(0, 1).flatten(1)
    torch.testing.assert_close(torch.tensor(inputs.shift, dtype=torch.float64), channels.mean(1))
    torch.testing.assert_close(
        torch.tensor(inputs.scale, dtype=torch.float64), channels.std(1, correction=0), rtol=1e-9, atol=0
    )
    torch.testing.assert_close(torch.tensor(targets.scale, dtype=torch.float64), channels.square().mean(1).sqrt())
    assert targets.shift == (0.0, 0.0)


def test_on_a_graph_every_feature_has_its_statistics():
    data = graph_trajectories(Kuramoto(), tent(), 5, range(2), (0.0, 0.5))
    inputs, targets = data.statistics()
    expected = data.inputs.flatten(0, 1).double()
    torch.testing.assert_close(torch.tensor(inputs.shift, dtype=torch.float64), expected.mean(0))
    assert len(targets.scale) == data.targets.shape[-1]


def test_views_are_read_into_memory_and_know_their_frames(tmp_path):
    problem = Advection(times=(0.0, 0.5, 1.0), initial=SineWaves(max_mode=3))
    generate(DataRecipe(problem=problem, n_train=4, n_test=1, train_resolution=32, dtype="float64"), tmp_path)
    view = open_dataset(tmp_path).train.subset([3, 1]).resampled(8)
    samples, frames = np.array([1, 0]), np.array([[2, 0], [1, 2]])
    expected = view.all().targets[torch.from_numpy(samples)[:, None], torch.from_numpy(frames)]
    torch.testing.assert_close(view.frames(samples, frames), expected)
    held = view.windows(1, 1).in_memory()
    assert torch.equal(held.targets, view.windows(1, 1).all().targets)
    assert torch.equal(view.in_memory().discretisation_error, view.discretisation_error)
    assert torch.equal(view.in_memory().times, view.times)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_data_loader_reads_whole_batches(tmp_path, workers):
    generate(DataRecipe(problem=Advection(), n_train=10, n_test=1, train_resolution=16, shard_size=4), tmp_path)
    data = open_dataset(tmp_path).train
    loader = DataLoader(data, batch_size=4, collate_fn=as_batch, num_workers=workers)
    batches = list(loader)
    assert [len(batch.inputs) for batch in batches] == [4, 4, 2]
    assert torch.equal(torch.cat([batch.targets for batch in batches]), data.all().targets)
    assert torch.cat([batch.index for batch in batches]).tolist() == list(range(10))
    assert data[3].inputs.shape == (1, 1, 16)
