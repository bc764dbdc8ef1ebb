"""How many iterations multigrid takes, and by how much a cycle alone contracts, as the grid grows.

    python benchmarks/convergence/multigrid.py --quick --out multigrid.json

One coefficient *function* a seed, sampled on every grid: what grows with n is the method's. Cells, homogeneous
Dirichlet sides, f = 1, to a relative residual of 1e-8:

- interfaces: two phases along the zero level of a Gaussian random field, with ratios 4, 1e4 and 1e6;
- checkerboard: 8 x 8 squares, ratio 1e4; random cells: independent, log-uniform over 1e4: 64 x 64
  of them on every grid, and as many as the grid has cells, which is another problem on every grid; and cells of either
  of two values, 1 and 1e4, which are hard, on 64 x 64 alone and with nothing expected;
- anisotropy: the coefficient of one axis 100 times that of the other, constant, on the interfaces with ratio 4, and on
  those with ratio 1e4; smoothed by lines, with jumps in W-cycles.

`iterations` are the most over the seeds of CG preconditioned by one cycle, a V-cycle where nothing else is said;
`factor` is the largest asymptotic contraction of the residual by V-cycles alone. Exit status 1 where one exceeds what
is expected of it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from opnet.core.status import Status
from opnet.evaluation.records import Record, record, write_results
from opnet.linops.diffusion import Diffusion
from opnet.solvers.linear.base import norms
from opnet.solvers.linear.cg import CG
from opnet.solvers.linear.solve import solve_linear
from opnet.solvers.multigrid.multigrid import Multigrid
from opnet.solvers.multigrid.smoothers import Lines
from opnet.spaces.fields.gaussian import GaussianField
from opnet.spaces.grid import Grid

SIZES, QUICK_SIZES = (64, 128, 256, 512, 1024), (64, 128, 256)
FIELD = GaussianField(3.0, 2.0, max_mode=32)  # resolved on the coarsest grid, so that refining adds no interfaces
POINTS, LINES, LINES_W = Multigrid(), Multigrid(smoother=Lines()), Multigrid(smoother=Lines(), cycle="W")


def interfaces(low: float, high: float) -> Callable[[int, Grid], Tensor]:
    def coefficient(seed: int, grid: Grid) -> Tensor:
        return torch.where(FIELD.sample(seed, [0], grid)[0] >= 0, high, low).double()

    return coefficient


def checkerboard(seed: int, grid: Grid) -> Tensor:
    square = torch.arange(grid.shape[0]) * 8 // grid.shape[0]
    return torch.where((square[:, None] + square) % 2 == seed % 2, 1e4, 1.0).double()


def random_cells(seed: int, grid: Grid) -> Tensor:
    return 10 ** (4 * torch.rand(grid.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))


def fixed_random_cells(seed: int, grid: Grid) -> Tensor:
    coarse = random_cells(seed, Grid((64, 64), nodes="cell"))
    return coarse.repeat_interleave(grid.shape[0] // 64, 0).repeat_interleave(grid.shape[1] // 64, 1)


def two_valued_cells(seed: int, grid: Grid) -> Tensor:
    return torch.where(random_cells(seed, grid) > 100, 1e4, 1.0).double()


def constant(seed: int, grid: Grid) -> Tensor:
    return torch.ones(grid.shape, dtype=torch.float64)


# case: the coefficient, its ratio of axes, the method, seeds, the most iterations, the largest factor
CASES = {
    "interfaces 12/3": (interfaces(3, 12), 1, POINTS, 10, 14, 0.15),
    "interfaces 1e4": (interfaces(1, 1e4), 1, POINTS, 10, 14, None),
    "interfaces 1e6": (interfaces(1, 1e6), 1, POINTS, 10, 14, None),
    "checkerboard 1e4": (checkerboard, 1, POINTS, 2, 30, None),
    "64 x 64 random cells 1e4": (fixed_random_cells, 1, POINTS, 10, 50, None),
    "n x n random cells 1e4": (random_cells, 1, POINTS, 10, 50, None),
    "64 x 64 two-valued cells 1e4": (two_valued_cells, 1, POINTS, 10, None, None),
    "anisotropy 100": (constant, 100, LINES, 1, 10, None),
    "anisotropy 100, interfaces 12/3": (interfaces(3, 12), 100, LINES_W, 10, 40, None),
    "anisotropy 100, interfaces 1e4": (interfaces(1, 1e4), 100, LINES_W, 10, 40, None),
}
GROWTH = {"interfaces 12/3": 2}  # by how much the iterations may differ between the grids


def contraction(A: Diffusion, method: Multigrid, seed: int, cycles: int = 24, last: int = 6) -> float:
    """The residual's contraction by a V-cycle, the mean of the last few from a random start."""
    state = method.setup(A)
    x = torch.randn(A.in_shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    r, ratios = A.apply(x), []
    for _ in range(cycles):
        size = norms(r, A)
        x = (x - state.apply(r)) / size  # the system is homogeneous: scaled so that nothing underflows
        r = A.apply(x)
        ratios.append(float(norms(r, A)))
    return float(torch.tensor(ratios[-last:]).log().mean().exp())


def study(case: str, sizes: tuple[int, ...], seeds_at_most: int) -> tuple[list[Record], bool]:
    coefficient, ratio, method, seeds, most, largest = CASES[case]
    records, worst, fine = [], [], True
    for n in sizes if most is not None else sizes[:1]:
        grid, counts, factors = Grid((n, n), nodes="cell"), [], []
        for seed in range(min(seeds, seeds_at_most)):
            a = coefficient(seed, grid)
            A = Diffusion([ratio * a, a] if ratio != 1 else a, grid)
            ones = torch.ones_like(a)
            solution = solve_linear(A, ones, CG(preconditioner=method), max_iterations=400, throw=False)
            assert Status(int(solution.status)) in (Status.CONVERGED, Status.ROUNDING_FLOOR), (case, n, seed, solution)
            counts.append(int(solution.iterations))
            if largest is not None:
                factors.append(contraction(A, method, seed))
        worst.append(max(counts))
        records.append(
            record("iterations", max(counts), low=min(counts), high=max(counts), expected=most, n=n, case=case)
        )
        fine &= most is None or max(counts) <= most
        line = f"{case}, n = {n}: {min(counts)} to {max(counts)} iterations" + (
            f" (at most {most})" if most is not None else ""
        )
        if largest is not None:
            records.append(
                record("factor", max(factors), low=min(factors), high=max(factors), expected=largest, n=n, case=case)
            )
            fine &= max(factors) <= largest
            line += f", factor {max(factors):.3f} (at most {largest})"
        print(line, flush=True)
    if case in GROWTH:
        fine &= max(worst) - min(worst) <= GROWTH[case]
    return records, fine


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="up to 256 and 3 seeds instead of 1024 and 10")
    parser.add_argument("--out", type=Path, help="results file (JSON)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    records, fine = [], True
    for case in CASES:
        found, kept = study(case, QUICK_SIZES if arguments.quick else SIZES, 3 if arguments.quick else 10)
        records, fine = records + found, fine and kept
    if arguments.out:
        write_results(arguments.out, records, seed=0, rtol=1e-8)
    return int(not fine)


if __name__ == "__main__":
    sys.exit(main())
