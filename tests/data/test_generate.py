import fcntl
import os
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from analytic_problem import ChaoticHeat, SineHeat, SinePoisson
from fault_injection import fingerprint, run_in_fork
from killed_generation import RECIPE, STORE, WAYS, count_calls, faults_after_kill, kill_at_call

from opnet.core.errors import DataError, SolveError
from opnet.data.dataset import open_dataset
from opnet.data.generate import generate
from opnet.data.store import Store


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store") / "reference"
    generate(RECIPE, folder)
    return folder


def test_a_store_holds_what_the_problem_solves(reference):
    store = generate(RECIPE, reference)
    assert store.complete
    entry = store.manifest.shards_of("train", 16)[1]
    expected = RECIPE.problem.sample(0, range(4, 8), 16)
    fields = {name: np.empty((4, 1, 16), "f4") for name in ("inputs", "targets")}
    store.shard(entry).read_into(range(4), range(4), fields)
    assert np.array_equal(fields["inputs"], expected.inputs.float().numpy())
    assert np.array_equal(fields["targets"], expected.targets.float().numpy())
    assert np.array_equal(store.shard(entry).whole("residual"), expected.residual.numpy())
    assert np.array_equal(store.shard(entry).whole("discretisation_error"), expected.discretisation_error.numpy())


def test_a_finished_store_is_reused_untouched(reference):
    before = {path: path.stat().st_mtime_ns for path in reference.rglob("*")}
    calls = []
    generate(RECIPE, reference, progress=lambda *arguments: calls.append(arguments))
    assert {path: path.stat().st_mtime_ns for path in reference.rglob("*")} == before
    assert not calls


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_errors_are_estimated_for_the_share_asked(tmp_path, share):
    store = generate(replace(RECIPE, error_share=share), tmp_path)
    entries = store.manifest.shards_of("train", 16)
    known = np.concatenate([np.isfinite(store.shard(entry).whole("discretisation_error")) for entry in entries])
    assert known.sum() == share * 20


def test_interrupted_workers_leave_a_store_that_one_process_finishes_to_the_same_bytes(tmp_path, reference):
    def interrupt(done, total, message=""):
        if done >= 16:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(RECIPE, tmp_path, workers=2, progress=interrupt)
    assert 0 < len(list(tmp_path.rglob("*.h5"))) < len(RECIPE.shards)
    threads = torch.get_num_threads()
    generate(RECIPE, tmp_path)
    assert fingerprint(tmp_path) == fingerprint(reference)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_failing_sample_is_named_whichever_process_meets_it(tmp_path, workers):
    recipe = replace(RECIPE, problem=SinePoisson(fails_at=9))
    with pytest.raises(SolveError, match="sample 9") as caught:
        generate(recipe, tmp_path, workers=workers)
    assert caught.value.index == 9


def test_kills_at_writing_calls(tmp_path, reference):
    calls, chance = count_calls(tmp_path / "counted"), random.Random(0)
    assert calls > 60
    marks = fingerprint(reference)
    for number in sorted(chance.sample(range(1, calls + 1), 12)):
        outcome = kill_at_call(tmp_path / "killed", number)
        assert outcome.signal == 9
        assert faults_after_kill(tmp_path / "killed", outcome, marks) == [], f"killed at call {number} of {calls}"


@pytest.mark.parametrize(
    "name", ["single_file", *(pytest.param(name, marks=pytest.mark.slow) for name in ("trajectories", "append"))]
)
def test_kills_at_writing_calls_of_every_way_to_make_a_store(tmp_path, name):
    way = WAYS[name]
    calls, chance = count_calls(tmp_path / "counted", way), random.Random(0)
    marks = fingerprint(tmp_path / "counted")
    # The last calls of one file are those that put it in place and remove what it was made from.
    for number in sorted({*chance.sample(range(1, calls + 1), 4), calls - 20, calls}):
        outcome = kill_at_call(tmp_path / "killed", number, way)
        assert outcome.signal == 9
        assert faults_after_kill(tmp_path / "killed", outcome, marks, way) == [], f"killed at call {number} of {calls}"


def test_kills_at_random_instants(tmp_path, reference):
    marks, chance, signals = fingerprint(reference), random.Random(1), 0
    for _ in range(8):
        outcome = run_in_fork(lambda report: STORE.run(tmp_path / "killed", report), kill_after=chance.uniform(0, 0.15))
        signals += outcome.signal == 9
        assert faults_after_kill(tmp_path / "killed", outcome, marks) == []
    assert signals


def test_the_check_after_a_kill_can_fail(tmp_path, reference):
    outcome = kill_at_call(tmp_path / "killed", 60)
    assert faults_after_kill(tmp_path / "killed", outcome, {}) == [
        "the resumed store differs from the uninterrupted one"
    ]


