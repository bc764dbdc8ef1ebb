"""Variable-coefficient Poisson, set-up and solve to 1e-8: multigrid-preconditioned CG against PyAMG and SuperLU.

    python benchmarks/speed/linear.py --quick --out linear.json

Two phases (3 and 12) along the zero level of a Gaussian random field on n x n cells, homogeneous Dirichlet sides. The
peers are PyAMG's Ruge-Stueben multigrid preconditioning its CG, and SciPy's SuperLU (MMD_AT_PLUS_A), on the same
matrix. All run on one thread, in turn; medians of process time are compared, and no one may win by solving less: the
residuals are recomputed. Peers are given the assembled matrix, and opnet the assembled operator; `from coefficients`
counts the assembly of ours as well, and of theirs nothing.

Further cases:

- darcy_421: the published Darcy resolution, on 421^2 cells and on the 419^2 interior nodes of the published operator
  (arithmetic faces);
- jit: the first solve of a new process with an empty cache of compiled code, and with a full one, less the second;
- cycle: a V-cycle's time, and `roofline_share`: the time that moving 17 arrays of single precision on each level takes
  at this machine's copy bandwidth for as much memory, over the cycle's time;
- batch: seconds a sample for a batch, by the fused loops, by torch on the whole batch, and by torch on one at a time;
- gpu, where there is one: seconds a sample of a batch of 421^2, beside that device's copy bandwidth.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from opnet.evaluation.records import Record, record, write_results
from opnet.linops.base import LinearOperator
from opnet.linops.diffusion import Diffusion
from opnet.solvers.linear.cg import CG
from opnet.solvers.linear.solve import solve_linear
from opnet.solvers.multigrid import fused
from opnet.solvers.multigrid.multigrid import Multigrid
from opnet.solvers.pde.darcy import Darcy
from opnet.spaces.grid import Grid

RTOL = 1e-8
SOLVER = CG(preconditioner=Multigrid())
ARRAYS = 17  # read or written by a V(1, 1) cycle that passes once over memory for each step of it


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


def peers(A: LinearOperator, b: Tensor, *, direct: bool) -> dict[str, Callable[[], np.ndarray]]:
    """The peers' set-up and solve, by name."""
    import pyamg
    from scipy.sparse.linalg import splu

    matrix, flat = A.to_scipy(), b.numpy().ravel()
    contestants = {"pyamg": lambda: pyamg.ruge_stuben_solver(matrix).solve(flat, tol=RTOL, accel="cg")}
    if direct:
        columns = matrix.tocsc()
        contestants["superlu"] = lambda: splu(
            columns, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
        ).solve(flat)
    return contestants


def against_peers(
    make: Callable[[], LinearOperator], b: Tensor, repeats: int, *, direct: bool, **labels: object
) -> list[Record]:
    """Times of set-up and solve, and how many times faster than each peer."""
    A = make()
    others = peers(A, b, direct=direct)
    found: dict[str, Tensor] = {}

    def ours(operator: Callable[[], LinearOperator], name: str) -> None:
        solution = solve_linear(operator(), b, SOLVER, rtol=RTOL)
        found[name], found["iterations"] = solution.value, solution.iterations

    def theirs(name: str) -> None:
        found[name] = torch.from_numpy(others[name]()).reshape(b.shape)

    contestants: dict[str, Callable[[], object]] = {
        "opnet": lambda: ours(lambda: A, "opnet"),
        "opnet from coefficients": lambda: ours(make, "opnet from coefficients"),
    }
    for name in others:
        contestants[name] = lambda name=name: theirs(name)
    times = in_turn(contestants, repeats)
    records = []
    for name, seconds in times.items():
        residual = float((b - A @ found[name]).norm() / b.norm())
        assert residual <= 2 * RTOL, (name, residual)
        records.append(record("seconds", seconds, unit="s", model=name, **labels))
    for name in others:
        for mode in ("opnet", "opnet from coefficients"):
            speedup = record(f"speedup_vs_{name}", times[name] / times[mode], unit="1", model=mode, **labels)
            records.append(speedup)
    records.append(record("iterations", float(found["iterations"]), **labels))
    text = ", ".join(f"{name} {1e3 * seconds:.1f} ms" for name, seconds in times.items())
    print(f"{labels}: {text}, {int(found['iterations'])} iterations", flush=True)
    return records


def darcy(n: int, seed: int) -> tuple[Callable[[], LinearOperator], Tensor]:
    problem = Darcy()
    grid = problem.grid(n)
    a = problem.coefficient(seed, [0], grid)[0]
    return lambda: Diffusion(a, grid), torch.ones_like(a)


def published_darcy(seed: int) -> tuple[Callable[[], LinearOperator], Tensor]:
    """419^2 interior nodes, a at all 421^2 nodes, arithmetic faces."""
    a = Darcy().coefficient(seed, [0], Grid((421, 421), nodes="vertex"))[0]
    grid = Grid((419, 419), nodes="interior")
    return lambda: Diffusion(a, grid, faces="arithmetic"), torch.ones(419, 419, dtype=torch.float64)


