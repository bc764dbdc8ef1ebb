"""Test error of DeepONet on the antiderivative, at the published setting and with all nodes as targets.

    python benchmarks/accuracy/antiderivative.py --quick --out antiderivative.json

u is a Gaussian process of length .2 on (0, 1), read by 100 sensors, s its integral from 0; branch [100, 40, 40], trunk
[1, 40, 40], ReLU, Glorot's first weights, Adam at 1e-3 without schedule. Lu et al. 2021 report a test MSE of 9.3e-7.
The parts, chosen by `--parts`:

- `unaligned`: the published setting. 10,000 functions u, each with s at one point of its own; all of them in every one
  of 50,000 steps; 100,000 test functions, each with s at one point. Points are random nodes of a grid of 496. `fit`
  takes data sets on a grid, so this is a plain loop over `model(u, grid, points)`.
- `cartesian`: the same architecture, functions and number of steps by `fit`, s at all 100 nodes: 100 times as many
  targets. Steps are on 200 functions. Beside Adam at 1e-3, the cosine schedule.
- `convergence`: `unaligned` with fewer functions and 4,000 steps, the MSE's order in the number of functions. The paper
  reports exponential decay at first, then orders from a half to four.

MSE is the mean of squared errors over the test pairs; `relative` is its root over the root mean square of s. `n` is the
number of steps (`unaligned`, `cartesian`) or of functions (`convergence`). Results are written after every part and
every 5,000 steps, so that a run that is stopped leaves what it had.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from opnet.data.batch import ArrayDataset
from opnet.evaluation.convergence import measure_convergence
from opnet.evaluation.metrics import MSE
from opnet.evaluation.records import Record, record, write_results
from opnet.models.deeponet import DeepONet
from opnet.solvers.pde.antiderivative import Antiderivative
from opnet.spaces.grid import Grid
from opnet.training.config import FitConfig
from opnet.training.fit import fit

SENSORS, FINE = 100, 496  # the sensors are every fifth node of the fine grid
PUBLISHED, RATE, TEST_OFFSET = 9.3e-7, 1e-3, 2**32
GRID = Grid((SENSORS,))
PARTS = ("unaligned", "cartesian", "convergence")


@dataclass(frozen=True)
class Scale:
    """How much is run."""

    functions: int = 10_000
    tests: int = 100_000
    steps: int = 50_000
    every: int = 5_000
    sizes: tuple[int, ...] = (250, 500, 1000, 2000)
    seeds: tuple[int, ...] = (0, 1)
    convergence_steps: int = 4_000


QUICK = Scale(1_000, 5_000, 2_000, 1_000, (125, 250, 500), (0,), 1_000)


@dataclass(frozen=True)
class Pairs:
    """Functions at the sensors, each with its integral at one point.

    # shape: (sample, 1, sensor), (sample, 1, 1), (sample, 1, 1)
    """

    u: Tensor
    x: Tensor
    s: Tensor

    @classmethod
    def draw(cls, count: int, first: int = 0) -> Pairs:
        problem, x = Antiderivative(), Antiderivative().grid(FINE).axis(0)
        generator = torch.Generator().manual_seed(first % (2**31) + 1)
        parts = []
        for start in range(0, count, 1000):
            indices = range(first + start, first + min(start + 1000, count))
            samples = problem.sample(0, indices, FINE, estimate_error=False)
            node = torch.randint(FINE, (len(indices), 1, 1), generator=generator)
            u = samples.inputs[..., :: (FINE - 1) // (SENSORS - 1)]
            parts.append((u, x[node], samples.targets.gather(2, node)))
        return cls(*(torch.cat(values).float() for values in zip(*parts, strict=True)))

    def mean_square(self) -> float:
        return float(self.s.square().mean())

    def error(self, model: nn.Module) -> float:
        """MSE of a model."""
        with torch.no_grad():
            squares = [
                (model(u, GRID, x) - s).square().sum()
                for u, x, s in zip(self.u.split(5000), self.x.split(5000), self.s.split(5000), strict=True)
            ]
        return float(torch.stack(squares).sum()) / len(self.s)


def published_model(seed: int) -> DeepONet:
    torch.manual_seed(seed)
    model = DeepONet(1, 1, (SENSORS,), (40, 40), (40, 40), activation="relu", sensor_nodes="vertex")
    for parameter in model.parameters():
        if parameter.ndim == 2:
            nn.init.xavier_normal_(parameter)
        else:
            nn.init.zeros_(parameter)
    return model


def train_on_pairs(model: nn.Module, pairs: Pairs, steps: int, at: Callable[[int], None] = lambda step: None) -> None:
    """Adam on all pairs at once; `at` is called after every step."""
    optimizer = torch.optim.Adam(model.parameters(), RATE, fused=True)
    for step in range(1, steps + 1):
        loss = (model(pairs.u, GRID, pairs.x) - pairs.s).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        at(step)


class Study:
    """The records so far, and where they are written."""

    def __init__(self, out: Path, scale: Scale) -> None:
        self.out, self.scale = out, scale
        self.records: list[Record] = []
        self.test = Pairs.draw(scale.tests, TEST_OFFSET)
        self.started = time.process_time()

    def note(self, records: list[Record]) -> None:
        self.records += records
        write_results(self.out, self.records, seed=0, processor_seconds=time.process_time() - self.started)

    def measured(self, model: nn.Module, part: str, steps: int, **labels: str) -> None:
        error = self.test.error(model)
        relative = (error / self.test.mean_square()) ** 0.5
        common = {"part": part, "n": steps, "model": "DeepONet", "problem": "antiderivative", "seed": 0, **labels}
        expected = PUBLISHED if steps == Scale.steps else None
        self.note([record("MSE", error, expected=expected, **common), record("relative", relative, **common)])
        print(f"{part} {labels}: step {steps}, test MSE {error:.3g}, relative {relative:.2e}", flush=True)

    def unaligned(self) -> None:
        scale, model = self.scale, published_model(0)

        def at(step: int) -> None:
            if step % scale.every == 0:
                self.measured(model, "unaligned", step)

        train_on_pairs(model, Pairs.draw(scale.functions), scale.steps, at)

    def cartesian(self) -> None:
        samples = Antiderivative().sample(0, range(self.scale.functions), SENSORS, estimate_error=False)
        dataset = ArrayDataset(samples.inputs.float(), samples.targets.float(), GRID)
        batch_size = 200
        epochs = self.scale.steps * batch_size // len(dataset)
        for schedule in ("constant", "cosine"):
            model = published_model(0)
            config = FitConfig(epochs=epochs, batch_size=batch_size, learning_rate=RATE, schedule=schedule)
            run = fit(model, dataset, loss=MSE(), config=config)
            self.measured(model, "cartesian", run.steps, case=schedule)

    def convergence(self) -> None:
        def error_at(functions: int, seed: int) -> float:
            model = published_model(seed)
            train_on_pairs(model, Pairs.draw(functions, 10**6 * (seed + 1)), self.scale.convergence_steps)
            error = self.test.error(model)
            print(f"convergence: {functions} functions, seed {seed}: test MSE {error:.3g}", flush=True)
            return error

        study = measure_convergence(error_at, self.scale.sizes, self.scale.seeds)
        self.note(study.records(model="DeepONet", problem="antiderivative", case="convergence"))
        low, high = study.interval
        print(f"convergence: order {study.order:.2f} [{low:.2f}, {high:.2f}], local {study.local_orders}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer functions and steps")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    study = Study(arguments.out, QUICK if arguments.quick else Scale())
    for part in arguments.parts:
        getattr(study, part)()


if __name__ == "__main__":
    main()
