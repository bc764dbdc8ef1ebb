import json
import os
import pathlib

import pytest
import torch
from small_training import CONFIG, data, model, weights

from opnet.core.errors import DataError
from opnet.training import checkpoint
from opnet.training.checkpoint import (
    Standing,
    checkpoint_folder,
    describe_checkpoint,
    load_latest,
    newest_checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from opnet.training.fit import fit
from opnet.training.seal import BLANK, seal


def write(folder, step, epochs=0, optimizer=None):
    history = [{"epoch": i + 1} for i in range(epochs)]
    tensors = {"0.step": torch.tensor(1.0)} if optimizer is None else optimizer
    return write_checkpoint(folder, model(step), tensors, Standing(step, 0.1 + 0.2, 1.5, history), {"model": "m"})


def test_what_is_written_is_read(tmp_path):
    path = write(tmp_path, 7, 2)
    assert path.name == "step-00000007-epoch-0002"
    found = read_checkpoint(path)
    assert found.standing == Standing(7, 0.1 + 0.2, 1.5, [{"epoch": 1}, {"epoch": 2}])
    assert found.optimizer == {"0.step": torch.tensor(1.0)}
    assert found.threads == torch.get_num_threads()
    assert weights(load_latest(tmp_path)) == weights(model(7))


def test_the_two_newest_stay_and_order_is_by_number(tmp_path):
    for step, epochs in ((5, 0), (100_000_000, 9), (99_999_999, 8)):
        write(tmp_path, step, epochs)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-100000000-epoch-0009", "step-99999999-epoch-0008"]
    assert newest_checkpoint(tmp_path)[0].standing.step == 100_000_000


def test_no_flipped_bit_in_any_file_goes_unseen(tmp_path):
    path = write(tmp_path, 3)
    for file in sorted(path.iterdir()):
        content = file.read_bytes()
        for place in [*range(0, min(len(content), 3000), 11), *range(0, len(content), max(1, len(content) // 100))]:
            damaged = bytearray(content)
            damaged[place] ^= 1
            file.write_bytes(damaged)
            with pytest.raises(DataError, match=str(file)):
                read_checkpoint(path)
        file.write_bytes(content[:-1])
        with pytest.raises(DataError, match=str(file)):
            read_checkpoint(path)
        file.unlink()
        with pytest.raises(DataError, match=str(file)):
            read_checkpoint(path)
        file.write_bytes(content)
    read_checkpoint(path)


class Died(BaseException):
    """What a killed process does: nothing runs after it but what does not catch it."""


def test_dying_at_any_call_leaves_the_last_one_loadable(tmp_path, monkeypatch):
    def dying(function, left):
        def call(*arguments, **knobs):
            if left[0] == 0:
                raise Died
            left[0] -= 1
            return function(*arguments, **knobs)

        return call

    # A process that is killed cleans nothing up.
    calls = {name: getattr(os, name) for name in ("open", "write", "fsync", "replace", "rename", "unlink")}
    died, survived = 0, False
    while not survived:
        folder = tmp_path / str(died)
        folder.mkdir()
        write(folder, 1)
        write(folder, 2)
        with monkeypatch.context() as patch:
            left = [died]
            for name, function in calls.items():
                patch.setattr(os, name, dying(function, left))
            patch.setattr(pathlib.Path, "unlink", lambda self, missing_ok=False: None)
            patch.setattr(checkpoint.shutil, "rmtree", dying(checkpoint.shutil.rmtree, left))
            try:
                write(folder, 3)
                survived = True
            except Died:
                died += 1
        found, notes = newest_checkpoint(folder)
        assert notes == []
        assert found.standing.step in ((3,) if survived else (2, 3))
        with checkpoint_folder(folder):
            pass
        assert all(p.name.startswith("step-") for p in folder.iterdir())
    assert died > 10


def test_links_are_refused(tmp_path):
    whole, folder = tmp_path / "real", tmp_path / "links"
    whole.mkdir()
    folder.mkdir()
    real = write(whole, 1)
    (folder / real.name).symlink_to(real)
    with pytest.raises(DataError, match="found a link"):
        newest_checkpoint(folder)
    link = tmp_path / "checkpoints"
    link.symlink_to(whole)
    with pytest.raises(DataError, match="found a link"):
        fit(model(), data(), config=CONFIG, folder=link)
    inside = real / "weights.safetensors"
    inside.rename(real / "elsewhere")
    inside.symlink_to(real / "elsewhere")
    with pytest.raises(DataError, match="expected a regular file"):
        read_checkpoint(real)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"files": {"../../weights.safetensors": "0" * 64, "optimizer.safetensors": "0" * 64}}, "expected the digests"),
        ({"format": "other"}, "found 'other' version 1"),
        ({"version": 2}, "version 1, found 'opnet-checkpoint' version 2"),
        ({"standing": {"step": "3", "loss_sum": 0.0, "seconds": 0.0, "history": []}}, "expected the state"),
        ({"standing": {"step": 3, "loss_sum": 0.0, "seconds": 0.0, "history": [3]}}, "expected the state"),
        ({"standing": {"step": 3}}, "expected the state"),
        ({"standing": None}, "expected the state"),
    ],
)
def test_hostile_states_are_refused(tmp_path, changes, message):
    path = write(tmp_path, 1)
    state = json.loads((path / "state.json").read_text())
    state.update(changes, sha256=BLANK)
    (path / "state.json").write_bytes(seal(json.dumps(state).encode()))
    with pytest.raises(DataError, match=message):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"0.exp_avg": torch.zeros(3)}, "optimiser tensor 0.exp_avg of shape"),
        ({"999.step": torch.tensor(1.0)}, "found '999.step'"),
        ({"0.__class__": torch.tensor(1.0)}, "found '0.__class__'"),
        ({"0.step": torch.tensor(1.0)}, "found fewer"),
        ({"0.step": torch.tensor(float("nan"))}, "found NaN"),
    ],
)
def test_an_optimiser_of_another_model_is_refused(tmp_path, tensors, message):
    fit(model(), data(), config=CONFIG, folder=tmp_path)
    path = newest_checkpoint(tmp_path)[0].path
    identity = read_checkpoint(path).identity
    write_checkpoint(tmp_path, model(), tensors, Standing(99, 0.0, 0.0, []), identity)
    with pytest.raises(DataError, match=message):
        fit(model(), data(), config=CONFIG, folder=tmp_path)


def test_a_checkpoint_describes_itself(tmp_path):
    fit(model(), data(), config=CONFIG, folder=tmp_path)
    about = describe_checkpoint(newest_checkpoint(tmp_path)[0].path)
    assert (about["step"], about["epochs"]) == (12, 4)
    assert about["model"]["class"] == "FNO"
    assert about["training"]["batch_size"] == 4
    assert 0 < about["last_loss"] < 2
    with pytest.raises(DataError, match="expected checkpoints, found none"):
        load_latest(tmp_path / "nowhere")
    with pytest.raises(DataError, match="found a link, a file or nothing"):
        describe_checkpoint(tmp_path / "nowhere")
