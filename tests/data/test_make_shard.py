import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from analytic_problem import SinePoisson
from killed_generation import RECIPE

from opnet.core.errors import SolveError
from opnet.core.status import Status
from opnet.data.make_shard import made_shards

SCRIPT = """
import sys, time
from pathlib import Path
from killed_generation import RECIPE
from opnet.data.make_shard import made_shards

if __name__ == "__main__":
    out = Path(sys.argv[1])
    (out / "shards").mkdir()
    with made_shards(RECIPE, RECIPE.shards, out, 2) as shards:
        next(iter(shards))
        print("ready", flush=True)
        time.sleep(60)
"""


class Threads(SinePoisson):
    def sample(self, seed, indices, resolution, *, estimate_error=True, device="cpu"):
        assert torch.get_num_threads() == 1
        assert not torch.is_grad_enabled()
        return super().sample(seed, indices, resolution, estimate_error=estimate_error)


def test_the_number_of_threads_is_always_the_same_and_given_back(tmp_path):
    (tmp_path / "shards").mkdir()
    recipe, before = replace(RECIPE, problem=Threads()), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with made_shards(recipe, recipe.shards, tmp_path, 1) as shards:
            assert len(list(shards)) == len(recipe.shards)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_errors_of_workers_cross_the_process_border():
    error = SolveError("sample 9", status=Status.MAX_ITERATIONS, index=9, time=0.5)
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.status, copy.index, copy.time) == ("sample 9", Status.MAX_ITERATIONS, 9, 0.5)


@pytest.mark.slow
def test_workers_end_with_a_killed_parent(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    (tmp_path / "out").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    parent = subprocess.Popen(
        [sys.executable, script, tmp_path / "out"], env=environment, stdout=subprocess.PIPE, start_new_session=True
    )
    assert parent.stdout.readline() == b"ready\n"
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 10
    while True:
        try:
            os.killpg(parent.pid, 0)
        except ProcessLookupError:
            return
        assert time.monotonic() < deadline, "processes of a killed run are still there after 10 s"
        time.sleep(0.1)