def test_another_recipes_store_is_refused_and_left_alone(tmp_path, reference):
    other = replace(RECIPE, seed=1)
    before = fingerprint(reference)
    with pytest.raises(ValueError, match=f"{other.digest}, found one of {RECIPE.digest}"):
        generate(other, reference)
    assert fingerprint(reference) == before


def test_other_files_are_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match=r"expected a store or an empty folder, found thesis\.tex"):
        generate(RECIPE, tmp_path)
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_two_writers_are_refused(tmp_path):
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(ValueError, match="found a process writing there"):
        generate(RECIPE, tmp_path)
    os.close(descriptor)


def begin(tmp_path, shards=2):
    """A store interrupted after some shards."""

    def interrupt(done, total, message=""):
        if done == shards * RECIPE.shard_size:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(RECIPE, tmp_path, progress=interrupt)


def test_a_damaged_shard_stops_the_resumption(tmp_path):
    begin(tmp_path)
    shard = tmp_path / "shards/train-16-00004.h5"
    content = bytearray(shard.read_bytes())
    content[-10] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DataError, match=r"train-16-00004\.h5: expected sha256"):
        generate(RECIPE, tmp_path)


def test_an_unfinished_store_of_other_versions_is_refused(tmp_path, monkeypatch):
    begin(tmp_path)
    monkeypatch.setattr("opnet.data.recipe.software_versions", lambda: {"opnet": "9.9"})
    with pytest.raises(ValueError, match="go on with those or choose another folder"):
        generate(RECIPE, tmp_path)


def test_a_full_disk_keeps_what_was_acknowledged(tmp_path, monkeypatch, reference):
    begin(tmp_path)

    def full(descriptor, content):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space left"):
            generate(RECIPE, tmp_path)
    assert not list(tmp_path.rglob("*.part"))
    generate(RECIPE, tmp_path)
    assert fingerprint(tmp_path) == fingerprint(reference)


class NotFinite(SinePoisson):
    def sample(self, seed, indices, resolution, *, estimate_error=True, device="cpu"):
        samples = super().sample(seed, indices, resolution, estimate_error=estimate_error)
        samples.targets[0, 0, 0] = 1e300  # Inf in float32
        return samples


def test_values_that_are_not_finite_never_reach_a_store(tmp_path):
    with pytest.raises(ValueError, match=r"NotFinite\.sample: targets: expected finite values"):
        generate(replace(RECIPE, problem=NotFinite()), tmp_path)


def test_workers_are_at_least_one(tmp_path):
    with pytest.raises(ValueError, match="workers: expected at least 1, found 0"):
        generate(RECIPE, tmp_path, workers=0)


def test_trajectories_are_stored_with_their_times_and_diagnostics(tmp_path):
    recipe = replace(RECIPE, problem=SineHeat(), error_share=0.5)
    store = generate(recipe, tmp_path)
    data = open_dataset(tmp_path).train
    expected = recipe.problem.sample(0, range(20), 16)
    batch = data.batch([3, 17])
    assert data.times.tolist() == batch.times.tolist() == store.manifest.times == [0.0, 0.01, 0.02]
    assert batch.targets.shape == (2, 3, 1, 16)
    assert torch.equal(batch.targets, expected.targets[[3, 17]].float())
    assert torch.equal(batch.inputs, batch.targets[:, 0])
    assert torch.isnan(data.residual).all()
    assert torch.isfinite(data.discretisation_error).sum() == 10
    assert torch.allclose(data.diagnostics["energy"], expected.diagnostics["energy"], rtol=1e-12)
    assert torch.equal(data.subset([4]).diagnostics["energy"], data.diagnostics["energy"][[4]])
    held = data.in_memory()
    assert torch.equal(held.times, data.times)
    assert torch.equal(held.diagnostics["energy"], data.diagnostics["energy"])


def test_the_solution_at_one_time_has_no_time_axis(tmp_path):
    generate(replace(RECIPE, problem=SineHeat(times=0.02)), tmp_path)
    data = open_dataset(tmp_path).train
    assert data.times is None
    assert data.batch([0]).targets.shape == (1, 1, 16)


def test_only_chaotic_problems_may_leave_errors_unknown(tmp_path):
    generate(replace(RECIPE, problem=ChaoticHeat()), tmp_path / "chaotic")
    data = open_dataset(tmp_path / "chaotic").train
    assert torch.isfinite(data.discretisation_error).tolist() == [True, False] * 10
    assert data.diagnostics["predictability_horizon"].tolist() == [0.02, 0.0] * 10
    with pytest.raises(ValueError, match=r"discretisation_error: expected finite values .* with 4 not finite"):
        generate(replace(RECIPE, problem=Ignorant()), tmp_path / "ignorant")


