"""Variable-coefficient Poisson, set-up and solve to 1e-8: our multigrid-preconditioned CG against PyAMG's.

    python benchmarks/speed/linear.py --quick --out results.json

Two-phase coefficients (3 and 12) on n x n cells, homogeneous Dirichlet; the peer is PyAMG's Ruge-Stueben multigrid as
preconditioner of its CG, on the same matrix. Both run on one thread, in turn, and the medians of process time are
compared. The peer's matrix is assembled beforehand; ours is not a matrix, but forming its faces is counted.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.sparse
import torch

from opnet.evaluation.records import record, write_results
from opnet.linops.diffusion import Diffusion
from opnet.solvers.linear.cg import CG
from opnet.solvers.linear.solve import solve_linear
from opnet.solvers.multigrid.multigrid import Multigrid
from opnet.solvers.pde.darcy import Darcy

RTOL = 1e-8


def matrix(A: Diffusion) -> scipy.sparse.csr_array:
    """A in two dimensions as a sparse matrix."""
    rows, columns = A.in_shape
    index = np.arange(rows * columns).reshape(rows, columns)
    below, beside = A.faces[0][1:-1].numpy().ravel(), A.faces[1][:, 1:-1].numpy().ravel()
    i = np.concatenate([index[1:].ravel(), index[:-1].ravel(), index[:, 1:].ravel(), index[:, :-1].ravel()])
    j = np.concatenate([index[:-1].ravel(), index[1:].ravel(), index[:, :-1].ravel(), index[:, 1:].ravel()])
    off = scipy.sparse.coo_array((-np.concatenate([below, below, beside, beside]), (i, j)), shape=A.shape)
    return scipy.sparse.csr_array(off + scipy.sparse.dia_array((A.diagonal().numpy().ravel()[None], [0]), A.shape))


def in_turn(contestants: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median process time of each, in seconds, measured in turn after one run each to warm up."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for repeat in range(repeats + 1):
        for name, run in contestants.items():
            start = time.process_time()
            run()
            if repeat:
                times[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="up to 512 and 3 repeats instead of 1024 and 7")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    import pyamg

    torch.set_num_threads(1)
    records = []
    for n in (64, 128, 256, 512) if arguments.quick else (64, 128, 256, 512, 1024):
        problem = Darcy()
        grid = problem.grid(n)
        a = problem.coefficient(arguments.seed, [0], grid)[0]
        b = torch.ones(n, n, dtype=torch.float64)
        M, flat = matrix(Diffusion(a, grid)), np.ones(n * n)
        found: dict[str, float] = {}

        def ours(a=a, b=b, grid=grid, found=found) -> None:
            solution = solve_linear(Diffusion(a, grid), b, CG(Multigrid(dtype=torch.float32)), rtol=RTOL)
            found["opnet"], found["iterations"] = float(solution.residual), int(solution.iterations)

        def peer(M=M, flat=flat, found=found) -> None:
            x = pyamg.ruge_stuben_solver(M).solve(flat, tol=RTOL, accel="cg")
            found["pyamg"] = float(np.linalg.norm(flat - M @ x) / np.linalg.norm(flat))

        times = in_turn({"opnet": ours, "pyamg": peer}, repeats=3 if arguments.quick else 7)
        assert max(found["opnet"], found["pyamg"]) <= 2 * RTOL, found  # neither may win by solving less
        labels = {"n": n, "problem": "darcy"}
        records += [record(f"seconds_{name}", seconds, unit="s", **labels) for name, seconds in times.items()]
        records.append(record("iterations", found["iterations"], **labels))
        records.append(record("speedup_vs_pyamg", times["pyamg"] / times["opnet"], unit="1", **labels))
        print(
            f"{n}: {times['opnet'] * 1e3:.1f} ms, pyamg {times['pyamg'] * 1e3:.1f} ms, {found['iterations']} iterations"
        )
    write_results(arguments.out, records, seed=arguments.seed, rtol=RTOL, peers={"pyamg": pyamg.__version__})


if __name__ == "__main__":
    main()
