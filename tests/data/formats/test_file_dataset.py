import h5py
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import opnet.data.formats.file_dataset as file_dataset
from opnet.core.errors import DataError
from opnet.data.formats.array_file import HDF5File, MemoryFile
from opnet.data.formats.file_dataset import Channels, Concatenated, FileDataset
from opnet.data.formats.foreign_file import ForeignFile
from opnet.data.formats.layout import Layout
from opnet.spaces.grid import Grid

GRID = Grid((3, 4))
# axes as stored -> how to make them from (n, t, x, y, c)
ORDERS = {"ntxyc": (0, 1, 2, 3, 4), "cyxtn": (4, 3, 2, 1, 0), "xncty": (2, 0, 4, 1, 3)}


@pytest.fixture
def values():
    return np.random.default_rng(0).random((7, 5, 3, 4, 2), dtype=np.float32)


def source(path, arrays, kind):
    with h5py.File(path, "w") as file:
        for name, stored in arrays.items():
            file.create_dataset(name, data=stored, chunks=kind == "chunked" or None)
    file = ForeignFile.hashed(path)
    return MemoryFile(file, arrays) if kind == "memory" else HDF5File(file)


@pytest.mark.parametrize("axes", ORDERS)
@pytest.mark.parametrize("kind", ["memory", "contiguous", "chunked"])
@pytest.mark.parametrize("dtype", ["f4", ">f8", "i2"])
def test_channels_are_frames_of_components_whatever_the_order_stored(tmp_path, values, axes, kind, dtype):
    scaled = (100 * values).astype(dtype)
    stored = np.ascontiguousarray(scaled.transpose(ORDERS[axes]))
    opened = source(tmp_path / "x.h5", {"u": stored}, kind)
    channels = Channels(opened, ("u",), Layout(axes, stored.shape), (4, 1))
    data = FileDataset([channels], [channels], GRID, 7)
    expected = scaled[:, [4, 1]].transpose(0, 1, 4, 2, 3).reshape(7, 4, 3, 4).astype("f4")
    for index in ([0, 1, 2], [6, 2, 3, 2, -7], np.arange(7)):
        np.testing.assert_array_equal(data.batch(index).inputs.numpy(), expected[index])


def test_what_does_not_vary_is_spread(tmp_path, values):
    arrays = {"u": values[:, 0, :, :, 0], "profile": values[0, 0, 0, :, 0], "column": values[:, 0, :, 0, 0]}
    opened = source(tmp_path / "x.h5", arrays, "contiguous")
    layouts = {"u": "nxy", "profile": "y", "column": "nx"}
    channels = [Channels(opened, (key,), Layout(axes, arrays[key].shape)) for key, axes in layouts.items()]
    inputs = FileDataset(channels, channels[:1], GRID, 7).batch([5, 2]).inputs.numpy()
    for row, sample in enumerate((5, 2)):
        np.testing.assert_array_equal(inputs[row, 1], np.tile(arrays["profile"], (3, 1)))
        np.testing.assert_array_equal(inputs[row, 2], np.tile(arrays["column"][sample][:, None], (1, 4)))


def test_long_runs_are_read_in_blocks(tmp_path, values, monkeypatch):
    monkeypatch.setattr(file_dataset, "_LARGEST_BLOCK", 50)
    opened = source(tmp_path / "x.h5", {"u": values}, "contiguous")
    channels = Channels(opened, ("u",), Layout("ntxyc", values.shape))
    data = FileDataset([channels], [channels], GRID, 7)
    np.testing.assert_array_equal(data.all().inputs.numpy(), values[:, 0].transpose(0, 3, 1, 2))
    assert len(data._buffer) <= 50


def test_values_that_are_not_finite_are_named(tmp_path, values):
    for bad, dtype in ((np.nan, "f4"), (1e300, "f8")):
        stored = values[..., 0, 0, 0].astype(dtype)[..., None].repeat(3, 2)
        stored[4, 2, 1] = bad
        opened = source(tmp_path / "x.h5", {"u": stored}, "contiguous")
        channels = Channels(opened, ("u",), Layout("ntx", stored.shape), (2,))
        data = FileDataset([channels], [channels], Grid((3,)), 7)
        assert len(data.batch([0, 3, 5]).inputs) == 3
        with pytest.raises(DataError, match=r"x\.h5: u: expected finite values \(in float32\), found NaN or Inf in"):
            data.batch([5, 4])
        with pytest.raises(DataError, match="sample 4"):
            data.all()


def test_workers_read_the_same_samples(tmp_path, values):
    opened = source(tmp_path / "x.h5", {"u": values}, "chunked")
    channels = Channels(opened, ("u",), Layout("ntxyc", values.shape))
    data = FileDataset([channels], [channels], GRID, 7)
    data.all()

    class Reading(torch.utils.data.Dataset):
        def __len__(self):
            return 7

        def __getitems__(self, indices):
            batch = data.batch(indices)
            return batch.index, batch.inputs

    for index, inputs in DataLoader(Reading(), batch_size=3, num_workers=2, collate_fn=lambda batch: batch):
        assert torch.equal(inputs, data.batch(index).inputs)


def test_parts_on_one_domain_are_one_data_set(tmp_path, values):
    parts = []
    for i, rows in enumerate((slice(0, 2), slice(2, 7))):
        opened = source(tmp_path / f"{i}.h5", {"u": values[rows]}, "contiguous")
        channels = Channels(opened, ("u",), Layout("ntxyc", values[rows].shape))
        numbers = torch.arange(7.0)[rows]
        parts.append(FileDataset([channels], [channels], GRID, len(values[rows]), {"nu": numbers}))
    data = Concatenated(parts)
    batch = data.batch([6, 0, 2, 1, -1])
    expected = values[[6, 0, 2, 1, 6], 0].transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(batch.targets.numpy(), expected)
    assert batch.parameters["nu"].tolist() == [6, 0, 2, 1, 6] == batch.index.tolist()
    assert len(data.batch([]).inputs) == 0