class Ignorant(SinePoisson):
    def sample(self, seed, indices, resolution, **keywords):
        return super().sample(seed, indices, resolution, estimate_error=False)


class Undeclared(SineHeat):
    def sample(self, seed, indices, resolution, **keywords):
        return replace(super().sample(seed, indices, resolution, **keywords), diagnostics={})


class Timed(SinePoisson):
    @property
    def trajectory_times(self):
        return (0.0, 1.0)


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (Undeclared(), r"Undeclared\.sample: diagnostics: expected those declared, \['energy'\], found \[\]"),
        (Timed(), r"Timed\.sample: times: expected \(0\.0, 1\.0\) as in trajectory_times, found \(\)"),
    ],
)
def test_what_a_problem_does_not_declare_is_refused(tmp_path, problem, message):
    with pytest.raises(ValueError, match=message):
        generate(replace(RECIPE, problem=problem), tmp_path)


def test_a_finished_store_grows_and_keeps_its_shards(tmp_path, reference):
    out = tmp_path / "store"
    small = replace(RECIPE, n_train=RECIPE.n_train - 3, n_test=RECIPE.n_test - 1)
    generate(small, out)
    kept = {path: path.read_bytes() for path in (out / "shards").iterdir()}
    grown = generate(RECIPE, out, append=True)
    assert grown.complete
    assert grown.recipe_digest == RECIPE.digest
    assert all(path.read_bytes() == content for path, content in kept.items())
    whole, parts = open_dataset(reference), open_dataset(out)
    for first, second in ((whole.train, parts.train), (whole.at(32), parts.at(32))):
        a, b = first.all(), second.all()
        assert torch.equal(a.inputs, b.inputs)
        torch.testing.assert_close(a.targets, b.targets)
        assert torch.equal(first.stream_index, second.stream_index)
    assert generate(RECIPE, out).digest == grown.digest


def test_an_interrupted_append_goes_on(tmp_path):
    small = replace(RECIPE, n_train=6)
    generate(small, tmp_path)

    def interrupt(done, total, message=""):
        if done >= 16:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(RECIPE, tmp_path, append=True, progress=interrupt)
    assert not Store.open(tmp_path).complete
    assert generate(RECIPE, tmp_path).complete
    assert len(open_dataset(tmp_path).train) == RECIPE.n_train


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": 5}, "seed: expected that of the store to append to, 0, found 5"),
        ({"n_train": 4}, "n_train: expected at least the 20 samples there are, found 4"),
        ({"problem": SinePoisson(modes=5)}, "problem: expected that of the store"),
    ],
)
def test_what_cannot_be_appended_is_refused(tmp_path, reference, changed, message):
    with pytest.raises(ValueError, match=message):
        generate(replace(RECIPE, **changed), reference, append=True)


def test_an_unfinished_store_is_finished_before_it_grows(tmp_path):
    def interrupt(done, total, message=""):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(RECIPE, tmp_path, progress=interrupt)
    with pytest.raises(ValueError, match="expected a finished store to append to"):
        generate(replace(RECIPE, n_train=30), tmp_path, append=True)


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cuda:99", "meta"])
def test_a_device_that_is_not_there_is_named_before_anything_is_written(tmp_path, device):
    with pytest.raises(
        ValueError, match=f"device: expected one that can be used here, such as 'cpu', found '{device}'"
    ):
        generate(RECIPE, tmp_path / "store", device=device)
    assert not (tmp_path / "store").exists()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_store_of_a_gpu_names_its_kind_and_is_not_mixed(tmp_path):
    store = generate(RECIPE, tmp_path / "store", device="cuda")
    assert store.manifest.device == "cuda"
    generate(RECIPE, tmp_path / "reference")
    on_gpu, on_cpu = (open_dataset(tmp_path / name).train.all().targets for name in ("store", "reference"))
    torch.testing.assert_close(on_gpu, on_cpu)
    with pytest.raises(ValueError, match=r"on cpu, found .* on cuda"):
        generate(replace(RECIPE, n_train=30), tmp_path / "store", append=True)


def test_a_missing_permission_is_named(tmp_path):
    def work(report):
        os.chmod(tmp_path, 0o755)
        os.seteuid(65534)
        try:
            generate(RECIPE, tmp_path / "store")
        except PermissionError as error:
            report(error.filename)

    if os.geteuid() == 0:
        for folder in (tmp_path, *tmp_path.parents[:2]):
            folder.chmod(0o755)
        assert run_in_fork(work).reports == [str(tmp_path / "store")]
    else:
        tmp_path.chmod(0o555)
        with pytest.raises(PermissionError, match="store"):
            generate(RECIPE, tmp_path / "store")
