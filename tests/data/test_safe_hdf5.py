import h5py
import numpy as np
import pytest
from fault_injection import flip_bit
from hostile_hdf5 import SHAPE, TRICKS, gzip, write_hostile

from opnet.core.errors import DataError
from opnet.data.safe_hdf5 import checked_dataset, locate_arrays, open_hdf5


@pytest.fixture
def outside(tmp_path):
    path = tmp_path / "outside.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("inputs", data=np.ones(SHAPE, "f4"))
    return path


@pytest.mark.parametrize("trick", [trick for trick in TRICKS if trick is not gzip], ids=lambda trick: trick.__name__)
def test_tricks_are_refused_by_file_and_key(tmp_path, outside, trick):
    path = tmp_path / "hostile.h5"
    write_hostile(path, trick, outside)
    with open_hdf5(path) as file, pytest.raises(DataError, match=r"hostile\.h5: inputs: expected"):
        checked_dataset(file, "inputs")


@pytest.mark.parametrize(
    "key", ["far/inputs", "far/../inputs", "near/inputs", "", "/", "sound/./x", "sound//x", "sound"]
)
def test_every_component_of_a_path_is_checked(tmp_path, outside, key):
    path = tmp_path / "links.h5"
    with h5py.File(path, "w") as file:
        file["far"] = h5py.ExternalLink(str(outside), "/")
        file.create_dataset("sound/x", data=np.ones(3))
        file["near"] = h5py.SoftLink("/sound")
    with open_hdf5(path) as file:
        assert checked_dataset(file, "sound/x").shape == (3,)
        with pytest.raises(DataError, match=r"links\.h5"):
            checked_dataset(file, key)


def test_compression_that_is_no_bomb_is_admitted_but_not_located(tmp_path, outside):
    path = tmp_path / "gzip.h5"
    write_hostile(path, gzip, outside)
    with open_hdf5(path) as file:
        assert checked_dataset(file, "inputs").shape == SHAPE
    with pytest.raises(DataError, match="inputs: expected chunks stored plainly"):
        locate_arrays(path, ["inputs"])


def test_located_bytes_are_the_values(tmp_path):
    path = tmp_path / "values.h5"
    fields, series = np.random.default_rng(0).random((5, 2, 3)), np.arange(5)
    with h5py.File(path, "w") as file:
        file.create_dataset("fields", data=fields, chunks=(1, 2, 3), fletcher32=True)
        file.create_dataset("series", data=series, chunks=(5,))
    found, content = locate_arrays(path, ["fields", "series"]), path.read_bytes()
    for sample, offset in enumerate(found["fields"].offsets):
        assert content[offset : offset + 48] == fields[sample].tobytes()
    assert content[found["series"].offsets[0] :][:40] == series.tobytes()
    assert (found["fields"].rows, found["series"].rows) == (1, 5)


@pytest.mark.parametrize(
    ("values", "chunks"),
    [(np.zeros((4, 4)), (2, 2)), (np.zeros((5, 2)), (2, 2)), (np.zeros(4, ">f8"), (4,)), (np.zeros(4), None)],
)
def test_layouts_that_cannot_be_read_directly_are_refused(tmp_path, values, chunks):
    path = tmp_path / "layout.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=values, chunks=chunks)
    with pytest.raises(DataError, match="x: expected"):
        locate_arrays(path, ["x"])


def test_what_is_no_hdf5_is_a_data_error(tmp_path):
    path = tmp_path / "text.h5"
    path.write_text("no HDF5")
    with pytest.raises(DataError, match="expected a readable HDF5 file"), open_hdf5(path):
        pass
    with h5py.File(path, "w") as file:
        file["x"] = np.zeros(3)
    flip_bit(path, 3)
    with pytest.raises(DataError, match="expected a readable HDF5 file"), open_hdf5(path):
        pass
