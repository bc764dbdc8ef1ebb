"""PyAMG's gallery through our algebraic cycles and through its own: CG iterations to 1e-8, and backward errors.

    python benchmarks/accuracy/amg_gallery.py --quick --out results.json

Both take the same hierarchy, which PyAMG builds, down to 64 unknowns, and a random right-hand side (without a mean
where constants are the kernel). Its own cycle smooths by symmetric Gauss-Seidel, ours by a Chebyshev polynomial, in
float64 and in float32. Backward errors are ||b - A x|| / (||A|| ||x|| + ||b||), computed alike for all.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
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


def problems(quick: bool) -> Iterator[Problem]:
    """The gallery, the meshes as they ship and the grids of about as many unknowns."""
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
    for name, block in (("bar", 3), ("airfoil", None), ("knot", None), ("unit_cube", None), ("unit_square", None)):
        content = gallery.load_example(name)
        matrix = scipy.sparse.csr_array(content["A"])
        kernel = bool(abs(matrix @ np.ones(matrix.shape[0])).max() < 1e-12)
        yield Problem(f"mesh_{name}", matrix, block, content["B"] if block else None, kernel)


def solve(problem: Problem, A: CSR, b: Tensor) -> Iterator[tuple[str, int, Tensor]]:
    """Name, iterations and solution of each contestant."""
    nullspace = torch.ones(1, len(b), dtype=b.dtype) if problem.constants_are_kernel else None
    for name, dtype in (("opnet", torch.float64), ("opnet_float32", torch.float32)):
        method = CG(preconditioner=AlgebraicMultigrid(problem.hierarchy(), coarsest=COARSEST, dtype=dtype))
        solution = solve_linear(A, b, method, rtol=RTOL, nullspace=nullspace)
        yield name, int(solution.iterations), solution.value
    history: list[float] = []
    x = problem.theirs().solve(b.numpy(), tol=RTOL, accel="cg", residuals=history, maxiter=200)
    yield "pyamg", len(history) - 1, torch.as_tensor(x)


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
        for name, iterations, x in solve(problem, A, b):
            backward = float((b - A @ x).norm()) / (norm * float(x.norm()) + float(b.norm()))
            labels = {"problem": problem.name, "n": A.shape[0], "part": name}
            records.append(record("iterations", iterations, **labels))
            records.append(record("backward_error", backward, **labels))
            line.append(f"{name} {iterations} ({backward:.1e})")
        print(f"{problem.name}, {A.shape[0]} unknowns: {', '.join(line)}")
    write_results(arguments.out, records, seed=arguments.seed, rtol=RTOL, peers={"pyamg": pyamg.__version__})


if __name__ == "__main__":
    main()
