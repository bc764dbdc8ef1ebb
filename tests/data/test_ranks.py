import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fault_injection import fingerprint

from opnet.data.generate import generate
from opnet.data.recipe import DataRecipe
from opnet.solvers.pde.advection import Advection

RECIPE = """
name = "shared"
[data]
problem = "advection"
times = [0.0, 0.5]
n_train = 100
n_test = 7
train_resolution = 16
resolutions = [32]
"""

pytestmark = pytest.mark.slow


def launch(folder: Path, ranks: int, *arguments: str) -> subprocess.Popen[str]:
    (folder / "recipe.toml").write_text(RECIPE)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(ranks), "--master-port", "0"]
    command += ["--standalone", "-m", "opnet", "generate", str(folder / "recipe.toml"), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    problem = Advection(times=(0.0, 0.5))
    recipe = DataRecipe(
        problem=problem, n_train=100, n_test=7, train_resolution=16, test_resolutions=(32,), name="shared"
    )
    generate(recipe, folder)
    return fingerprint(folder)


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_make_the_bytes_of_one_process(tmp_path, reference, ranks):
    process = launch(tmp_path, ranks, "--out", str(tmp_path / "store"))
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert out.count("store: ") == 1
    assert fingerprint(tmp_path / "store") == reference


def test_a_failure_ends_all_ranks_and_says_which(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store/notes.txt").write_text("mine")
    process = launch(tmp_path, 2, "--out", str(tmp_path / "store"))
    _, err = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "expected a store or an empty folder, found notes.txt" in err


def test_a_killed_rank_ends_the_others_and_the_next_run_goes_on(tmp_path, reference):
    process = launch(tmp_path, 2, "--out", str(tmp_path / "store"), "--set", "data.n_train=100")
    manifest = tmp_path / "store/manifest.json"
    while not manifest.exists():
        time.sleep(0.01)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode != 0
    again = launch(tmp_path, 2, "--out", str(tmp_path / "store"))
    _, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    assert fingerprint(tmp_path / "store") == reference
