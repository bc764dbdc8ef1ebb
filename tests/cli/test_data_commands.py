import foreign_files
import pytest
import torch

from opnet.cli.app import _exit_code
from opnet.data.dataset import open_dataset

DATA_ALONE = """
name = "alone"
[data]
problem = "advection"
initial = { class = "SineWaves", max_mode = 3 }
times = [0.0, 0.5, 1.0]
n_train = 3
n_test = 2
train_resolution = 16
"""


def test_a_recipe_of_data_alone_makes_a_store_and_nothing_else(tmp_path, capsys):
    path = tmp_path / "alone.toml"
    path.write_text(DATA_ALONE)
    assert _exit_code(["generate", str(path), "--out", str(tmp_path / "store")]) == 0
    assert open_dataset(tmp_path / "store").train.batch([0, 2]).targets.shape == (2, 3, 1, 16)
    capsys.readouterr()
    assert _exit_code(["run", str(path)]) == 2
    assert "expected [model] and [training], found a recipe of data alone" in capsys.readouterr().err


def test_data_are_converted_to_a_store_and_to_the_well(tmp_path, capsys):
    path = tmp_path / "alone.toml"
    path.write_text(DATA_ALONE)
    assert _exit_code(["generate", str(path), "--out", str(tmp_path / "made")]) == 0
    made = open_dataset(tmp_path / "made").train.all().targets
    assert _exit_code(["convert", str(tmp_path / "made"), str(tmp_path / "well"), "--to", "the_well"]) == 0
    capsys.readouterr()
    back = ["convert", str(tmp_path / "well"), str(tmp_path / "back"), "--set", "trajectories=true"]
    assert _exit_code(back) == 0
    assert f"store: {tmp_path / 'back'}" in capsys.readouterr().out
    torch.testing.assert_close(open_dataset(tmp_path / "back").train.all().targets, made)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing", "out"], "nothing: expected a store"),
        ([".", "out", "--to", "zarr"], "--to: expected one of store, the_well, found 'zarr'"),
        ([".", "out", "--format", "pdbench"], "unknown format 'pdbench' (did you mean 'pdebench'?)"),
        ([".", "out", "--format", "pdebench", "--set", "frames"], "--set frames: expected key=value"),
    ],
)
def test_what_cannot_be_converted_is_said(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert _exit_code(["convert", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_store_grows_by_append(tmp_path, capsys):
    path = tmp_path / "alone.toml"
    path.write_text(DATA_ALONE)
    out = ["generate", str(path), "--out", str(tmp_path / "store")]
    assert _exit_code(out) == 0
    assert _exit_code([*out, "--set", "data.n_train=5"]) == 2
    assert "choose another folder" in capsys.readouterr().err
    assert _exit_code([*out, "--set", "data.n_train=5", "--append"]) == 0
    assert len(open_dataset(tmp_path / "store").train) == 5
    assert _exit_code(["generate", str(path), "--append"]) == 2
    assert "--append: expected with --out" in capsys.readouterr().err


TRAJECTORIES = (
    DATA_ALONE
    + """
frames_in = 1
[model]
class = "FNO"
in_channels = 1
out_channels = 1
modes = [4]
width = 4
[training]
epochs = 1
batch_size = 2
"""
)


def test_models_of_trajectories_are_trained_on_windows(tmp_path, capsys):
    path = tmp_path / "steps.toml"
    path.write_text(TRAJECTORIES)
    assert _exit_code(["run", str(path), "--out", str(tmp_path / "run")]) == 0
    assert "RelativeL2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("data.frames_in=3", "frames_in, frames_out: expected at most 3 together"),
        ("data.times=1.0", "expected no frames_in without times, found 1"),
        ("data.times=[0.5, 1.0]", "times: expected a positive number, or numbers ascending from 0"),
        ("model.out_channels=2", "[model] out_channels: expected 1"),
    ],
)
def test_frames_that_do_not_fit_are_said_before_anything_is_made(tmp_path, capsys, setting, message):
    path = tmp_path / "steps.toml"
    path.write_text(TRAJECTORIES)
    assert _exit_code(["run", str(path), "--out", str(tmp_path / "run"), "--set", setting]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run" / "data").exists()
    path.write_text(TRAJECTORIES.replace("frames_in = 1", ""))
    assert _exit_code(["run", str(path), "--out", str(tmp_path / "run")]) == 2
    assert "expected frames_in, frames of the 3 of a trajectory, found None" in capsys.readouterr().err


def test_other_peoples_trajectories_are_windows_and_stores_too(tmp_path, capsys):
    (tmp_path / "files").mkdir()
    tensor = foreign_files.pdebench_burgers(tmp_path / "files")
    path = tmp_path / "steps.toml"
    table = '[data]\nformat = "pdebench"\ntrajectories = true\nframes_in = 1\n'
    path.write_text('name = "steps"\nseed = 0\n' + table + TRAJECTORIES[TRAJECTORIES.index("[model]") :])
    run = ["run", str(path), "--out", str(tmp_path / "run"), "--data", str(tmp_path / "files")]
    assert _exit_code(run) == 0
    assert "RelativeL2" in capsys.readouterr().out
    assert _exit_code([*run[:2], "--out", str(tmp_path / "other"), *run[4:], "--set", "data.trajectories=false"]) == 2
    assert "expected no frames_in without trajectories, found 1" in capsys.readouterr().err
    converted = ["convert", str(tmp_path / "files"), str(tmp_path / "store"), "--set", "trajectories=true"]
    assert _exit_code(converted) == 0
    store = open_dataset(tmp_path / "store")
    assert store.train.times.tolist() == [0, 0.5, 1, 1.5]
    assert torch.equal(store.train.all().targets[:, :, 0], torch.from_numpy(tensor[: len(store.train)]))
    assert _exit_code(["convert", str(tmp_path / "store"), str(tmp_path / "well"), "--to", "the_well"]) == 0
    again = open_dataset(tmp_path / "well", trajectories=True)
    assert again.train.times.tolist() == store.train.times.tolist()
    assert torch.equal(again.train.all().targets, store.train.all().targets)
