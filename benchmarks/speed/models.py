"""A training step of the operator networks against their references, one thread.

    python benchmarks/speed/models.py --quick --out models.json

A step is forward, relative L2, backward, `torch.optim.Adam`, for all alike. The Fourier neural operator has the same
modes (non-negative frequencies below m), width, layers, single linear lifting and hidden channels of the projection as
its references: neuraloperator's FNO in its default form, the same with `use_channel_mlp=False`, and the structure of
2021 (see `original_fno`). All run in turn on the same data; medians of process time are compared. Peak memory is what
a fresh process that only trains grows by, from before the model is made (and after a step of a tiny one).

Gates, in every row: `speedup_vs_neuraloperator` at least 1.8, against the form without channel MLP at least 1.4, and
`memory_vs_original` at most 0.85.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from original_fno import OriginalFNO
from torch import Tensor, nn

from opnet.evaluation.metrics import RelativeL2
from opnet.evaluation.records import Record, record, write_results
from opnet.models.fno import FNO
from opnet.spaces.grid import Grid

PROJECTION_WIDTH = 128
LAYERS = 4
OURS, DEFAULT, PLAIN, ORIGINAL = "opnet", "neuraloperator", "neuraloperator without channel MLP", "original structure"


@dataclass(frozen=True)
class Case:
    shape: tuple[int, ...]
    modes: int
    width: int
    batch: int


CASES = {
    "fno2d_m12_w32": Case((64, 64), 12, 32, 20),
    "fno2d_m16_w64": Case((64, 64), 16, 64, 16),
    "fno1d_m16_w64": Case((1024,), 16, 64, 20),
    "fno3d_m8_w20": Case((32, 32, 32), 8, 20, 4),
}


def build(model: str, case: Case) -> nn.Module:
    dim = len(case.shape)
    if model == OURS:
        return FNO(1, 1, (case.modes,) * dim, case.width, layers=LAYERS, projection_width=PROJECTION_WIDTH)
    if model == ORIGINAL:
        return OriginalFNO(case.modes, case.width, dim, LAYERS, PROJECTION_WIDTH)
    from neuralop.models import FNO as Reference

    return Reference(
        n_modes=(2 * case.modes - 1,) * dim,  # counts both signs: |k| < m
        in_channels=1,
        out_channels=1,
        hidden_channels=case.width,
        n_layers=LAYERS,
        lifting_channel_ratio=0,  # one linear map
        projection_channel_ratio=PROJECTION_WIDTH / case.width,
        use_channel_mlp=model == DEFAULT,
    )


def training_step(model: nn.Module, inputs: Tensor, targets: Tensor) -> Callable[[], float]:
    optimiser, loss = torch.optim.Adam(model.parameters(), lr=1e-3), RelativeL2()
    grid = Grid(tuple(inputs.shape[2:]), nodes="cell")

    def step() -> float:
        optimiser.zero_grad()
        value = loss(model(inputs), targets, grid).mean()
        value.backward()
        optimiser.step()
        return float(value.detach())

    return step


def step_of(model: str, case: Case, seed: int) -> Callable[[], float]:
    torch.manual_seed(seed)
    inputs, targets = torch.randn(2, case.batch, 1, *case.shape)
    return training_step(build(model, case), inputs, targets)


def in_turn(contestants: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median process time of each, in seconds, measured in turn after two runs each to warm up."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for repeat in range(repeats + 2):
        for name, run in contestants.items():
            start = time.process_time()
            run()
            if repeat > 1:
                times[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def growth(model: str, case: Case) -> int:
    """Bytes by which this process's peak rises above its size before the model is made, and after a tiny one's step."""
    step_of(model, Case((16,) * len(case.shape), 2, 2, 1), 0)()  # imports, and what libraries set up at first use
    size = _status("VmRSS")
    step = step_of(model, case, 0)
    for _ in range(3):
        step()
    return _status("VmHWM") - size


def _status(field: str) -> int:
    """Bytes, of this process image alone: `getrusage` would count what forked it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field))


def peak_memory(model: str, name: str) -> int:
    """`growth` in a fresh process."""
    command = [sys.executable, __file__, "--peak-memory-of", model, name]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def fourier(repeats: int, seed: int) -> list[Record]:
    """The rows of the Fourier neural operator."""
    records = []
    for name, case in CASES.items():
        steps = {model: step_of(model, case, seed) for model in (OURS, DEFAULT, PLAIN, ORIGINAL)}
        times = in_turn(steps, repeats)
        peaks = {model: peak_memory(model, name) for model in steps}
        records += [record("seconds", times[model], unit="s", model=model, case=name) for model in steps]
        records += [record("peak_memory", peaks[model], unit="B", model=model, case=name) for model in steps]
        records += [
            record("speedup_vs_neuraloperator", times[DEFAULT] / times[OURS], unit="1", case=name),
            record("speedup_vs_neuraloperator_no_channel_mlp", times[PLAIN] / times[OURS], unit="1", case=name),
            record("speedup_vs_original", times[ORIGINAL] / times[OURS], unit="1", case=name),
            record("memory_vs_original", peaks[OURS] / peaks[ORIGINAL], unit="1", case=name),
        ]
        ratios = ", ".join(f"{times[model] / times[OURS]:.2f} x {model}" for model in list(steps)[1:])
        text = ", ".join(f"{m} {1e3 * times[m]:.0f} ms {peaks[m] / 1e6:.0f} MB" for m in steps)
        print(f"{name}: {text}; {ratios}; memory {peaks[OURS] / peaks[ORIGINAL]:.2f} of the original's", flush=True)
    return records


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="5 repeats instead of 11")
    parser.add_argument("--out", type=Path, required="--peak-memory-of" not in sys.argv)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peak-memory-of", nargs=2, metavar=("MODEL", "CASE"), help="only print this, in bytes")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.peak_memory_of:
        model, name = arguments.peak_memory_of
        print(growth(model, CASES[name]))
        return
    import neuralop

    records = fourier(5 if arguments.quick else 11, arguments.seed)
    write_results(arguments.out, records, seed=arguments.seed, peers={"neuraloperator": neuralop.__version__})


if __name__ == "__main__":
    main()
