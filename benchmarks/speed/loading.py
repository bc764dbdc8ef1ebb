"""How fast random batches are read from a store whose bytes are in the page cache.

    taskset -c 1 env OMP_NUM_THREADS=1 python benchmarks/speed/loading.py --quick --out loading.json

Samples of 320 KiB (input and target together), made of noise, in a store. Ways in turn, for the same random batches:

- opnet: `batch(indices, out=batch)`, into memory used before; and with fresh memory for each batch;
- memmap: rows of an `np.memmap` copied into memory used before: what the machine allows;
- h5py: sorted rows of one chunked data set by fancy indexing, and one sample at a time by `read_direct`;
- a `DataLoader` over opnet's data set, without and with workers.

Medians over rounds, wall-clock time on one pinned processor. Verifying the shards (SHA-256, finiteness), which happens
once for every opened store, is stated apart.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import h5py
import numpy as np
import torch
from torch.utils.data import DataLoader

from opnet.data.batch import Batch, as_batch
from opnet.data.generate import generate
from opnet.data.recipe import DataRecipe
from opnet.data.store import Store
from opnet.data.store_dataset import StoreDataset
from opnet.evaluation.records import Record, record, write_results
from opnet.solvers.pde.problem import Problem, Samples
from opnet.spaces.grid import Grid
from opnet.spaces.streams import stream

SIDE = 200  # two float32 fields of 200 x 200: 312.5 KiB
BATCH = 20


@dataclass(frozen=True)
class Noise(Problem):
    """Fields of noise, which take no time to solve and do not compress."""

    equation: ClassVar[str] = "u = f, both noise"
    input_names: ClassVar[tuple[str, ...]] = ("f",)
    target_names: ClassVar[tuple[str, ...]] = ("u",)
    units: ClassVar[dict[str, str]] = {"f": "1", "u": "1"}
    solver: ClassVar[str] = "none"
    error_method: ClassVar[str] = "none"

    def grid(self, resolution: int) -> Grid:
        return Grid((resolution, resolution), nodes="cell")

    def sample(self, seed, indices, resolution, *, estimate_error=True, device="cpu") -> Samples:
        grid = self.grid(resolution)
        values = np.stack([stream(seed, index).random((2, *grid.shape)) for index in indices])
        zero = torch.zeros(len(indices), dtype=torch.float64)
        fields = torch.from_numpy(values)
        return Samples(fields[:, :1], fields[:, 1:], zero, zero, grid)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="500 samples and 5 rounds instead of 2000 and 11")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        records, digest = measure(Path(folder), *((500, 5) if arguments.quick else (2000, 11)))
    write_results(arguments.out, records, seed=0, dataset=digest)


def measure(folder: Path, samples: int, rounds: int) -> tuple[list[Record], str]:
    recipe = DataRecipe(problem=Noise(), n_train=samples, n_test=1, train_resolution=SIDE)
    generate(recipe, folder / "store")
    store = Store.open(folder / "store")
    begin = time.perf_counter()
    store.verify()
    verified = time.perf_counter() - begin
    data = StoreDataset(store, "train", SIDE)
    whole = data.all()
    both = torch.cat([whole.inputs, whole.targets], 1).numpy()
    np.save(folder / "fields.npy", both)
    with h5py.File(folder / "fields.h5", "w") as file:
        file.create_dataset("fields", data=both, chunks=(1, *both.shape[1:]))
    batches = [np.random.default_rng(i).permutation(samples)[:BATCH] for i in range(max(10, samples // BATCH // 2))]
    size = len(batches) * BATCH * both[0].nbytes / 1e6
    del whole, both

    ways = _ways(folder, data, batches)
    for way in ways.values():
        way()  # from the disk to the page cache
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            begin = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - begin)
    rate = {name: size / statistics.median(times) for name, times in seconds.items()}
    records = [record("throughput", value, unit="MB/s", case=name) for name, value in rate.items()]
    ratios = [a / b for a, b in zip(seconds["np.memmap, reused memory"], seconds["opnet, reused memory"], strict=True)]
    records.append(
        record(
            "ratio_vs_memmap", statistics.median(ratios), low=min(ratios), high=max(ratios), unit="1",
            case="opnet, reused memory", of=rounds,
        )
    )  # fmt: skip
    records.append(record("throughput", samples * SIDE**2 * 8 / 1e6 / verified, unit="MB/s", case="verifying, once"))
    for one in records:
        print(f"{one['case']:40} {one['name']:18} {one['value']:9.2f} {one['unit']}", file=sys.stderr)
    return records, store.digest


def _ways(folder: Path, data: StoreDataset, batches: list[np.ndarray]) -> dict[str, Callable[[], None]]:
    mapped = np.load(folder / "fields.npy", mmap_mode="r")
    buffer = np.empty((BATCH, *mapped.shape[1:]), mapped.dtype)
    reused: Batch = data.batch(batches[0])

    def into_reused() -> None:
        for batch in batches:
            data.batch(batch, out=reused)

    def into_fresh() -> None:
        for batch in batches:
            data.batch(batch)

    def memmap() -> None:
        for batch in batches:
            np.take(mapped, batch, axis=0, out=buffer)

    def fancy() -> None:
        with h5py.File(folder / "fields.h5") as file:
            for batch in batches:
                file["fields"][np.sort(batch)]

    def one_at_a_time() -> None:
        with h5py.File(folder / "fields.h5") as file:
            fields = file["fields"]
            for batch in batches:
                for i, row in enumerate(batch):
                    fields.read_direct(buffer, np.s_[row : row + 1], np.s_[i : i + 1])

    def loader(workers: int, start: str | None = None) -> Callable[[], None]:
        sampler = [batch.tolist() for batch in batches]
        load = DataLoader(
            data, batch_sampler=sampler, collate_fn=as_batch, num_workers=workers, persistent_workers=workers > 0,
            multiprocessing_context=start,
        )  # fmt: skip

        def run() -> None:
            for _ in load:
                pass

        return run

    return {
        "opnet, reused memory": into_reused,
        "np.memmap, reused memory": memmap,
        "opnet, fresh memory": into_fresh,
        "h5py, sorted fancy indexing": fancy,
        "h5py, read_direct of one sample": one_at_a_time,
        "DataLoader, no workers": loader(0),
        "DataLoader, 2 forked workers": loader(2, "fork"),
        "DataLoader, 2 spawned workers": loader(2, "spawn"),
    }


if __name__ == "__main__":
    main()
