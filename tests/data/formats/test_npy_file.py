import struct
import zipfile

import numpy as np
import pytest

from opnet.core.errors import DataError
from opnet.data.formats.foreign_file import ForeignFile
from opnet.data.formats.npy_file import NpyFile, parse_npy, read_npz


def npy(values, tmp_path, **options):
    np.save(tmp_path / "x.npy", values, **options)
    return (tmp_path / "x.npy").read_bytes()


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("dtype", ["f4", ">f8", "i2", "bool"])
def test_arrays_are_read_whole_and_in_part(tmp_path, order, dtype):
    values = np.asarray(np.arange(24).reshape(2, 3, 4) % 7, dtype=dtype, order=order)
    np.testing.assert_array_equal(parse_npy(npy(values, tmp_path), "x"), values)
    file = NpyFile(ForeignFile.hashed(tmp_path / "x.npy"))
    part, out = (slice(0, 2), slice(1, 2), slice(0, 4)), np.empty((2, 1, 4), "f4")
    with file.opened() as read:
        read("", part, out)
    np.testing.assert_array_equal(out, values[part].astype("f4"))


def header(text):
    body = text.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(body)) + body


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627775,)}", "expected 8796093022329 bytes"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}", "expected a shape of at most 8 axes"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (3,)}", r"expected 153 bytes for shape \(3,\)"),
        ("{'descr': '<c16', 'fortran_order': False, 'shape': (1,)}", "expected real numbers"),
        ("{'descr': '<M8[s]', 'fortran_order': False, 'shape': (1,)}", "expected real numbers"),
        ("{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (1,)}", "expected numbers or objects"),
        ("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", "expected a pickle of arrays"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), 'x': 0}", "expected a .npy header"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), (", "expected a .npy header"),
        ("__import__('os').mkdir('executed')", "expected a .npy header"),
    ],
)
def test_headers_are_not_believed(text, message):
    with pytest.raises(DataError, match=f"x: {message}"):
        parse_npy(header(text) + b"\0" * 8, "x")


def test_objects_in_a_lone_file_are_refused_with_what_to_do(tmp_path):
    npy(np.array([None], dtype=object), tmp_path, allow_pickle=True)
    with pytest.raises(DataError, match=r"x\.npy: expected numbers, found a pickle of objects.*save its arrays one by"):
        NpyFile(ForeignFile.hashed(tmp_path / "x.npy"))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_archives_are_read_by_name(tmp_path, save):
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.array([1], dtype="i4")}
    save(tmp_path / "x.npz", **arrays)
    found = read_npz(tmp_path / "x.npz")
    assert found.keys() == arrays.keys()
    for name, values in arrays.items():
        np.testing.assert_array_equal(found[name], values)


def test_hostile_archives_are_refused(tmp_path):
    path = tmp_path / "x.npz"
    np.savez_compressed(path, a=np.zeros(2**20))
    with pytest.raises(DataError, match=r"x\.npz: expected arrays, each once, stored or deflated"):
        read_npz(path)  # a thousand times its size
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", npy(np.ones(2), tmp_path))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.npy", npy(np.ones(2), tmp_path))
    with pytest.raises(DataError, match="each once"):
        read_npz(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("a.npy", npy(np.ones(2), tmp_path))
    with pytest.raises(DataError, match="stored or deflated"):
        read_npz(path)
    path.write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"x\.npz: expected an archive written by numpy\.savez"):
        read_npz(path)
