"""PyAMG's gallery through our algebraic cycles and through its own: CG iterations to 1e-8, backward errors, and times.

    python benchmarks/accuracy/amg_gallery.py --quick --out results.json

Both take the same hierarchy, which PyAMG builds, down to 64 unknowns, and a random right-hand side (without a mean
where constants are the kernel). Its own cycle smooths by symmetric Gauss-Seidel, ours by a Chebyshev polynomial, in
float64 and in float32. Backward errors are ||b - A x|| / (||A|| ||x|| + ||b||), computed alike for all. Set-up and
solve are timed in turn, on one thread, after a run each to warm up: medians of process time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from opnet.evaluation.records import record, write_results
from opnet.linops.sparse import CSR
from opnet.solvers.linear.cg import CG
from opnet.solvers.linear.solve import solve_linear
from opnet.solvers.linear.verify import operator_norm
from opnet.solvers.multigrid.algebraic import AlgebraicMultigrid, RugeStuben, SmoothedAggregation

RTOL = 1e-8
COARSEST = 64


@dataclass(frozen=True)
class Problem:
    """A matrix, and with `block` unknowns a node and near-kernel vectors B the way to aggregate it; None: classical."""

    name: str
    matrix: Any
    block: int | None = None
    B: np.ndarray | None = None
    constants_are_kernel: bool = False

    def hierarchy(self) -> RugeStuben | SmoothedAggregation:
        if self.block is None:
            return RugeStuben()
        return SmoothedAggregation(None if self.B is None else torch.as_tensor(self.B.T.copy()), block=self.block)

    def theirs(self) -> Any:
        import pyamg

        if self.block is None:
            return pyamg.ruge_stuben_solver(self.matrix, max_coarse=COARSEST)
        matrix = self.matrix.tobsr((self.block, self.block)) if self.block > 1 else self.matrix
        return pyamg.smoothed_aggregation_solver(matrix, B=self.B, max_levels=30, max_coarse=COARSEST)


def delaunay(n: int) -> scipy.sparse.csr_array:
    """-div grad by linear finite elements on the Delaunay triangles of n random points; zero on their convex hull."""
    from scipy.spatial import Delaunay

    points = np.random.default_rng(0).random((n, 2))
    mesh = Delaunay(points)
    corners = points[mesh.simplices]  # shape: (triangle, 3, 2)
    edges = np.roll(corners, -1, 1) - np.roll(corners, 1, 1)  # each opposite to its corner
    area = 0.5 * abs(edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0])
    local = np.einsum("tix,tjx->tij", edges, edges) / (4 * area[:, None, None])
    i, j = np.broadcast_arrays(mesh.simplices[:, :, None], mesh.simplices[:, None, :])
    whole = scipy.sparse.csr_array(scipy.sparse.coo_array((local.ravel(), (i.ravel(), j.ravel())), shape=(n, n)))
    interior = np.setdiff1d(np.arange(n), mesh.convex_hull)
    return whole[interior][:, interior]


def problems(quick: bool) -> Iterator[Problem]:
    """The gallery, its meshes as they ship and its grids of about as many unknowns, and a large unstructured mesh."""
    from pyamg import gallery

    n, m, k = (64, 16, 40) if quick else (512, 64, 200)
    for shape in ((n, n), (m, m, m)):
        matrix = gallery.poisson(shape, format="csr")
        yield Problem(f"poisson_{len(shape)}d", matrix)
        yield Problem(f"poisson_{len(shape)}d_aggregation", matrix, block=1)
    stencil = gallery.diffusion_stencil_2d(epsilon=0.01, theta=np.pi / 6, type="FD")
    rotated = gallery.stencil_grid(stencil, (n, n), format="csr")
    yield Problem("rotated_anisotropy", rotated)
    yield Problem("rotated_anisotropy_aggregation", rotated, block=1)
    elasticity, modes = gallery.linear_elasticity((k, k))
    yield Problem("elasticity_aggregation", elasticity.tocsr(), block=2, B=modes)
    triangles = delaunay(n * n)
    yield Problem("delaunay", triangles)
    yield Problem("delaunay_aggregation", triangles, block=1)
    for name, block in (("bar", 3), ("airfoil", None), ("knot", None), ("unit_cube", None), ("unit_square", None)):
        content = gallery.load_example(name)
        matrix = scipy.sparse.csr_array(content["A"])
        kernel = bool(abs(matrix @ np.ones(matrix.shape[0])).max() < 1e-12)
        yield Problem(f"mesh_{name}", matrix, block, content["B"] if block else None, kernel)


@dataclass(frozen=True)
class Contestant:
    """`setup` gives what `solve` takes, `solve` the iterations and the solution."""

    setup: Callable[[], Any]
    solve: Callable[[Any], tuple[int, Tensor]]


def contestants(problem: Problem, A: CSR, b: Tensor) -> dict[str, Contestant]:
    nullspace = torch.ones(1, len(b), dtype=b.dtype) if problem.constants_are_kernel else None

    def ours(dtype: torch.dtype) -> Contestant:
        method = CG(preconditioner=AlgebraicMultigrid(problem.hierarchy(), coarsest=COARSEST, dtype=dtype))

        def solve(state: Any) -> tuple[int, Tensor]:
            solution = solve_linear(A, b, state, rtol=RTOL, nullspace=nullspace)
            return int(solution.iterations), solution.value

        return Contestant(lambda: method.setup(A), solve)

    def theirs(hierarchy: Any) -> tuple[int, Tensor]:
        history: list[float] = []
        x = hierarchy.solve(b.numpy(), tol=RTOL, accel="cg", residuals=history, maxiter=200)
        return len(history) - 1, torch.as_tensor(x)

    return {
        "opnet": ours(torch.float64),
        "opnet_float32": ours(torch.float32),
        "pyamg": Contestant(problem.theirs, theirs),
    }


@dataclass(frozen=True)
class Outcome:
    """Iterations and solution, and the median seconds of set-up and solve."""

    iterations: int
    x: Tensor
    setup: float
    solve: float


def in_turn(running: dict[str, Contestant], repeats: int) -> dict[str, Outcome]:
    """What each finds, one after the other in every repeat."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in running}
    found: dict[str, tuple[int, Tensor]] = {}
    for repeat in range(repeats + 1):
        for name, contestant in running.items():
            start = time.process_time()
            state = contestant.setup()
            between = time.process_time()
            found[name] = contestant.solve(state)
            if repeat:
                times[name].append((between - start, time.process_time() - between))
    medians = {name: map(statistics.median, zip(*values, strict=True)) for name, values in times.items()}
    return {name: Outcome(*found[name], *medians[name]) for name in running}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="grids of about 4,000 unknowns instead of 260,000")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    import pyamg

    torch.set_num_threads(1)
    np.random.seed(arguments.seed)  # noqa: NPY002 -- PyAMG draws from NumPy's global generator
    records = []
    for problem in problems(arguments.quick):
        A = CSR.from_scipy(problem.matrix)
        generator = torch.Generator().manual_seed(arguments.seed)
        b = torch.randn(A.shape[0], generator=generator, dtype=torch.float64)
        if problem.constants_are_kernel:
            b = b - b.mean()
        norm, line = float(operator_norm(A, steps=20)), []
        outcomes = in_turn(contestants(problem, A, b), repeats=3 if arguments.quick else 7)
        for name, outcome in outcomes.items():
            x = outcome.x
            backward = float((b - A @ x).norm()) / (norm * float(x.norm()) + float(b.norm()))
            labels = {"problem": problem.name, "n": A.shape[0], "part": name}
            records.append(record("iterations", outcome.iterations, **labels))
            records.append(record("backward_error", backward, **labels))
            records.append(record("seconds_setup", outcome.setup, unit="s", **labels))
            records.append(record("seconds_solve", outcome.solve, unit="s", **labels))
            milliseconds = f"{outcome.setup * 1e3:.0f} + {outcome.solve * 1e3:.0f} ms"
            line.append(f"{name} {outcome.iterations} ({backward:.1e}, {milliseconds})")
        peer, single = outcomes["pyamg"], outcomes["opnet_float32"]
        speedup = (peer.setup + peer.solve) / (single.setup + single.solve)
        records.append(record("speedup_vs_pyamg", speedup, unit="1", problem=problem.name, n=A.shape[0]))
        print(f"{problem.name}, {A.shape[0]} unknowns: {', '.join(line)}; {speedup:.2f} times as fast")
    write_results(arguments.out, records, seed=arguments.seed, rtol=RTOL, peers={"pyamg": pyamg.__version__})


if __name__ == "__main__":
    main()
