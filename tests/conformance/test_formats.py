"""Laws of every registered foreign format; examples of each are written by the table below."""

import os
import pickle
import random

import damage
import foreign_files
import pytest
import torch

import opnet.data.formats  # noqa: F401  (registers them)
from opnet.core.errors import DataError
from opnet.core.registry import lookup, names
from opnet.data.dataset import open_dataset
from opnet.data.formats.base import Format
from opnet.spaces.grid import Grid

# (format, writer of a small valid folder, options that read it)
EXAMPLES = [
    ("neuraloperator", damage.write_darcy_files, {"train_resolution": 4}),
    ("matlab", foreign_files.burgers_mat, {}),
    ("matlab", foreign_files.navier_stokes_mat, {}),
    ("matlab", foreign_files.navier_stokes_mat, {"trajectories": True}),
    ("pdebench", foreign_files.pdebench_burgers, {}),
    ("pdebench", foreign_files.pdebench_grouped, {}),
    ("pdebench", foreign_files.pdebench_grouped, {"trajectories": True}),
    ("the_well", foreign_files.well_folder, {}),
    ("the_well", foreign_files.well_folder, {"trajectories": True}),
    ("deeponet", foreign_files.deeponet_aligned, {}),
    ("deeponet", foreign_files.deeponet_unaligned, {}),
    ("geo_fno", foreign_files.geo_pipe, {}),
    ("geo_fno", foreign_files.geo_elasticity, {}),
    ("planetoid", foreign_files.planetoid, {}),
]
each_example = pytest.mark.parametrize(
    ("name", "write", "options"), EXAMPLES, ids=[f"{name}-{write.__name__}" for name, write, _ in EXAMPLES]
)


def files_below(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def example(name, write, options, tmp_path):
    write(tmp_path)
    return tmp_path, lambda: open_dataset(tmp_path, format=name, **options)


def values_of(splits):
    parts = [splits.train, *(splits.at(n) for n in splits.resolutions)]
    return [values for part in parts for values in (part.all().inputs, part.all().targets)]


def test_every_format_has_an_example():
    assert {name for name, _, _ in EXAMPLES} == set(names("format"))


@each_example
def test_it_is_a_format_and_recognises_its_files(name, example, tmp_path_factory):
    assert issubclass(lookup("format", name), Format)
    assert lookup("format", name).recognises(example[0])
    assert not lookup("format", name).recognises(tmp_path_factory.mktemp("empty"))


@each_example
def test_a_folder_is_read_without_naming_its_format(example, name, options):
    folder, read = example
    assert open_dataset(folder, **options).digest == read().digest


@each_example
def test_splits_are_finite_channelled_and_on_their_domains(name, example):
    splits = example[1]()
    assert splits.resolution in splits.resolutions
    for data in (splits.train, *(splits.at(n) for n in splits.resolutions)):
        batch = data.all()
        for values in (batch.inputs, batch.targets):
            assert values.dtype == torch.float32
            assert len(values) == len(data) > 0
            assert torch.isfinite(values).all()
        places = (batch.parameters or {}).keys() & {"y0"}  # values at single places, which the parameters name
        targets = batch.targets if batch.times is None else batch.targets.flatten(1, 2)
        assert batch.times is None or batch.targets.shape[1] == len(batch.times)
        for values in (batch.inputs,) if places else (batch.inputs, targets):
            if isinstance(data.domain, Grid):
                assert tuple(values.shape[2:]) == data.domain.shape
            else:
                assert values.ndim == 3
                assert values.shape[1] == data.domain.n
    with pytest.raises(ValueError, match="resolution: expected one of"):
        splits.at(999)


@each_example
def test_batches_are_the_samples_asked_for_in_their_order(name, example):
    data = example[1]().train
    whole = data.all()
    for order in ([len(data) - 1, 0, 0, -1], [], list(range(len(data)))[::-1]):
        batch = data.batch(order)
        assert torch.equal(batch.inputs, whole.inputs[order])
        assert torch.equal(batch.targets, whole.targets[order])
        for key, values in (batch.parameters or {}).items():
            assert torch.equal(values, whole.parameters[key][order])
    with pytest.raises(IndexError):
        data.batch([len(data)])


@each_example
def test_data_sets_travel_to_other_processes(name, example):
    data = example[1]().train
    data.batch([0])
    copy = pickle.loads(pickle.dumps(data))
    assert torch.equal(copy.all().targets, data.all().targets)


@each_example
def test_provenance_and_digest_vouch_for_the_files(name, example):
    folder, read = example
    splits = read()
    assert {"equation", "licence", "source", "sha256"} <= splits.provenance.keys()
    assert splits.digest == read().digest
    assert set(splits.provenance["sha256"]) == {str(path.relative_to(folder)) for path in files_below(folder)}
    assert all(isinstance(note, str) and note.endswith(".") for note in splits.notes)


few_faults_and_many = pytest.mark.parametrize("faults", [8, pytest.param(40, marks=pytest.mark.slow)])


@each_example
@few_faults_and_many
def test_damage_never_passes_as_other_values_of_the_same_digest(name, example, faults):
    """Formats without checksums cannot tell a flipped bit from data; the digest that names the data then differs."""
    folder, read = example
    sound, files = read(), files_below(folder)
    reference = values_of(sound)

    def passed():
        found = read()
        same = all(a.shape == b.shape and torch.equal(a, b) for a, b in zip(values_of(found), reference, strict=True))
        return "" if same or found.digest != sound.digest else "other values read"

    chance = random.Random(0)
    silent = damage.damage(lambda: chance.choice(files), passed, chance, faults, faults // 2)
    assert [fault for trials in silent.values() for fault in trials if fault] == []


@each_example
@few_faults_and_many
def test_no_damage_passes_where_sums_are_listed(name, example, faults):
    folder, read = example
    foreign_files.write_sums(folder)
    read()
    files = files_below(folder)
    chance = random.Random(0)
    silent = damage.damage(lambda: chance.choice(files), lambda: f"{read().digest} read", chance, faults, faults // 2)
    assert [fault for trials in silent.values() for fault in trials if fault] == []


@each_example
def test_nothing_in_a_file_is_executed(name, example):
    folder, read = example
    flag = folder / "executed"

    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(flag),)

    for path in files_below(folder):
        sound = path.read_bytes()
        for write in (lambda p: p.write_bytes(pickle.dumps(Payload())), lambda p: torch.save({"x": Payload()}, p)):
            write(path)
            with pytest.raises(DataError, match=path.name):
                read()
            assert not flag.exists()
        path.write_bytes(sound)


@each_example
def test_files_of_other_kinds_are_refused(name, example):
    folder, read = example
    for path in files_below(folder):
        sound = path.read_bytes()
        path.unlink()
        os.mkfifo(path)
        with pytest.raises(DataError, match=f"{path.name}: expected a regular file"):
            read()
        path.unlink()
        path.write_bytes(sound)
        path.rename(folder / "elsewhere")
        path.symlink_to(folder / "elsewhere")
        with pytest.raises(DataError, match=f"{path.name}: expected a regular file"):
            read()
        path.unlink()
        (folder / "elsewhere").rename(path)


@each_example
def test_a_file_that_changes_while_it_is_open_is_refused(name, example):
    folder, read = example
    for path in files_below(folder):
        splits = read()
        held, sound = values_of(splits), path.read_bytes()
        path.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
        os.utime(path, ns=(0, 0))
        try:
            found, blamed = values_of(splits), path.name
        except DataError as error:
            found, blamed = held, str(error)
        assert path.name in blamed
        assert all(map(torch.equal, found, held))  # what was read at once stays
        path.write_bytes(sound)
