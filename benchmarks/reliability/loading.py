"""Read a store from four processes at once, 10,000 batches; count wrong samples and watch the memory.

    python benchmarks/reliability/loading.py --quick --out loading.json

Every value of sample i is a function of i, so that a wrong row, a torn read or a buffer shared by mistake shows. Four
worker processes of a `DataLoader`, forked and spawned; then one process into memory used before. The resident memory of
all processes near the end may exceed that after the first third by 5 MiB.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch.utils.data import DataLoader

from opnet.data.batch import Batch, as_batch
from opnet.data.generate import generate
from opnet.data.recipe import DataRecipe
from opnet.data.store_dataset import StoreDataset
from opnet.evaluation.records import Record, record, write_results
from opnet.solvers.pde.problem import Problem, Samples
from opnet.spaces.grid import Grid

SAMPLES, SIDE, BATCH = 200, 32, 8
ALLOWED = 5 * 2**20


@dataclass(frozen=True)
class Numbered(Problem):
    """Inputs are the sample's number everywhere, targets its negative, plus the node's number in thousands."""

    equation: ClassVar[str] = "u = -f"
    input_names: ClassVar[tuple[str, ...]] = ("f",)
    target_names: ClassVar[tuple[str, ...]] = ("u",)
    units: ClassVar[dict[str, str]] = {"f": "1", "u": "1"}
    solver: ClassVar[str] = "none"
    error_method: ClassVar[str] = "none"

    def grid(self, resolution: int) -> Grid:
        return Grid((resolution, resolution), nodes="cell")

    def sample(self, seed, indices, resolution, *, estimate_error=True, device="cpu") -> Samples:
        grid = self.grid(resolution)
        fields = torch.stack([field(index) for index in indices])
        zero = torch.zeros(len(indices), dtype=torch.float64)
        return Samples(fields, -fields, zero, zero, grid)


def field(index: int) -> torch.Tensor:
    return index + 1000 * torch.arange(SIDE * SIDE, dtype=torch.float64).reshape(1, SIDE, SIDE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="1,000 batches instead of 10,000")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    batches = 1_000 if arguments.quick else 10_000
    records: list[Record] = []
    with tempfile.TemporaryDirectory() as folder:
        store = generate(DataRecipe(problem=Numbered(), n_train=SAMPLES, n_test=1, train_resolution=SIDE), folder)
        for case in ("fork", "spawn", "reused memory"):
            data = StoreDataset(store, "train", SIDE)
            chance = np.random.default_rng(arguments.seed)
            plan = [chance.permutation(SAMPLES)[:BATCH].tolist() for _ in range(batches)]
            wrong, growth = check(batches_of(data, plan, case), plan)
            print(
                f"{case}: {wrong} wrong samples of {batches * BATCH}, memory {growth / 2**20:+.1f} MiB", file=sys.stderr
            )
            records.append(record("failures", wrong, test="concurrent_loading", case=case, of=batches * BATCH))
            records.append(record("memory_growth", growth / 2**20, test="concurrent_loading", case=case, unit="MiB",
                                  expected=0.0, tolerance=ALLOWED / 2**20))  # fmt: skip
    write_results(arguments.out, records, seed=arguments.seed)


def batches_of(data: StoreDataset, plan: list[list[int]], case: str) -> Iterator[Batch]:
    if case == "reused memory":
        out = data.batch(plan[0])
        return (data.batch(rows, out=out) for rows in plan)
    return iter(DataLoader(data, batch_sampler=plan, collate_fn=as_batch, num_workers=4, multiprocessing_context=case))


def check(batches: Iterator[Batch], plan: list[list[int]]) -> tuple[int, float]:
    """Samples that are not what was asked for, and how the memory of this process and its children grew."""
    wrong, before, after = 0, 0, 0
    for number, (batch, rows) in enumerate(zip(batches, plan, strict=True)):
        expected = torch.stack([field(row) for row in rows]).float()
        same = (batch.inputs == expected).flatten(1).all(1) & (batch.targets == -expected).flatten(1).all(1)
        wrong += int((~same).sum()) + (batch.index is None or batch.index.tolist() != rows)
        if number == len(plan) // 3:  # every worker has met every shard
            before = resident()
        if number == len(plan) * 19 // 20:  # and none has ended
            after = resident()
    return wrong, after - before


def resident() -> int:
    """Bytes that this process and its children hold and share with none (USS)."""
    total = 0
    children = Path("/proc/self/task").glob("*/children")
    for pid in ["self", *(child for listed in children for child in listed.read_text().split())]:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:  # it ended meanwhile
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))
    return total


if __name__ == "__main__":
    main()
