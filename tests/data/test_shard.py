import hashlib

import h5py
import numpy as np
import pytest

from opnet.core.errors import DataError
from opnet.data.shard import ARRAYS, ShardEntry, VerifiedShard, describe_arrays, encode_shard


def arrays(**changes):
    chance = np.random.default_rng(0)
    values = {"inputs": chance.random((3, 1, 5), "f4"), "targets": chance.random((3, 2, 5), "f4")}
    series = {"residual": chance.random(3), "discretisation_error": np.array([0.1, np.nan, 0.3])}
    return {**values, **series, "index": np.arange(3), **changes}


def write(path, values):
    content = encode_shard(values)
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    return ShardEntry(path.name, "train", 5, 0, 3, **describe_arrays(values), bytes=len(content), sha256=digest)


def test_the_same_arrays_make_the_same_bytes_and_h5py_reads_them(tmp_path):
    assert encode_shard(arrays()) == encode_shard(arrays())
    write(tmp_path / "a.h5", arrays())
    with h5py.File(tmp_path / "a.h5") as file:
        assert sorted(file) == sorted(ARRAYS)
        for name, values in arrays().items():
            assert np.array_equal(file[name][...], values, equal_nan=True)
            assert file[name].fletcher32
        assert file["inputs"].chunks == (1, 1, 5)


def test_samples_are_read_by_row_into_any_position(tmp_path):
    shard = VerifiedShard(tmp_path / "a.h5", write(tmp_path / "a.h5", arrays()))
    out = np.zeros((4, 2, 5), "f4")
    shard.read_into([2, 0], [1, 3], {"targets": out})
    assert np.array_equal(out[[1, 3]], arrays()["targets"][[2, 0]])
    assert not out[[0, 2]].any()
    assert np.array_equal(shard.whole("discretisation_error"), [0.1, np.nan, 0.3], equal_nan=True)


def test_values_that_are_not_finite_are_named(tmp_path):
    values = arrays()
    values["targets"][1, 0, 3] = np.nan
    with pytest.raises(DataError, match=r"a\.h5: targets: expected finite values, found NaN or Inf in sample 1"):
        VerifiedShard(tmp_path / "a.h5", write(tmp_path / "a.h5", values))


def test_shapes_and_types_are_those_of_the_entry(tmp_path):
    entry = write(tmp_path / "a.h5", arrays())
    entry.shapes["inputs"] = [3, 1, 4]
    with pytest.raises(DataError, match=r"inputs: expected \(\(3, 1, 4\), 'float32'\), found \(\(3, 1, 5\)"):
        VerifiedShard(tmp_path / "a.h5", entry)
