import h5py
import numpy as np
import pytest

from opnet.core.errors import DataError
from opnet.data.formats.hdf5_metadata import array, attribute, check_text, checked_group, members, shape_of
from opnet.data.safe_hdf5 import open_hdf5


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "outside.h5", "w") as outside:
        outside["group/x"] = np.ones(3)
    with h5py.File(tmp_path / "x.h5", "w") as sound:
        sound["group/inner/x"] = np.arange(3)
        sound["mask"] = np.array([True, False])
        sound["table"] = np.ones((2, 2))
        sound["scalar"] = 1.5
        sound.create_dataset("colour", data=[0, 1], dtype=h5py.enum_dtype({"red": 0, "blue": 1}))
        sound["soft"] = h5py.SoftLink("/group")
        sound["far"] = h5py.ExternalLink(str(tmp_path / "outside.h5"), "/group")
        attributes = {
            "number": 2,
            "text": "abc",
            "texts": ["a", "bc"],
            "truths": [True, False],
            "bytes": np.bytes_("b"),
        }
        sound.attrs.update({**attributes, "ref": sound["group"].ref, "void": np.void(b"x")})
        sound.attrs.create("none", np.array([], dtype=object), dtype=h5py.string_dtype())
    with open_hdf5(tmp_path / "x.h5") as opened:
        yield opened


def test_attributes_are_plain_values(file):
    root = checked_group(file, "/")
    found = {name: attribute(root, "x.h5", name) for name in ("number", "text", "texts", "truths", "bytes", "none")}
    assert found == {
        **{"number": 2, "text": "abc", "texts": ["a", "bc"], "truths": [True, False]},
        **{"bytes": "b", "none": []},
    }
    for name in ("ref", "void"):
        with pytest.raises(DataError, match=f"x.h5: {name}: expected numbers or text"):
            attribute(root, "x.h5", name)
    with pytest.raises(DataError, match=r"x\.h5: expected the attribute 'missing'"):
        attribute(root, "x.h5", "missing")


def test_groups_are_reached_by_hard_links_alone(file):
    assert members(file, "group/inner") == ["x"]
    assert members(file) == ["colour", "far", "group", "mask", "scalar", "soft", "table"]
    for key in ("soft", "far", "soft/inner", "far/x", "missing", "group/..", "mask"):
        with pytest.raises(DataError, match=rf"x\.h5: {key}: expected a group"):
            checked_group(file, key)


def test_arrays_are_numbers_and_truth_values(file):
    assert array(file, "mask").tolist() == [True, False]
    assert array(file, "scalar") == 1.5
    assert shape_of(file, "table") == (2, 2)
    with pytest.raises(DataError, match="table: expected 1 axes, found shape"):
        array(file, "table", ndim=1)
    with pytest.raises(DataError, match="scalar: expected values, found shape"):
        shape_of(file, "scalar")
    with pytest.raises(DataError, match="colour: expected integers, floats or truth values"):
        array(file, "colour")


@pytest.mark.parametrize("length", [0, 8, 2**40, 2**64 - 8])
def test_heaps_of_text_in_which_hdf5_would_go_round_are_refused(tmp_path, length):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.attrs["text"] = "abc"
    check_text(path)
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL")
    free = heap + 16 + 16 + 8  # behind the head and the one entry
    assert content[free : free + 2] == b"\0\0"
    content[free + 8 : free + 16] = length.to_bytes(8, "little")
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.h5: expected a sound heap of text at"):
        check_text(path)
