"""A training small enough to be repeated, for several tests; as a script, one that can be killed."""

import os
import signal
import sys

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


def kill_at(step, number):
    """A progress that sends this process a signal after a step."""

    def progress(done, total, message=""):
        if done == step:
            os.kill(os.getpid(), number)

    return progress


if __name__ == "__main__":
    folder, where, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
    torch.set_num_threads(1)
    progress = kill_at(-1, signal.SIGKILL)
    if where.startswith("step"):
        progress = kill_at(int(where.removeprefix("step")), signal.SIGKILL)
    elif where.startswith("fsync"):
        left, fsync = [int(where.removeprefix("fsync"))], os.fsync

        def dying_fsync(descriptor):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            fsync(descriptor)

        os.fsync = dying_fsync
    elif where == "slow":
        from opnet.training import fit as module

        step = module._Training._step

        def slow_step(self, epoch):
            torch.ones(1).add_(1)
            import time

            time.sleep(0.3)
            step(self, epoch)
            print(self.standing.step, flush=True)

        module._Training._step = slow_step
    fit(model(seed), data(), config=CONFIG, folder=folder, progress=progress, checkpoint_seconds=0.0)
