"""A training small enough to be repeated many times; as a script, one that waits to be terminated."""

import os
import sys
import time

import torch

from opnet.data.batch import ArrayDataset
from opnet.models.fno import FNO
from opnet.spaces.grid import Grid
from opnet.spaces.streams import stream
from opnet.training.config import FitConfig
from opnet.training.fit import fit

CONFIG = FitConfig(epochs=4, batch_size=4, learning_rate=1e-2, weight_decay=1e-3, gradient_clip=0.5)
STEPS = 12


def data(n=10):
    grid = Grid((16,), boundary="periodic")
    inputs = torch.from_numpy(stream(3, 1).normal(size=(n, 1, 16))).float()
    return ArrayDataset(inputs, torch.roll(inputs, 1, -1) + 0.3 * inputs, grid)


def model(seed=0, layers=1):
    torch.manual_seed(seed)
    return FNO(1, 1, modes=(4,), width=4, layers=layers, projection_width=8)


def weights(module):
    return b"".join(v.detach().numpy().tobytes() for v in module.state_dict().values())


def signal_at(step, number):
    """A progress that sends this process a signal after a step."""

    def progress(done, total, message=""):
        if done == step:
            os.kill(os.getpid(), number)

    return progress


def slowly(done, total, message=""):
    """A progress that says how far it is, and takes its time."""
    print(done, flush=True)
    time.sleep(0.3)


if __name__ == "__main__":
    fit(model(), data(), config=CONFIG, folder=sys.argv[1], progress=slowly)
