import pickle

import pytest
import torch
from fault_injection import flip_bit
from killed_generation import RECIPE
from torch.utils.data import DataLoader

from opnet.core.errors import DataError
from opnet.data.generate import generate
from opnet.data.recipe import TEST_OFFSET
from opnet.data.store import Store
from opnet.data.store_dataset import StoreDataset


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("store")
    generate(RECIPE, path)
    return path


@pytest.fixture
def train(folder):
    return StoreDataset(Store.open(folder), "train", 16)


def test_batches_are_the_problems_samples_in_the_order_asked(train):
    order = [17, 0, 3, 4, 17, -1]
    batch = train.batch(order)
    expected = RECIPE.problem.sample(0, [17, 0, 3, 4, 17, 19], 16)
    assert torch.equal(batch.inputs, expected.inputs.float())
    assert torch.equal(batch.targets, expected.targets.float())
    assert batch.index.tolist() == [17, 0, 3, 4, 17, 19]
    assert batch.domain == RECIPE.problem.grid(16)
    assert torch.equal(train.batch(torch.tensor([5])).inputs, train.all().inputs[5:6])
    assert len(train.batch([]).inputs) == 0


def test_test_samples_are_the_same_at_every_resolution(folder):
    store = Store.open(folder)
    coarse, fine = (StoreDataset(store, "test", n) for n in (16, 32))
    assert coarse.stream_index.tolist() == fine.stream_index.tolist() == [TEST_OFFSET + i for i in range(4)]
    assert (fine.discretisation_error < coarse.discretisation_error).all()


def test_numbers_of_each_sample_follow_into_memory_and_subsets(train):
    assert train.residual.shape == train.discretisation_error.shape == (20,)
    assert float(train.residual.max()) < 1e-12
    held = train.in_memory()
    assert torch.equal(held.batch([7]).targets, train.batch([7]).targets)
    part = train.subset([3, 1])
    for name in ("discretisation_error", "residual"):
        assert torch.equal(getattr(held, name), getattr(train, name))
        assert torch.equal(getattr(part, name), getattr(train, name)[[3, 1]])
    assert torch.equal(part.all().inputs, train.batch([3, 1]).inputs)


class Reading(torch.utils.data.Dataset):
    def __init__(self, data):
        self.data = data

    def __len__(self):
        return len(self.data)

    def __getitems__(self, indices):
        batch = self.data.batch(indices)
        return batch.index, batch.inputs


def test_forked_workers_read_the_same_samples(train):
    train.all()
    loader = DataLoader(Reading(train), batch_size=6, num_workers=2, collate_fn=lambda batch: batch)
    for index, inputs in loader:
        assert torch.equal(inputs, train.batch(index).inputs)


def test_a_pickled_data_set_keeps_what_was_verified(train):
    train.all()
    copy = pickle.loads(pickle.dumps(train))
    assert torch.equal(copy.all().inputs, train.all().inputs)
    assert copy.store._shards.keys() == train.store._shards.keys()


@pytest.mark.parametrize("index", [20, -21])
def test_positions_outside_are_refused(train, index):
    with pytest.raises(IndexError, match="expected positions below 20"):
        train.batch([0, index])


def test_a_split_that_is_not_there_is_named(folder):
    with pytest.raises(DataError, match="samples of train at 32, found 0"):
        StoreDataset(Store.open(folder), "train", 32)


def test_damage_after_the_first_read_is_noticed_by_the_files_status(tmp_path):
    generate(RECIPE, tmp_path)
    data = StoreDataset(Store.open(tmp_path), "train", 16)
    data.all()
    flip_bit(tmp_path / "shards/train-16-00008.h5", 8 * 2000)
    with pytest.raises(DataError, match=r"train-16-00008\.h5: expected sha256"):
        data.all()


def test_memory_is_read_into_again(tmp_path):
    data = StoreDataset(generate(RECIPE, tmp_path), "train", 16)
    first = data.batch([3, 17, 5])
    again = data.batch([1, 0, 19], out=first)
    assert again.targets.data_ptr() == first.targets.data_ptr()
    assert torch.equal(again.targets, StoreDataset(data.store, "train", 16).batch([1, 0, 19]).targets)
    with pytest.raises(ValueError, match="out: inputs: expected a batch of 2 of this data set"):
        data.batch([0, 1], out=first)
