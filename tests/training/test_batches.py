import dataclasses

import pytest
import torch
from small_training import CONFIG, data

from opnet.data.batch import ArrayDataset
from opnet.graphs.graph import Graph
from opnet.linops.dense import Dense
from opnet.spaces.grid import Grid
from opnet.training.batches import TrainingBatches


def epoch(batches, number):
    return torch.cat([batches.batch(number, step).index for step in range(batches.per_epoch)]).tolist()


def test_every_epoch_sees_every_sample_once_in_an_order_of_its_own():
    batches = TrainingBatches(data(), CONFIG)
    assert batches.per_epoch == 3
    orders = [epoch(batches, number) for number in range(4)]
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    assert epoch(batches, 1) == orders[1]
    assert epoch(TrainingBatches(data(), dataclasses.replace(CONFIG, seed=1)), 0) != orders[0]


def test_samples_keep_their_names_in_the_whole_data_set():
    batches = TrainingBatches(data().subset([8, 3, 5]), CONFIG)
    batch = batches.batch(0, 0)
    assert sorted(batch.index.tolist()) == [3, 5, 8]
    for sample, values in zip(batch.index, batch.inputs, strict=True):
        assert torch.equal(values, data().inputs[sample])


def test_input_and_target_are_turned_alike():
    grid = Grid((6, 6), nodes="cell")
    fields = torch.rand(20, 1, 6, 6)
    config = dataclasses.replace(CONFIG, augmentation="dihedral", batch_size=1)
    batches = TrainingBatches(ArrayDataset(fields, 2 * fields, grid), config)
    turned = set()
    for step in range(20):
        batch = batches.batch(0, step)
        assert torch.equal(batch.targets, 2 * batch.inputs)
        whole = fields[batch.index]
        turned.add(next(k for k in range(8) if torch.equal(batch.inputs, _turn(whole, k))))
        assert torch.equal(batches.batch(0, step).inputs, batch.inputs)
    assert len(turned) >= 5


def _turn(fields, element):
    flipped = fields.flip([2 + axis for axis in (0, 1) if element >> axis & 1])
    return flipped.transpose(2, 3) if element & 4 else flipped


def test_the_description_tells_data_apart(monkeypatch):
    one = TrainingBatches(data(), CONFIG).describe()
    assert one == TrainingBatches(data(), CONFIG).describe()
    changed = data()
    changed.targets[9, 0, 3] += 1e-4
    assert TrainingBatches(changed, CONFIG).describe() != one
    monkeypatch.setattr("opnet.training.batches.MEMORY_LIMIT", 0)
    assert TrainingBatches(changed, CONFIG).describe() != TrainingBatches(data(), CONFIG).describe()


def test_graphs_are_not_turned():
    signals = torch.rand(3, 4, 1)
    dataset = ArrayDataset(signals, signals[:, None], Graph(Dense(torch.eye(4))), times=torch.zeros(1))
    assert TrainingBatches(dataset, CONFIG).describe()["domain"] == {"nodes": 4}
    with pytest.raises(ValueError, match="'dihedral' expects data on a Grid, found a Graph"):
        TrainingBatches(dataset, dataclasses.replace(CONFIG, augmentation="dihedral"))
