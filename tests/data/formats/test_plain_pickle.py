import os
import pickle
import random
from collections import OrderedDict, defaultdict

import numpy as np
import pytest
import scipy.sparse

from opnet.core.errors import DataError
from opnet.data.formats.plain_pickle import Pickled, as_array, as_objects, read_pickle

PLAIN = {
    "numbers": [1, -2, 300, 70000, 2**40, True, False, None, 1.5],
    "text": ("a", "é" * 300, b"bytes"),
    "nested": [[1, [2, (3, {"x": 4})]], {1: [], 2: ()}],
}


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_containers_are_those_that_were_pickled(protocol):
    assert read_pickle(pickle.dumps(PLAIN, protocol), "p") == PLAIN
    lists = defaultdict(list, {1: [2, 3], 4: []})
    assert read_pickle(pickle.dumps(lists, protocol), "p") == lists


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("dtype", ["f4", "f8", ">f8", "i8", "u2", "bool"])
def test_arrays_are_those_that_were_pickled(protocol, dtype):
    for values in (np.arange(12).reshape(3, 4), np.asfortranarray(np.arange(6).reshape(2, 3)), np.zeros((0, 2))):
        stored = values.astype(dtype)
        found = as_array(read_pickle(pickle.dumps(stored, protocol), "p"), "p")
        np.testing.assert_array_equal(found, stored)
        assert found.dtype == stored.dtype.newbyteorder("=")


def test_arrays_of_objects_are_lists_of_arrays():
    stored = np.empty(2, dtype=object)
    stored[0], stored[1] = np.arange(3), np.ones((2, 2))
    found = [as_array(entry, "p") for entry in as_objects(read_pickle(pickle.dumps(stored, 4), "p"), "p")]
    np.testing.assert_array_equal(found[0], stored[0])
    np.testing.assert_array_equal(found[1], stored[1])


def test_a_csr_matrix_is_kept_as_what_it_was_given():
    matrix = scipy.sparse.csr_matrix(np.eye(3))
    found = read_pickle(pickle.dumps(matrix, 2), "p")
    assert isinstance(found, Pickled)
    assert found.kind == "csr"
    np.testing.assert_array_equal(as_array(found.state["indices"], "p"), matrix.indices)


class Payload:
    def __reduce__(self):
        return os.mkdir, ("executed",)


class Attribute:
    def __reduce__(self):
        return getattr, ("text", "join")


HOSTILE = [
    pickle.dumps(Payload()),
    pickle.dumps(Attribute()),
    pickle.dumps([1, Payload()], 2),
    pickle.dumps(OrderedDict(a=1)),
    pickle.dumps(np.dtype([("a", "f4")]).newbyteorder),
    pickle.dumps(np.memmap),
    b"cos\nsystem\n(S'ls'\ntR.",
    b"cnumpy\nload\n.",
    b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.",
    b"\x80\x02ccollections\ndefaultdict\nc__builtin__\neval\n\x85R.",
    b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00rot\x86R.",
    b"\x80\x02P1\n.",
    b"\x80\x02U\x011Q.",
    b"\x80\x02\x82\x01.",
]


@pytest.mark.parametrize("content", HOSTILE, ids=range(len(HOSTILE)))
def test_other_names_and_instructions_are_refused_and_nothing_is_run(content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    value = None
    with pytest.raises(DataError, match="p: expected"):
        value = as_array(read_pickle(content, "p"), "p")
    assert value is None
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b".",
        b"\x80\x02N",
        b"\x80\x02NN.",
        b"\x80\x02N.more",
        b"\x80\x02a.",
        b"\x80\x02h\x05.",
        b"\x80\x02t.",
        b"\xff",
        b"\x80\x02]}N\x86s.",
        b"\x80\x02}]K\x01s.",
        b"\x80\x02K\x01K\x02b.",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x80\x02T\xff\xff\xff\x7fabc.",
        b"\x80\x02(K\x01u.",
    ],
)
def test_damaged_pickles_are_refused(content):
    with pytest.raises(DataError, match="p: expected a pickle of arrays, found"):
        read_pickle(content, "p")


def test_shapes_that_the_bytes_do_not_fill_are_refused():
    sound = pickle.dumps(np.arange(6, dtype="i4").reshape(2, 3), 2)
    for old, new in ((b"K\x02K\x03", b"K\x02K\x04"), (b"K\x02K\x03", b"J\xff\xff\xff\xffK\x03"), (b"i4", b"O8")):
        assert old in sound
        with pytest.raises(DataError, match="p: expected"):
            as_array(read_pickle(sound.replace(old, new), "p"), "p")


def test_mutations_end_in_a_data_error_or_in_data():
    chance, refused = random.Random(0), 0
    sound = pickle.dumps([np.arange(6.0), {"a": [1, 2]}, "text"], 2)
    for _ in range(2000):
        content = bytearray(sound)
        for _ in range(chance.randint(1, 3)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        try:
            value = read_pickle(bytes(content), "p")
            as_array(value[0] if isinstance(value, list) and value else value, "p")
        except DataError:
            refused += 1
    assert refused > 500
