"""Laws of every registered foreign format; an example of each is written by the table below."""

import os
import pickle
import random

import damage
import pytest
import torch

import opnet.data.formats.neuraloperator  # noqa: F401  (registers itself)
from opnet.core.errors import DataError
from opnet.core.registry import names
from opnet.data.dataset import open_dataset
from opnet.data.formats.base import Format
from opnet.spaces.grid import Grid

# name -> (writer of a small valid folder, options that read it)
EXAMPLES = {"neuraloperator": (damage.write_darcy_files, {"train_resolution": 4})}


def each_format(test):
    return pytest.mark.parametrize("name", names("format"))(test)


@pytest.fixture
def example(name, tmp_path):
    assert name in EXAMPLES, f"format {name!r} needs an example in {__file__}"
    write, options = EXAMPLES[name]
    write(tmp_path)
    return tmp_path, lambda: open_dataset(tmp_path, format=name, **options)


@each_format
def test_it_is_a_format_and_recognises_its_files(name, example, tmp_path_factory):
    from opnet.core.registry import lookup

    assert issubclass(lookup("format", name), Format)
    assert lookup("format", name).recognises(example[0])
    assert not lookup("format", name).recognises(tmp_path_factory.mktemp("empty"))


@each_format
def test_splits_are_finite_channelled_and_on_their_grids(name, example):
    splits = example[1]()
    assert splits.resolution in splits.resolutions
    for data in (splits.train, *(splits.at(n) for n in splits.resolutions)):
        assert isinstance(data.domain, Grid)
        batch = data.all()
        for values in (batch.inputs, batch.targets):
            assert values.dtype == torch.float32
            assert len(values) == len(data) > 0
            assert values.ndim == 2 + data.domain.dim
            assert tuple(values.shape[2:]) == data.domain.shape
            assert torch.isfinite(values).all()
    with pytest.raises(ValueError, match="resolution: expected one of"):
        splits.at(999)


@each_format
def test_provenance_and_digest_vouch_for_the_files(name, example):
    folder, read = example
    splits = read()
    assert {"equation", "licence", "source", "sha256"} <= splits.provenance.keys()
    assert splits.digest == read().digest
    assert set(splits.provenance["sha256"]) == {path.name for path in folder.iterdir()}
    assert all(isinstance(note, str) and note.endswith(".") for note in splits.notes)


@each_format
def test_damage_never_passes_as_other_values(name, example):
    folder, read = example

    def values():
        splits = read()
        parts = [splits.train, *(splits.at(n) for n in splits.resolutions)]
        return [v for part in parts for v in (part.all().inputs, part.all().targets)]

    reference, files = values(), sorted(folder.iterdir())

    def passed():
        return "" if all(map(torch.equal, values(), reference)) else "other values read"

    chance = random.Random(0)
    silent = damage.damage(lambda: chance.choice(files), passed, chance, 60, 20)
    assert [fault for trials in silent.values() for fault in trials if fault] == []


@each_format
def test_nothing_in_a_file_is_executed(name, example):
    folder, read = example
    flag = folder / "executed"

    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(flag),)

    for path in sorted(folder.iterdir()):
        sound = path.read_bytes()
        for write in (lambda p: p.write_bytes(pickle.dumps(Payload())), lambda p: torch.save({"x": Payload()}, p)):
            write(path)
            with pytest.raises(DataError, match=path.name):
                read()
            assert not flag.exists()
        path.write_bytes(sound)


@each_format
def test_files_of_other_kinds_are_refused(name, example):
    folder, read = example
    for path in sorted(folder.iterdir()):
        sound = path.read_bytes()
        path.unlink()
        os.mkfifo(path)
        with pytest.raises(DataError, match=f"{path.name}: expected a regular file"):
            read()
        path.unlink()
        path.write_bytes(sound)