def copy_bandwidth(n_bytes: int, seconds: float = 0.2) -> float:
    """Bytes a second that copying moves, reads and writes counted, over a source and a target of `n_bytes` together."""
    source = torch.zeros(max(1, n_bytes // 8), dtype=torch.float32)
    target = torch.empty_like(source)
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        target.copy_(source)
        best = min(best, time.perf_counter() - start)
    return 8 * len(source) / best


def cycle(n: int, seed: int) -> list[Record]:
    make, _ = darcy(n, seed)
    element = fused.FusedMultigrid(Multigrid(), make().stencil()).element(0)
    times = []
    for _ in range(max(20, 2**23 // n**2)):
        start = time.perf_counter()
        element.cycle()
        times.append(time.perf_counter() - start)
    seconds, moved = statistics.median(times[len(times) // 4 :]), ARRAYS * 4 / 3 * 4 * n**2
    bandwidth = copy_bandwidth(int(moved))
    share = moved / bandwidth / seconds
    print(
        f"cycle n={n}: {1e3 * seconds:.3f} ms, copy {bandwidth / 1e9:.0f} GB/s, {share:.0%} of the roofline", flush=True
    )
    return [
        record("seconds", seconds, unit="s", n=n, case="cycle"),
        record("bandwidth", bandwidth, unit="B/s", n=n, case="cycle"),
        record("roofline_share", share, unit="1", n=n, case="cycle"),
    ]


@contextmanager
def without_fused_loops() -> Iterator[None]:
    with patch.object(fused, "kernels", lambda: None):
        yield


def batch(n: int, size: int, seed: int, repeats: int) -> list[Record]:
    """Seconds a sample, set-up included, of the ways to solve a batch."""
    problem = Darcy()
    grid = problem.grid(n)
    a = problem.coefficient(seed, range(size), grid)
    b = torch.ones_like(a)

    def together() -> None:
        solve_linear(Diffusion(a, grid), b, SOLVER, rtol=RTOL)

    def alone() -> None:
        for i in range(size):
            solve_linear(Diffusion(a[i], grid), b[i], SOLVER, rtol=RTOL)

    def by_torch(run: Callable[[], None]) -> None:
        with without_fused_loops():
            run()

    ways = {
        "fused": together,
        "torch, batched": lambda: by_torch(together),
        "torch, one by one": lambda: by_torch(alone),
    }
    times = {way: seconds / size for way, seconds in in_turn(ways, repeats).items()}
    print(f"batch of {size}, n={n}: " + ", ".join(f"{way} {1e3 * t:.2f} ms" for way, t in times.items()), flush=True)
    return [record("seconds", t, unit="s", n=n, of=size, case="batch", mode=way) for way, t in times.items()]


def jit() -> list[Record]:
    """What compiling costs the first solve of a process."""
    script = (
        "import time, torch; from opnet import *; grid = Grid((64, 64), nodes='cell');"
        "A = Diffusion(torch.ones(64, 64, dtype=torch.float64), grid); b = torch.ones(64, 64, dtype=torch.float64);\n"
        "def run():\n start = time.perf_counter(); solve_linear(A, b, CG(preconditioner=Multigrid()));"
        " return time.perf_counter() - start\n"
        "print(run() - run())"
    )
    records = []
    with tempfile.TemporaryDirectory() as cache:
        for case in ("empty cache", "full cache"):
            environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
            command = [sys.executable, "-c", script]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            records.append(record("jit_seconds", float(done.stdout), unit="s", case=case))
            print(f"compiling, {case}: {float(done.stdout):.2f} s", flush=True)
    return records


def gpu(size: int, seed: int) -> list[Record]:
    """A batch on the accelerator, beside its copy bandwidth."""
    n, problem = 421, Darcy()
    grid = problem.grid(n)
    a = problem.coefficient(seed, range(32), grid).repeat(-(-size // 32), 1, 1)[:size].cuda()
    b = torch.ones_like(a)
    times = []
    for _ in range(3):
        torch.cuda.synchronize()
        start = time.perf_counter()
        solution = solve_linear(Diffusion(a, grid), b, SOLVER, rtol=RTOL)
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    source = torch.zeros(2**28, device="cuda")
    target = torch.empty_like(source)
    start_event, end_event = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    target.copy_(source)
    start_event.record()
    for _ in range(10):
        target.copy_(source)
    end_event.record()
    torch.cuda.synchronize()
    bandwidth = 10 * 8 * 2**28 / (start_event.elapsed_time(end_event) / 1e3)
    print(f"gpu, {size} of 421^2: {min(times):.2f} s, copy {bandwidth / 1e9:.0f} GB/s", flush=True)
    return [
        record("seconds", min(times), unit="s", case="gpu", n=n, of=size),
        record("iterations", float(solution.iterations.max()), case="gpu", n=n, of=size),
        record("bandwidth", bandwidth, unit="B/s", case="gpu"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="up to 512 and 3 repeats instead of 1024 and 7")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    import pyamg
    import scipy

    torch.set_num_threads(1)
    repeats, seed = (3 if arguments.quick else 7), arguments.seed
    sizes = (64, 128, 256, 512) if arguments.quick else (64, 128, 256, 512, 1024)
    records: list[Record] = []
    if fused.kernels() is not None:
        records += jit()
    for n in sizes:
        make, b = darcy(n, seed)
        records += against_peers(make, b, repeats, direct=n <= 512, n=n, problem="darcy")
    for case, (make, b) in {"cells": darcy(421, seed), "interior nodes": published_darcy(seed)}.items():
        records += against_peers(make, b, repeats, direct=True, n=b.shape[0], problem="darcy_421", case=case)
    if fused.kernels() is not None:
        for n in sizes[2:]:
            records += cycle(n, seed)
        for n, size in ((64, 64), (128, 16), (256, 8), (512, 4)):
            records += batch(n, size, seed, 1 if arguments.quick else 3)
    if torch.cuda.is_available():
        records += gpu(100 if arguments.quick else 1000, seed)
    versions = {"pyamg": pyamg.__version__, "scipy": scipy.__version__}
    write_results(arguments.out, records, seed=seed, rtol=RTOL, peers=versions)


if __name__ == "__main__":
    main()
