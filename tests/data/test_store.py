import os
import random
import shutil

import pytest
from damage import damaged_store
from fault_injection import flip_bit
from hostile_hdf5 import LEADING_OUTSIDE, TRICKS
from hostile_store import attack, read_with_h5py, read_with_opnet, write_hostile_store
from killed_generation import RECIPE

from opnet.core.errors import DataError
from opnet.data.generate import generate
from opnet.data.store import Store


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store") / "made"
    generate(RECIPE, folder)
    return folder


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made, tmp_path / "store")


def test_no_flip_and_no_truncation_passes_in_silence(tmp_path):
    silent = damaged_store(tmp_path, random.Random(0), flips=60, cuts=20)
    assert [len(trials) for trials in silent.values()] == [60, 20]
    assert [fault for trials in silent.values() for fault in trials if fault] == []


@pytest.mark.parametrize("trick", TRICKS, ids=lambda trick: trick.__name__)
def test_a_hostile_shard_is_refused_before_anything_outside_is_opened(tmp_path, trick):
    write_hostile_store(tmp_path / "store", trick)
    found = attack(tmp_path / "store", read_with_opnet)
    assert (found.error, found.opened_outside, found.outcome.timed_out) == ("DataError", False, False)
    assert "train-8-00000.h5: inputs" in found.message
    assert found.seconds < 2
    assert found.memory < 512e6


@pytest.mark.parametrize("trick", LEADING_OUTSIDE, ids=lambda trick: trick.__name__)
def test_the_watch_over_the_outside_can_fail(tmp_path, trick):
    write_hostile_store(tmp_path / "store", trick)
    assert attack(tmp_path / "store", read_with_h5py).opened_outside


def test_what_is_missing_is_named(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected a store, found no manifest\.json"):
        Store.open(tmp_path)
    shard = folder / "shards/test-32-00000.h5"
    shard.unlink()
    with pytest.raises(DataError, match=r"test-32-00000\.h5: expected sha256 [0-9a-f]{64} .* found no file"):
        Store.open(folder)
    shard.symlink_to(folder / "shards/train-16-00000.h5")
    with pytest.raises(DataError, match=r"test-32-00000\.h5: expected a regular file"):
        Store.open(folder)


def test_truncation_is_found_at_open_and_a_flip_at_the_first_read(folder):
    shard = folder / "shards/train-16-00000.h5"
    flip_bit(shard, 8 * shard.stat().st_size - 100)
    store = Store.open(folder)
    with pytest.raises(DataError, match=r"train-16-00000\.h5: expected sha256 [0-9a-f]{64} .*, found [0-9a-f]{64}"):
        store.shard(store.manifest.shards[0])
    with pytest.raises(DataError, match=r"train-16-00000\.h5"):
        store.verify()
    os.truncate(shard, 100)
    with pytest.raises(DataError, match=r"train-16-00000\.h5.*\(100 bytes\)"):
        Store.open(folder)


def test_a_shard_is_verified_once_and_again_when_it_changed(folder):
    store = Store.open(folder)
    entry = store.manifest.shards[0]
    assert store.shard(entry) is store.shard(entry)
    flip_bit(folder / entry.file, 8 * 2000)
    with pytest.raises(DataError, match="the file is damaged or was replaced"):
        store.shard(entry)


def test_verify_reports_its_progress(folder):
    calls = []
    Store.open(folder).verify(lambda done, total, message="": calls.append((done, total)))
    count = len(RECIPE.shards)
    assert calls == [(i, count) for i in range(count + 1)]


def test_the_digest_is_that_of_the_contents(folder, made):
    assert Store.open(folder).digest == Store.open(made).digest
    assert Store.open(folder).recipe_digest == RECIPE.digest
