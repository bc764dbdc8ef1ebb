import random
import struct
import zlib

import numpy as np
import pytest
import scipy.io
from fault_injection import flip_bit

from opnet.core.errors import DataError
from opnet.data.formats.matlab_file import matlab_version, read_matlab5

ARRAYS = {
    "a": np.random.default_rng(0).random((3, 4, 2)),
    "single": np.arange(6, dtype="f4").reshape(2, 3),
    "small": np.array([[3]], dtype="u1"),
    "long": np.array([[-(2**40), 5]]),
    "truth": np.array([[True, False]]),
}


@pytest.fixture(params=[True, False], ids=["compressed", "plain"])
def path(tmp_path, request):
    odd = {"text": "abc", "cell": np.array([1, "a"], dtype=object), "struct": {"x": 1.0}}
    scipy.io.savemat(tmp_path / "x.mat", {**ARRAYS, **odd}, do_compression=request.param)
    return tmp_path / "x.mat"


def test_numeric_arrays_are_those_scipy_wrote_and_others_are_passed_over(path):
    found = read_matlab5(path)
    assert found.keys() == ARRAYS.keys()
    for name, values in ARRAYS.items():
        np.testing.assert_array_equal(found[name], values)
        assert found[name].dtype == (values.dtype if name != "truth" else np.uint8)


def element(kind, data, order="<"):
    return struct.pack(f"{order}II", kind, len(data)) + data + b"\0" * (-len(data) % 8)


def array(shape=(1, 2), values=b"\1\2", stored=2, flags=6, name=b"x", order="<"):
    """A MATLAB array whose doubles are stored as bytes, as MATLAB stores whole numbers."""
    dims = struct.pack(f"{order}{len(shape)}i", *shape)
    parts = element(6, struct.pack(f"{order}II", flags, 0), order) + element(5, dims, order)
    return element(14, parts + element(1, name, order) + element(stored, values, order), order)


def write(path, *elements, order="<"):
    mark = b"\0\1IM" if order == "<" else b"\1\0MI"
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + mark + b"".join(elements))
    return path


@pytest.mark.parametrize("order", "<>")
def test_numbers_stored_in_a_smaller_type_keep_their_class_in_either_byte_order(tmp_path, order):
    path = write(tmp_path / "x.mat", array(order=order), order=order)
    found = read_matlab5(path)["x"]
    assert (found.dtype, found.tolist()) == (np.float64, [[1.0, 2.0]])
    np.testing.assert_array_equal(scipy.io.loadmat(path)["x"], found)


def bomb(size):
    return struct.pack("<II", 15, len(size)) + size


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ([array(shape=(2**20, 2**20))], "expected 1099511627776 numbers of 1 bytes"),
        ([array(shape=(-1, 2))], "expected a named array of 2 to 8 axes"),
        ([array(shape=(2,))], "expected a named array of 2 to 8 axes"),
        ([array(name=b"../x")], "expected a named array of 2 to 8 axes"),
        ([array(stored=16)], "expected one element of numbers, found type 16"),
        ([array(flags=6 | 0x800)], "expected real numbers, found complex ones"),
        ([array(), array()], "expected each name once, found 'x' again"),
        ([element(3, b"\0" * 8)], "expected an array, found an element of type 3"),
        ([array()[:-4]], "expected an element of"),
        ([struct.pack("<II", 14, 2**32 - 1)], "expected an element of 4294967295 bytes, found 0"),
        ([b"\0" * 4], "expected an element of at least 8 bytes, found 4"),
        ([bomb(zlib.compress(b"\0" * 8 + bytes(2**24)))], "expected 8 bytes|expected at most|found another length"),
        ([bomb(zlib.compress(struct.pack("<II", 14, 2**31) + bytes(2**22)))], "expected at most 1048576 bytes"),
        ([bomb(zlib.compress(array())[:-1] + b"\0")], "expected an intact zlib stream"),
        ([bomb(zlib.compress(array() + b"\0" * 8))], "found another length"),
        ([bomb(b"no zlib")], "expected an intact zlib stream"),
    ],
)
def test_what_is_declared_but_not_held_is_refused(tmp_path, elements, message):
    path = write(tmp_path / "x.mat", *elements)
    with pytest.raises(DataError, match=rf"x\.mat: .*({message})"):
        read_matlab5(path)


def test_versions_are_told_apart(tmp_path, path):
    assert matlab_version(path) == "5"
    scipy.io.savemat(tmp_path / "4.mat", {"a": np.eye(2)}, format="4")
    with pytest.raises(DataError, match=r"4\.mat: expected a MATLAB file of version 5 to 7\.3"):
        matlab_version(tmp_path / "4.mat")


def test_mutations_end_in_a_data_error_or_in_arrays(path):
    chance, refused, sound = random.Random(0), 0, path.read_bytes()
    for _ in range(400):
        flip_bit(path, chance.randrange(len(sound) * 8))
        try:
            found = read_matlab5(path)
            assert all(values.nbytes <= 100 * len(sound) for values in found.values())
        except DataError as error:
            assert "x.mat" in str(error)  # noqa: PT017
            refused += 1
        path.write_bytes(sound)
    assert refused > 50
