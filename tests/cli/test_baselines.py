import json

import pytest

from opnet.cli.app import _exit_code
from opnet.training.checkpoint import load_latest

RECIPE = """
name = "tiny"
[data]
problem = "darcy"
n_train = 8
n_test = 3
train_resolution = 8
resolutions = [8, 16]
[model]
class = "PCANet"
in_channels = 1
out_channels = 1
input_rank = 3
output_rank = 2
hidden = [8]
[training]
epochs = 2
batch_size = 4
validation_share = 0.25
[evaluation]
baselines = [{ class = "TrainingMean" }, { class = "Persistence" }]
pictures = 0
"""
STEPS = """
name = "steps"
[data]
problem = "burgers"
times = [0.0, 0.5, 1.0]
n_train = 3
n_test = 2
train_resolution = 32
error_share = 0
frames_in = 1
initial = { class = "SineWaves", max_mode = 3 }
[model]
class = "FNO"
in_channels = 1
out_channels = 2
modes = [4]
width = 4
[training]
epochs = 1
[evaluation]
baselines = [{ class = "Persistence" }]
pictures = 0
"""


def opnet(*arguments):
    return _exit_code([str(argument) for argument in arguments])


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(RECIPE)
    return "tiny.toml"


def test_a_model_that_needs_data_is_adapted_trained_and_measured_beside_baselines(recipe, tmp_path, capsys):
    assert opnet("run", recipe, "--out", "run") == 0
    assert "TrainingMean" in capsys.readouterr().out
    records = json.loads((tmp_path / "run/results.json").read_text())["records"]
    errors = {(r["model"], *r["resolution"]): r["value"] for r in records if r["name"] == "RelativeL2"}
    models = ("PCANet", "TrainingMean", "Persistence")
    assert set(errors) == {(model, n, n) for model in models for n in (8, 16)}
    assert 0.05 < errors["TrainingMean", 8, 8] < 1 < errors["Persistence", 8, 8]
    assert (
        "Baselines, without weights to train: TrainingMean, Persistence" in (tmp_path / "run/report.html").read_text()
    )
    held = load_latest(tmp_path / "run/checkpoints").model
    assert tuple(held.inputs.values.shape) == (4, 1, 8, 8)
    capsys.readouterr()
    assert opnet("evaluate", "run", "--json") == 0
    again = json.loads(capsys.readouterr().out)
    assert {(r["model"], *r["resolution"]): r["value"] for r in again if r["name"] == "RelativeL2"} == errors


def test_persistence_repeats_the_last_frame(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "steps.toml").write_text(STEPS.replace("frames_in = 1", "frames_in = 1\nframes_out = 2"))
    assert opnet("run", "steps.toml", "--out", "run", "--quiet") == 0
    records = json.loads((tmp_path / "run/results.json").read_text())["records"]
    assert {r["model"] for r in records if r["name"] == "RelativeL2"} == {"FNO", "Persistence"}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "model={ class = 'TrainingMean', in_channels = 1, out_channels = 1 }",
            "expected a model with weights to train",
        ),
        ("model.in_channels=2", "[model] in_channels: expected 1, as the data, found 2"),
        ("evaluation.baselines=[{ class = 'FNO' }]", "baselines[0]: class: expected an operator without weights"),
        ("evaluation.baselines=[{ class = 'Mean' }]", "baselines[0]: class: unknown model 'Mean'"),
        ("evaluation.baselines=[{ class = 'Persistence', fields = 2 }]", "baselines[0]: fields: expected at most"),
        ("evaluation.baselines=[{ class = 'Persistence', colour = 2 }]", "baselines[0]: colour: unknown key"),
    ],
)
def test_what_does_not_fit_is_said_before_any_work(recipe, tmp_path, capsys, setting, message):
    assert opnet("run", recipe, "--out", "run", "--set", setting) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run/data").exists()


def test_ranks_beyond_the_data_are_wrong_input(recipe, capsys):
    assert opnet("run", recipe, "--out", "run", "--set", "model.input_rank=7") == 2
    assert "input_rank: expected 1 to 5, what the 6 functions span, found 7" in " ".join(
        capsys.readouterr().err.split()
    )
