import gc
import os
from pathlib import Path

import pytest
import torch

# The tests' workers share the cores, and threads that wait for each other on shared cores stand still. Also for the
# processes that tests start.
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)


def pytest_collection_finish() -> None:
    """What was collected stays: the garbage collector need not walk thousands of tests again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared() -> Path:
    """Other people's data that tests read: OPNET_SHARED, else `../shared` beside the clone."""
    clone = Path(__file__).resolve().parents[1]
    path = Path(os.environ.get("OPNET_SHARED") or clone.parent / "shared")
    if (path / "data").is_dir():
        return path
    reason = "needs shared data: set OPNET_SHARED, or put a folder `shared` beside the clone"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(autouse=True)
def _same_draws_in_every_order() -> None:
    """Tests draw the same numbers whichever worker runs them, after whichever other test."""
    torch.manual_seed(0)
