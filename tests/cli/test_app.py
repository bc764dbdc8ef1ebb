import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from opnet.cli.app import _exit_code

RECIPE = """
name = "tiny"
[data]
problem = "darcy"
n_train = 8
n_test = 3
train_resolution = 16
resolutions = [8, 16, 32]
[model]
class = "FNO"
in_channels = 1
out_channels = 1
modes = [3, 3]
width = 4
layers = 2
projection_width = 8
[training]
epochs = 2
batch_size = 4
validation_share = 0.25
[evaluation]
metrics = ["RelativeL2", "RelativeH1"]
resolutions = [8, 16, 32]
pictures = 1
"""


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return "tiny.toml"


def opnet(*arguments):
    return _exit_code([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def finished_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    (folder / "tiny.toml").write_text(RECIPE)
    assert opnet("run", folder / "tiny.toml", "--out", folder / "run", "--quiet") == 0
    return folder / "run"


@pytest.fixture
def finished(finished_once, recipe):
    shutil.copytree(finished_once, "run")
    return Path("run")


def test_a_run_leaves_everything_it_promises(recipe, capsys):
    assert opnet("run", recipe) == 0
    out = capsys.readouterr()
    report = out.out.rstrip().splitlines()[-1].removeprefix("report: ")
    folder = Path(report).parent
    assert folder.match("runs/tiny-*")
    assert {p.name for p in folder.iterdir()} == {
        "recipe.toml", "data", "checkpoints", "results.json", "report.html", "log.csv",
    }  # fmt: skip
    content = json.loads((folder / "results.json").read_text())
    assert {"commit", "seed", "machine", "versions", "dataset", "recipe", "seconds"} <= content["meta"].keys()
    names = {(r["name"], *r["resolution"]) for r in content["records"]}
    for n in (8, 16, 32):
        assert {("RelativeL2", n, n), ("RelativeH1", n, n), ("discretisation_error", n, n), ("residual", n, n)} <= names
    assert "<img" in (folder / "report.html").read_text()
    assert len((folder / "log.csv").read_text().splitlines()) == 3


def test_a_second_run_reuses_everything_and_says_so(finished, recipe, capsys):
    before = {p: p.stat().st_mtime_ns for p in finished.rglob("*")}
    assert opnet("run", recipe, "--out", finished) == 0
    out = capsys.readouterr()
    assert "everything is finished; reusing it" in out.err
    assert out.out.rstrip().endswith("report: run/report.html")
    assert before == {p: p.stat().st_mtime_ns for p in finished.rglob("*")}


def test_finished_parts_are_reused_one_by_one(finished, recipe, capsys):
    (finished / "results.json").unlink()
    assert opnet("run", recipe, "--out", finished) == 0
    err = capsys.readouterr().err
    assert "data: reusing" in err
    assert "training: reusing" in err


def test_json_is_the_records_and_nothing_else(finished, recipe, capsys):
    assert opnet("run", recipe, "--out", finished, "--json", "--quiet") == 0
    out = capsys.readouterr()
    assert {"name", "value"} <= json.loads(out.out)[0].keys()
    assert out.err == ""


def test_another_recipe_does_not_take_a_folder_that_is_taken(finished, recipe, capsys):
    assert opnet("run", recipe, "--out", finished, "--set", "training.epochs=3") == 2
    assert "found one that differs in training.epochs; choose another --out" in capsys.readouterr().err


def test_results_on_other_files_are_not_reused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = RECIPE.split("[data]")[0] + '[data]\nformat = "neuraloperator"\n[model]' + RECIPE.split("[model]")[1]
    Path("files.toml").write_text(text.replace("resolutions = [8, 16, 32]", ""))
    for folder, seed in (("one", 0), ("two", 1)):
        Path(folder).mkdir()
        generator = torch.Generator().manual_seed(seed)
        for split, count in (("train", 8), ("test", 3)):
            x = torch.rand(count, 16, 16, generator=generator) > 0.5
            y = torch.rand(count, 16, 16, generator=generator)
            torch.save({"x": x, "y": y}, f"{folder}/darcy_{split}_16.pt")
    command = ["run", "files.toml", "--out", "run", "--quiet", "--data"]
    assert opnet(*command, "one") == 0
    assert opnet(*command, "one") == 0
    assert opnet("evaluate", "run", "--quiet") == 0
    capsys.readouterr()
    assert opnet(*command, "two") == 2
    assert "run: expected the data it was run on" in capsys.readouterr().err


def test_generate_makes_a_store_that_runs_share(recipe, capsys):
    assert opnet("generate", recipe) == 0
    store = capsys.readouterr().out.rstrip().splitlines()[-1].removeprefix("store: ")
    assert Path(store).match("data/tiny-*")
    assert opnet("train", recipe, "--out", "run") == 0
    assert "data: reusing data/tiny-" in capsys.readouterr().err
    assert not Path("run/data").exists()
    assert opnet("inspect", store) == 0
    assert "discretisation_error" in capsys.readouterr().out


def test_evaluate_measures_a_trained_model_again(finished, capsys):
    told = json.loads((finished / "results.json").read_text())["records"]
    assert opnet("evaluate", finished, "--metric", "RelativeL2", "--json", "--quiet") == 0
    again = json.loads(capsys.readouterr().out)
    pick = {(r["name"], *r["resolution"]): r["value"] for r in told if r["name"] == "RelativeL2"}
    assert {(r["name"], *r["resolution"]): r["value"] for r in again if r["name"] == "RelativeL2"} == pick


@pytest.mark.parametrize("part", ["", "data", "results.json"])
def test_inspect_prints_what_a_run_holds(finished, part, capsys):
    assert opnet("inspect", finished / part) == 0
    assert "16" in capsys.readouterr().out


def test_verify_reads_all_of_a_run(finished, capsys):
    assert opnet("verify", finished) == 0
    assert capsys.readouterr().out.count("sound") >= 3
    weights = next((finished / "checkpoints").glob("step-*/*.safetensors"))
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    (finished / "report.html").write_text("edited")
    assert opnet("verify", finished) == 1
    said = capsys.readouterr().err
    assert weights.name in said
    assert "expected the report of sha256" in said


def test_inspect_prints_a_checkpoint(finished, capsys):
    checkpoint = max((finished / "checkpoints").glob("step-*"))
    assert opnet("inspect", checkpoint) == 0
    assert "FNO" in capsys.readouterr().out


def test_list_names_what_recipes_can_name(capsys):
    assert opnet("list") == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("darcy", "FNO", "RelativeL2", "neuraloperator"))
    assert opnet("list", "models") == 0
    assert "darcy" not in capsys.readouterr().out


@pytest.mark.parametrize("command", ["run", "generate", "train", "evaluate", "inspect", "list"])
def test_every_command_shows_an_example(command, capsys):
    assert opnet(command, "--help") == 0
    assert f"opnet {command}" in capsys.readouterr().out.split("Example:")[1]


WRONG = [
    (["training.epohcs=3"], r"tiny.toml: [training] epohcs: unknown key (did you mean 'epochs'?)"),
    (["training.epochs=many"], "[training] epochs: expected an integer, found 'many'"),
    (["training.loss=RelativeL3"], "[training] loss: unknown loss 'RelativeL3' (did you mean 'RelativeLp'?)"),
    (["model.class=FN"], "[model] class: unknown model 'FN'"),
    (["model.width=-4"], "[model] "),
    (["model.modes=[5, 5]"], "[model] "),
    (["data.problem=darci"], "[data] problem: unknown problem 'darci' (did you mean 'darcy'?)"),
    (["data.a_hihg=3.0"], "[data] a_hihg: unknown key (did you mean 'a_high'?)"),
    (["data.a_low=-1.0"], "[data] "),
    (["data.train_resolution=1"], "expected greater than or equal to 2, found 1"),
    (
        ["evaluation.resolutions=[64]"],
        "[evaluation] resolutions: expected some of [data] resolutions [8, 16, 32], found",
    ),
    (["evaluation.metrics=[]"], "[evaluation] metrics: expected at least 1 items, found []"),
    (
        ["evaluation.subsample=[64]"],
        "[evaluation] subsample: expected some of [data] resolutions [8, 16, 32], found [64]",
    ),
    (["model.in_channels=3"], "[model] inputs: expected (batch, 3, *grid)"),
    (["model.out_channels=2"], "[model] out_channels: expected 1, the channels of the data's targets, found 2"),
    (["data.dtype=float64"], "[data] dtype: expected 'float32', the [training] precision, found 'float64'"),
    (["data.times=[0.0, 2.0]"], "[data] times: unknown key for darcy, which has no time"),
    (["data.format=neuraloperator"], "[data] format: unknown key for a problem on grids"),
    (["training.validation_share=0.99"], "[training] validation_share: expected to leave some of 8 samples"),
    (["training.epochs=0"], "[training] epochs: expected an integer of at least 1, found 0"),
    (["name=a/b"], "name: expected letters, digits, '.', '_' and '-'"),
    (["evaluation.metrics=['L2']"], "[evaluation] metrics: unknown metric 'L2'"),
]


@pytest.mark.parametrize(("settings", "message"), WRONG)
def test_wrong_input_is_one_sentence_and_leaves_nothing(recipe, capsys, settings, message):
    assert opnet("run", recipe, *(word for setting in settings for word in ("--set", setting))) == 2
    err = capsys.readouterr().err
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in err
    assert not Path("runs").exists()


def test_a_missing_file_is_wrong_input(recipe, capsys):
    assert opnet("run", "nothing.toml") == 2
    assert "nothing.toml: expected a recipe, found no such file; there are tiny.toml" in capsys.readouterr().err
    assert opnet("inspect", "nothing") == 2
    assert opnet("evaluate", "nothing") == 2


def test_a_damaged_store_is_named(finished, recipe, capsys):
    shard = next((finished / "data").rglob("*.h5"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    (finished / "results.json").unlink()
    assert opnet("run", recipe, "--out", finished) == 2
    err = capsys.readouterr().err
    assert shard.name in err
    assert not (finished / "results.json").exists()


def test_debug_shows_the_traceback_and_keeps_the_exit_code(recipe, capsys):
    assert opnet("run", recipe, "--debug", "--set", "training.epohcs=3") == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["[]", '{"meta": {', '{"meta": {}, "records": []}'])
def test_damaged_results_are_named(finished, recipe, capsys, content):
    (finished / "results.json").write_text(content)
    assert opnet("run", recipe, "--out", finished) == 2
    assert "results.json: expected" in capsys.readouterr().err


def test_edited_results_and_reports_are_not_believed(finished, recipe, capsys):
    whole = (finished / "results.json").read_text()
    (finished / "results.json").write_text(whole.replace('"value": ', '"value": 1'))
    assert opnet("run", recipe, "--out", finished) == 2
    assert "results.json: expected the records of sha256" in capsys.readouterr().err
    (finished / "results.json").write_text(whole)
    (finished / "report.html").write_text("")
    assert opnet("run", recipe, "--out", finished) == 2
    assert "report.html: expected the report of sha256" in capsys.readouterr().err


def test_a_recipe_edited_after_the_run_is_not_the_runs(finished, capsys):
    held = finished / "recipe.toml"
    held.write_text(held.read_text().replace("width = 4", "width = 5"))
    assert opnet("evaluate", finished) == 2
    assert "expected results of recipe" in capsys.readouterr().err


def test_a_run_that_never_began_does_not_keep_its_folder(recipe, capsys):
    Path("run").mkdir()
    Path("run/recipe.toml").write_text(RECIPE.replace("width = 4", "width = 6"))
    assert opnet("run", recipe, "--out", "run", "--quiet") == 0


def test_a_run_on_a_shared_store_is_measured_again_without_making_data(recipe, capsys):
    assert opnet("generate", recipe, "--out", "elsewhere", "--quiet") == 0
    shutil.move("elsewhere", "data/store")
    assert opnet("run", recipe, "--out", "deep/run", "--quiet") == 0
    assert opnet("evaluate", "deep/run", "--quiet", "--json") == 0
    assert not Path("deep/run/data").exists()
    shutil.rmtree("data")
    capsys.readouterr()
    assert opnet("evaluate", "deep/run") == 2
    assert "expected the run's store, found none" in capsys.readouterr().err


def test_what_is_damaged_and_passed_over_is_said(finished, recipe, capsys):
    (finished / "results.json").unlink()
    newest = max((finished / "checkpoints").glob("step-*")) / "weights.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1])
    assert opnet("run", recipe, "--out", finished) == 0
    err = capsys.readouterr().err
    assert f"note: {newest}: expected sha256" in err

    manifest = finished / "data" / "manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:-9])
    assert opnet("run", recipe, "--out", "other") == 0
    err = capsys.readouterr().err
    assert "data: passing over run/data: " in err
    assert "data: other/data" in err


def test_one_test_sample_has_no_interval(recipe):
    assert opnet("run", recipe, "--out", "run", "--set", "data.n_test=1", "--quiet") == 0


def test_square_brackets_are_no_markup(recipe, capsys):
    assert opnet("run", recipe, "--out", "run", "--set", 'description="a [/b] c"', "--quiet") == 0
    assert opnet("inspect", "run") == 0
    assert "a [/b] c" in capsys.readouterr().out


@pytest.mark.slow
def test_an_interrupted_run_goes_on_to_the_same_weights(recipe, monkeypatch):
    # Only what is interrupted needs a process of its own; the rest runs here, as warm and on as many threads.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    settings = ("training.epochs=60", "data.resolutions=[16]", "evaluation.resolutions=[16]")
    command = ["train", recipe, "--quiet", *(word for setting in settings for word in ("--set", setting)), "--out"]

    def weights(out):
        return (max(Path(out).glob("checkpoints/step-*")) / "weights.safetensors").read_bytes()

    try:
        assert opnet(*command, "whole/run") == 0
        # In folders of their own, so that no run finds another's data.
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            out = Path(f"cut{code}/run")
            process = subprocess.Popen(
                [sys.executable, "-m", "opnet", *command, out], stderr=subprocess.PIPE, text=True
            )
            while not any(out.glob("checkpoints/step-*")):
                assert process.poll() is None
                time.sleep(0.01)
            process.send_signal(number)
            _, err = process.communicate(timeout=60)
            assert process.returncode == code, err
            assert "Traceback" not in err
            assert weights(out) != weights("whole/run")
            assert opnet(*command, out) == 0
            assert weights(out) == weights("whole/run")
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run"], "Missing argument"),
        (["run", "a.toml", "--epochs", "3"], "--epochs"),
        (["fly"], "fly"),
        (["run", "a.toml", "--seed", "-1"], "--seed"),
        (["list", "dogs"], "list: expected one of problems"),
    ],
)
def test_wrong_words_are_wrong_input(words, message, capsys):
    assert opnet(*words) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert message in err
