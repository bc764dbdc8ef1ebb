import hashlib
import os
import shutil
from dataclasses import replace

import h5py
import pytest
import torch
from analytic_problem import SineHeat
from killed_generation import RECIPE

from opnet.core.errors import DataError
from opnet.data.dataset import open_dataset
from opnet.data.generate import generate
from opnet.data.single_file import SEAL, check_fits, is_single_file
from opnet.data.store import Store


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folder = tmp_path_factory.mktemp("single")
    generate(RECIPE, folder / "store")
    generate(RECIPE, folder / "store.h5")
    return folder


def test_one_file_holds_what_the_folder_does(both):
    assert sorted(path.name for path in both.iterdir()) == ["store", "store.h5"]
    one, many = open_dataset(both / "store.h5"), open_dataset(both / "store")
    assert one.resolutions == many.resolutions
    for a, b in ((one.train, many.train), *((one.at(n), many.at(n)) for n in one.resolutions)):
        first, second = a.all(), b.all()
        assert torch.equal(first.inputs, second.inputs)
        assert torch.equal(first.targets, second.targets)
        assert torch.equal(a.discretisation_error, b.discretisation_error)
        assert a.domain == b.domain
    picked = one.train.batch([7, 0, 12])
    assert torch.equal(picked.targets, many.train.batch([7, 0, 12]).targets)
    assert one.provenance["recipe"] == many.provenance["recipe"]


def test_its_bytes_do_not_depend_on_the_workers(both, tmp_path):
    generate(RECIPE, tmp_path / "again.h5", workers=2)
    assert (tmp_path / "again.h5").read_bytes() == (both / "store.h5").read_bytes()


def test_any_reader_opens_it(both):
    with h5py.File(both / "store.h5") as file:
        assert file["train-16/inputs"].shape == (20, 1, 16)
        assert len(file["train-16/residual"][:]) == 20


def test_a_finished_file_is_reused_and_another_recipes_is_left_alone(both):
    before = (both / "store.h5").stat().st_mtime_ns
    assert generate(RECIPE, both / "store.h5").complete
    with pytest.raises(ValueError, match="expected a store of the recipe"):
        generate(replace(RECIPE, seed=1), both / "store.h5")
    assert (both / "store.h5").stat().st_mtime_ns == before


def test_an_interrupted_generation_goes_on(tmp_path, both):
    def interrupt(done, total, message=""):
        if done >= 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(RECIPE, tmp_path / "store.h5", progress=interrupt)
    assert not (tmp_path / "store.h5").exists()
    generate(RECIPE, tmp_path / "store.h5")
    assert (tmp_path / "store.h5").read_bytes() == (both / "store.h5").read_bytes()


def test_no_flip_goes_unnoticed(both, tmp_path):
    content = (both / "store.h5").read_bytes()
    path = tmp_path / "flipped.h5"
    for number in range(200):
        place = (number * 7919) % len(content)
        flipped = bytearray(content)
        flipped[place] ^= 1 << number % 8
        path.write_bytes(flipped)
        with pytest.raises(DataError, match=r"flipped\.h5: expected"):
            Store.open(path)


def test_a_truncated_file_and_a_stranger_are_refused(both, tmp_path):
    path = tmp_path / "cut.h5"
    path.write_bytes((both / "store.h5").read_bytes()[:-1])
    with pytest.raises(DataError):
        open_dataset(path)
    with h5py.File(tmp_path / "theirs.h5", "w") as file:
        file["manifest"] = 4
    with pytest.raises(DataError, match=r"theirs\.h5: expected a store in one file, found no seal"):
        Store.open(tmp_path / "theirs.h5")
    (tmp_path / "forged.h5").write_bytes(sealed((tmp_path / "theirs.h5").read_bytes()))
    assert is_single_file(tmp_path / "forged.h5")
    with pytest.raises(DataError, match=r"manifest: expected at most \d+ bytes, found \(\)"):
        open_dataset(tmp_path / "forged.h5")


def sealed(content):
    return content + SEAL + hashlib.sha256(content).hexdigest().encode() + b"\n"


def test_a_flip_is_found_before_hdf5_sees_it(both, tmp_path, monkeypatch):
    path = tmp_path / "flipped.h5"
    content = bytearray((both / "store.h5").read_bytes())
    content[40] ^= 1
    path.write_bytes(content)
    monkeypatch.setattr(h5py, "File", None)
    with pytest.raises(DataError, match=r"flipped\.h5: expected the seal [0-9a-f]{64}, found [0-9a-f]{64}: it is dam"):
        open_dataset(path)


def test_trajectories_fit_one_file(tmp_path):
    recipe = replace(RECIPE, problem=SineHeat())
    generate(recipe, tmp_path / "heat.h5")
    data = open_dataset(tmp_path / "heat.h5").train
    assert data.batch([3]).targets.shape == (1, 3, 1, 16)
    assert data.times.tolist() == [0.0, 0.01, 0.02]
    assert data.diagnostics["energy"].shape == (20,)


def test_what_a_run_killed_at_its_end_left_is_removed(both, tmp_path):
    shutil.copy(both / "store.h5", tmp_path)
    shutil.copytree(both / "store", tmp_path / ".store.h5.unfinished")
    generate(RECIPE, tmp_path / "store.h5")
    assert os.listdir(tmp_path) == ["store.h5"]


def test_large_sets_want_a_folder(tmp_path):
    with pytest.raises(
        ValueError, match=r"expected at most 1024 MiB of samples for one file, found \d+: give a folder"
    ):
        check_fits(replace(RECIPE, n_train=20_000_000), tmp_path / "large.h5")
    with pytest.raises(ValueError, match="expected a folder with append"):
        generate(RECIPE, tmp_path / "large.h5", append=True)
