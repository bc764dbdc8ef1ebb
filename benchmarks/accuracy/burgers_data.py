"""Samples of the neuraloperator package's Burgers file made again from their own inputs, and how far apart they are.

    python benchmarks/accuracy/burgers_data.py --quick --out results.json

Its x, 16 nodes on (0,1), is taken as a trigonometric polynomial, solved with nu = .01 to t = 1, and compared with its y
at the same nodes. 16 nodes limit how well x is known.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from opnet.data.dataset import open_dataset
from opnet.evaluation.records import record, write_results
from opnet.solvers.pde.burgers import Burgers
from opnet.solvers.pde.periodic_box import evaluate
from opnet.spaces.fields.base import RandomField
from opnet.spaces.grid import Grid

N_TEST = 100  # the file has no test split; any will do


@dataclass(frozen=True)
class Interpolants(RandomField):
    """Sample i is the trigonometric interpolant of row i, whatever the seed."""

    values: Tensor = field(repr=False)

    def sample(self, seed: int, indices: Sequence[int], grid: Grid, *, key: Sequence[int] = ()) -> Tensor:
        rows = self.values[list(indices)]
        own = Grid((rows.shape[-1],), grid.extent, "periodic")
        return evaluate(rows, own, grid)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="200 samples instead of all")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="the folder of burgers_train_16.pt")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    shared = Path(os.environ.get("OPNET_SHARED") or Path(__file__).resolve().parents[2].parent / "shared")
    folder = arguments.data or shared / "data" / "neuraloperator"
    train = open_dataset(folder, format="neuraloperator", problem="burgers", n_test=N_TEST).train
    count = min(len(train), 200) if arguments.quick else len(train)
    batch = train.batch(range(count))
    x, y = batch.inputs[:, 0].double(), batch.targets[:, 0].double()
    problem = Burgers(1.0, length=1.0, nu=0.01, initial=Interpolants(x), nodes=128)
    made = problem.sample(0, range(count), x.shape[-1])
    error = (made.targets[:, 0] - y).norm(dim=1) / y.norm(dim=1)
    own = made.discretisation_error
    print(
        f"{count} samples: mean {float(error.mean()):.4f}, largest {float(error.max()):.4f}, own error {own.max():.1e}"
    )
    labels = {"problem": "burgers", "data": "neuraloperator", "resolution": [x.shape[-1]], "of": count}
    records = [
        record("RelativeL2", float(error.mean()), part="mean", expected=0.0, tolerance=0.03, **labels),
        record("RelativeL2", float(error.max()), part="max", **labels),
        record("discretisation_error", float(own.max()), part="max", **labels),
    ]
    write_results(arguments.out, records, seed=0)


if __name__ == "__main__":
    main()
