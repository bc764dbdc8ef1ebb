import json
from dataclasses import dataclass, replace

import pytest
from analytic_problem import SinePoisson

from opnet.core.errors import DataError
from opnet.data.manifest import Manifest, digest_of, plain
from opnet.data.recipe import DataRecipe
from opnet.data.shard import ShardEntry

RECIPE = DataRecipe(problem=SinePoisson(), n_train=8, n_test=2, train_resolution=8, shard_size=4)


SHAPES = {"inputs": [4, 1, 8], "targets": [4, 1, 8], "residual": [4], "discretisation_error": [4], "index": [4]}
DTYPES = {name: "int64" if name == "index" else "float64" for name in SHAPES}


def entry(**changes):
    values = ShardEntry("shards/train-8-00000.h5", "train", 8, 0, 4, SHAPES, DTYPES, 100, "a" * 64)
    return replace(values, **changes)


def test_decode_undoes_encode_and_order_of_acknowledging_does_not_matter():
    second = entry(file="shards/train-8-00001.h5", start=4, stop=8)
    one = RECIPE.new_manifest().with_shard(entry()).with_shard(second)
    other = RECIPE.new_manifest().with_shard(second).with_shard(entry())
    assert Manifest.decode(one.encode(), "here") == one == other
    assert one.encode() == other.encode()
    assert one.grid(8) == SinePoisson().grid(8)
    assert not one.complete


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "expected a JSON manifest"),
        (b"[" * 100_000, "expected a JSON manifest"),
        (b"[]", "expected the manifest of an 'opnet store'"),
        (b'{"format": "opnet store", "version": 1}', "expected a store of format version 2, found version 1"),
        (b'{"format": "opnet store", "version": 2, "digest": "0"}', "it is damaged"),
    ],
)
def test_other_files_are_refused(raw, message):
    with pytest.raises(DataError, match=f"here.*{message}"):
        Manifest.decode(raw, "here")


def test_other_bytes_of_the_same_content_are_refused():
    raw = RECIPE.new_manifest().encode()
    with pytest.raises(DataError, match="expected the bytes opnet writes"):
        Manifest.decode(raw + b"\n", "here")
    with pytest.raises(DataError, match="expected the bytes opnet writes"):
        Manifest.decode(json.dumps(json.loads(raw)).encode(), "here")


def forged(**changes):
    """A manifest whose digest is right and whose content is not."""
    content = {**json.loads(RECIPE.new_manifest().with_shard(entry()).encode()), **changes}
    del content["digest"]
    return json.dumps({**content, "digest": digest_of(content)}).encode()


def forged_shard(**changes):
    content = json.loads(RECIPE.new_manifest().with_shard(entry()).encode())["shards"][0]
    return forged(shards=[{**content, **changes}])


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (forged(seed="0"), "seed: expected int"),
        (forged(times=[0]), "times: expected float"),
        (forged(times=[0.0, 0.0]), "ascending times"),
        (forged(times=[0.0, 1.0]), "targets of 4 samples at 2 times"),
        (forged(diagnostics={"a/b": "c"}), "expected names in letters"),
        (forged(diagnostics={"a": 1}), "diagnostics: expected str"),
        (forged(diagnostics={"a": "b"}), "the arrays .*diagnostics/a"),
        (forged(extra=1), "missing or unknown are .'extra'"),
        (forged(splits=[["train", 99, 8]]), "splits as"),
        (forged(splits=[["train", 8, "many"]]), "splits as"),
        (forged(splits=[7]), "splits: expected list"),
        (forged(splits=[["train", 8, 2], ["test", 8, 2]]), "at most 2 samples"),
        (forged(grids={"8": {"shape": [0]}}), "expected a grid at 8"),
        (forged(shards=["x"]), "expected dict"),
        (forged_shard(file="../../outside.h5"), "files named shards/"),
        (forged_shard(sha256="A" * 64), "files named shards/"),
        (forged_shard(start=2), "inputs of 2 samples"),
        (forged_shard(start=4), "in order and apart"),
        (forged_shard(start=-4), "in order and apart"),
        (forged_shard(split="other"), "in order and apart"),
        (forged_shard(resolution=9), "expected a grid at 9"),
        (forged_shard(shapes={**SHAPES, "inputs": [4, 1, 9]}), "inputs of 4 samples"),
        (forged_shard(shapes={**SHAPES, "index": [4, 1]}), "index of 4 samples"),
        (forged_shard(shapes={"inputs": [4, 1, 8]}), "the arrays"),
        (forged_shard(shapes={**SHAPES, "inputs": [4, 1, True]}), "expected int"),
        (forged_shard(dtypes={**DTYPES, "inputs": "object"}), "float32, float64 or int64"),
        (forged_shard(bytes=1.5), "bytes: expected int"),
    ],
)
def test_a_right_digest_makes_wrong_content_no_better(raw, message):
    with pytest.raises(DataError, match=message):
        Manifest.decode(raw, "here")


def test_plain_names_the_field_it_cannot_write():
    @dataclass(frozen=True)
    class Inner:
        function: object = len

    @dataclass(frozen=True)
    class Outer:
        inner: Inner
        sizes: tuple[int, ...] = (1, 2)

    assert plain(Outer(Inner(None))) == {
        "class": "Outer",
        "inner": {"class": "Inner", "function": None},
        "sizes": [1, 2],
    }
    with pytest.raises(ValueError, match=r"inner\.function: expected numbers"):
        plain(Outer(Inner()))
