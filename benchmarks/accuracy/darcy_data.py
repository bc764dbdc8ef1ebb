"""The error of Darcy samples at each resolution, its order, and whether the estimate of it can be believed.

    python benchmarks/accuracy/darcy_data.py --quick --out results.json

The truth is the same samples solved four times finer than the finest resolution tested, averaged over cells.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from opnet.evaluation.records import record, write_results
from opnet.solvers.pde.darcy import Darcy


def cell_means(u: Tensor, n: int) -> Tensor:
    """Means over the cells of an n x n grid."""
    factor = u.shape[-1] // n
    return u.unflatten(-1, (n, factor)).unflatten(-3, (n, factor)).mean((-1, -3))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="8 samples to 128^2 instead of 40 to 256^2")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    problem, samples = Darcy(), range(8 if arguments.quick else 40)
    resolutions = (32, 64, 128) if arguments.quick else (32, 64, 128, 256)
    truth = problem.sample(arguments.seed, samples, 4 * resolutions[-1], estimate_error=False).targets
    records, previous = [], None
    for n in resolutions:
        made, mean = problem.sample(arguments.seed, samples, n), cell_means(truth, n)
        error = (made.targets - mean).flatten(1).norm(dim=1) / mean.flatten(1).norm(dim=1)
        ratio = made.discretisation_error / error
        labels = {"problem": "darcy", "resolution": [n, n], "of": len(samples)}
        low, middle, high = (float(ratio.quantile(q)) for q in (0.05, 0.5, 0.95))
        records.append(record("RelativeL2", float(error.mean()), part="true_error", **labels))
        records.append(record("estimate_over_true_error", middle, low=low, high=high, part="median_and_5_95", **labels))
        if previous is not None:
            records.append(record("order", float((previous / error).log2().mean()), **labels))
        print(f"{n}: error {float(error.mean()):.5f}, estimate / error {middle:.3f} ({low:.3f} to {high:.3f})")
        previous = error
    write_results(arguments.out, records, seed=arguments.seed)


if __name__ == "__main__":
    main()
