"""Trainings that are killed end in the same bytes."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from fault_injection import run_in_fork
from killed_training import (
    cases,
    count_calls,
    faults_of_resuming,
    kill_after,
    kill_at_call,
    reference,
    terminate_after,
)
from small_training import CONFIG, data, model, signal_at, weights

from opnet.core.errors import DataError
from opnet.training.checkpoint import load_latest, newest_checkpoint
from opnet.training.fit import fit

SCRIPT = Path(__file__).parents[1] / "small_training.py"


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def uninterrupted():
    return fit(model(), data(), config=CONFIG)


def go_on(folder, seed=9, **knobs):
    return fit(model(seed), data(), config=CONFIG, folder=folder, **knobs)


def step_in(folder):
    return newest_checkpoint(folder)[0].standing.step


def test_a_folder_changes_nothing(uninterrupted, tmp_path):
    run = fit(model(), data(), config=CONFIG, folder=tmp_path / "new" / "checkpoints")
    assert weights(run.model) == weights(uninterrupted.model)
    assert run.resumed_from is None
    assert weights(load_latest(tmp_path / "new" / "checkpoints")) == weights(run.model)


def test_killed_again_and_again_it_ends_in_the_same_bytes(uninterrupted, tmp_path):
    for step, seed in ((2, 0), (3, 5), (8, 6)):
        # Another initial seed each time: the first checkpoint holds the weights that count.
        died = run_in_fork(
            lambda report, step=step, seed=seed: go_on(
                tmp_path, seed, progress=signal_at(step, signal.SIGKILL), checkpoint_seconds=0.0
            )
        )
        assert died.signal == signal.SIGKILL
        assert step_in(tmp_path) == step - 1
    run = go_on(tmp_path)
    assert run.resumed_from == 7
    assert weights(run.model) == weights(uninterrupted.model)
    assert [row["loss"] for row in run.history] == [row["loss"] for row in uninterrupted.history]
    assert [path.name for path in tmp_path.iterdir() if "epoch-0004" in path.name] == ["step-00000012-epoch-0004"]
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(("name", "in_memory"), [("fno", True), ("normalised", False)])
def test_any_instant_will_do(name, in_memory, tmp_path):
    case, folder = dataclasses.replace(cases()[name], in_memory=in_memory), tmp_path / "checkpoints"
    expected = reference(case)
    always = dataclasses.replace(case, checkpoint_seconds=0.0)
    calls, seconds = count_calls(always, folder)
    assert kill_at_call(always, folder, calls // 2) + faults_of_resuming(case, folder, expected) == []
    assert kill_after(case, folder, seconds / 2) + faults_of_resuming(case, folder, expected) == []
    assert terminate_after(case, folder, seconds / 2) + faults_of_resuming(case, folder, expected) == []


@pytest.mark.parametrize("step", [1, 3, 5, 12])
@pytest.mark.parametrize(("number", "left_by"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_signal_saves_and_leaves(uninterrupted, tmp_path, number, left_by, step):
    before = signal.getsignal(number)
    with pytest.raises(left_by) as caught:
        fit(model(), data(), config=CONFIG, folder=tmp_path, progress=signal_at(step, number))
    assert left_by is KeyboardInterrupt or caught.value.code == 143
    assert signal.getsignal(number) is before
    assert step_in(tmp_path) == step
    run = go_on(tmp_path)
    assert run.resumed_from == step
    assert weights(run.model) == weights(uninterrupted.model)


def test_a_signal_does_not_wait_for_validation(uninterrupted, tmp_path):
    class Endless(type(data())):
        def batch(self, indices):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
            raise AssertionError("went on measuring")

    whole = data()
    endless = Endless(whole.inputs, whole.targets, whole.domain)
    with pytest.raises(SystemExit):
        fit(model(), whole, config=CONFIG, folder=tmp_path, validation=endless)
    assert step_in(tmp_path) == 3
    run = go_on(tmp_path, validation=whole)
    assert len(run.history) == 4
    assert all(row["validation"] is not None for row in run.history)
    assert weights(run.model) == weights(uninterrupted.model)


def test_sigterm_ends_a_process_within_five_seconds(tmp_path):
    process = subprocess.Popen([sys.executable, str(SCRIPT), str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline().strip() == "1"
    started = time.monotonic()
    process.terminate()
    assert process.wait(timeout=30) == 143
    assert time.monotonic() - started < 5
    assert step_in(tmp_path) in (1, 2)


def test_two_trainings_do_not_share_a_folder(uninterrupted, tmp_path):
    refusals = []

    def another(done, total, message=""):
        if done == 1:
            outcome = run_in_fork(lambda report: go_on(tmp_path, seed=0))
            refusals.extend(report["message"] for report in outcome.reports)

    run = go_on(tmp_path, seed=0, progress=another)
    assert refusals == [f"{tmp_path}: expected no other writer, found a process writing there"]
    assert weights(run.model) == weights(uninterrupted.model)
    assert go_on(tmp_path).finished_before  # the lock went with the training


def test_a_finished_training_returns_at_once(uninterrupted, tmp_path):
    go_on(tmp_path, seed=0)
    steps = []
    run = go_on(tmp_path, progress=lambda done, total, message="": steps.append(done))
    assert steps == []
    assert run.finished_before
    assert not run.model.training
    assert weights(run.model) == weights(uninterrupted.model)


def test_a_damaged_checkpoint_is_passed_over_with_a_note(uninterrupted, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit(
            model(),
            data(),
            config=CONFIG,
            folder=tmp_path,
            progress=signal_at(5, signal.SIGINT),
            checkpoint_seconds=0.0,
        )
    damaged = tmp_path / "step-00000005-epoch-0001" / "weights.safetensors"
    content = bytearray(damaged.read_bytes())
    content[-3] ^= 4
    damaged.write_bytes(content)
    run = go_on(tmp_path)
    assert run.resumed_from == 4
    assert "weights.safetensors: expected sha256" in run.notes[0]
    assert "went on from step-00000004-epoch-0001" in run.notes[0]
    assert (tmp_path / "damaged-step-00000005-epoch-0001").is_dir()
    assert weights(run.model) == weights(uninterrupted.model)


def test_when_all_are_damaged_nothing_is_guessed(tmp_path):
    go_on(tmp_path)
    for path in tmp_path.iterdir():
        (path / "state.json").unlink()
    with pytest.raises(DataError, match=r"step-00000012-epoch-0004/state.json: expected a regular file"):
        go_on(tmp_path)


def test_another_training_is_refused(tmp_path):
    go_on(tmp_path)
    for arguments, message in (
        ({"config": type(CONFIG)(epochs=5)}, "training.epochs: expected 5, found 4"),
        ({"model": model(layers=2)}, "model.layers: expected 2, found 1"),
        ({"dataset": data(9)}, "data.samples: expected 9, found 10"),
    ):
        call = {"model": model(), "dataset": data(), "config": CONFIG, **arguments}
        with pytest.raises(ValueError, match=message):
            fit(call.pop("model"), call.pop("dataset"), folder=tmp_path, **call)
    changed = data()
    changed.targets[4, 0, 2] += 1e-3
    with pytest.raises(ValueError, match=r"data\.sha256"):
        fit(model(), changed, config=CONFIG, folder=tmp_path)


def test_another_number_of_threads_is_noted(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit(model(), data(), config=CONFIG, folder=tmp_path, progress=signal_at(2, signal.SIGINT))
    torch.set_num_threads(2)
    try:
        assert "written with 1 threads, going on with 2" in go_on(tmp_path).notes[0]
    finally:
        torch.set_num_threads(1)
