"""Observed order of the diffusion operator, by manufactured solutions, on every placement of nodes and kind of side.

    python benchmarks/convergence/discretisation.py --quick --out discretisation.json

u, a, c and beta are made of random sums of a few smooth waves, other ones for each seed; f and the data on the sides
follow by automatic differentiation. So all coefficients vary and all data are inhomogeneous. Cases are the product of

- 1, 2 and 3 dimensions; cells, vertices, interior nodes (with and without a on the sides) and left nodes;
- Dirichlet, Neumann, Robin and periodic sides, the same on all axes, two different ones on each axis, or mixed axes;
- harmonic and arithmetic means on faces; a scalar a and a diagonal tensor;
- and, up to a constant, Neumann and periodic sides without c.

Systems are solved by conjugate gradients with multigrid to a relative residual of 1e-11. The error is the L2 norm by
the grid's own quadrature, n the number of intervals along each axis. Exit status 1 where an order misses -2 by more
than .2, or a system is not solved.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from itertools import product
from operator import mul
from pathlib import Path

import torch
from torch import Tensor

from opnet.core.errors import SolveError
from opnet.evaluation.convergence import Convergence, measure_convergence
from opnet.evaluation.records import Record, record, write_results
from opnet.linops.diffusion import Diffusion
from opnet.solvers.linear.cg import CG
from opnet.solvers.linear.solve import solve_linear
from opnet.solvers.multigrid.multigrid import Multigrid
from opnet.spaces.grid import Grid

EXTENT = ((0.0, 1.0), (0.0, 1.5), (-0.5, 0.5))
SIZES = {1: (16, 32, 64, 128, 256), 2: (16, 32, 64, 128), 3: (12, 16, 24, 32)}
QUICK_SIZES = {1: (16, 32, 64, 128), 2: (16, 32, 64), 3: (8, 12, 16)}
SEEDS, QUICK_SEEDS = range(3), range(1)
RTOL = 1e-11
METHOD = CG(preconditioner=Multigrid())

D, N, R, P = "dirichlet", "neumann", "robin", "periodic"
# nodes and sides of all axes
ALIKE = [
    *(("cell", sides) for sides in ((D, D), (N, N), (R, R), (D, N), (R, D), (N, R), (P, P))),
    *(("vertex", sides) for sides in ((D, D), (N, N), (R, R), (D, N), (R, D), (N, R))),
    ("interior", (D, D)),
    ("left", (P, P)),
]
# nodes and sides of each axis
MIXED: list[tuple[tuple[str, ...], tuple[tuple[str, str], ...]]] = [
    (("cell", "vertex"), ((R, D), (D, N))),
    (("interior", "vertex"), ((D, D), (N, R))),
    (("left", "cell"), ((P, P), (N, D))),
    (("interior", "cell", "left"), ((D, D), (R, N), (P, P))),
    (("vertex", "interior", "cell"), ((D, R), (D, D), (N, D))),
]


@dataclass(frozen=True)
class Waves:
    """A sum of products of cosines along the axes, between -1 and 1; periodic over the box along periodic axes."""

    amplitude: Tensor  # (waves)
    turns: Tensor  # over the box; (waves, dim)
    phase: Tensor  # (waves, dim)

    @classmethod
    def draw(cls, periodic: list[bool], generator: torch.Generator, waves: int = 3) -> Waves:
        def uniform(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=generator, dtype=torch.float64)

        amplitude, turns = 0.5 + uniform(waves), 0.2 + 0.6 * uniform(waves, len(periodic))
        turns = torch.where(torch.tensor(periodic), turns.ceil(), turns)
        return cls(amplitude / amplitude.sum(), turns, 2 * math.pi * uniform(waves, len(periodic)))

    def __call__(self, x: Tensor) -> Tensor:
        def factor(wave: int, axis: int) -> Tensor:
            low, high = EXTENT[axis]
            return torch.cos(
                2 * math.pi * self.turns[wave, axis] * (x[axis] - low) / (high - low) + self.phase[wave, axis]
            )

        return sum(
            (w * reduce(mul, (factor(i, axis) for axis in range(len(x)))) for i, w in enumerate(self.amplitude)),
            start=torch.zeros((), dtype=torch.float64),
        )


@dataclass(frozen=True)
class Case:
    """What is discretised. `tensor`: one a for each axis; `ends`: a is given on the sides of interior nodes too."""

    nodes: tuple[str, ...]
    sides: tuple[tuple[str, str], ...]
    faces: str = "harmonic"
    tensor: bool = False
    react: bool = True
    ends: bool = False

    @property
    def dim(self) -> int:
        return len(self.nodes)

    @property
    def name(self) -> str:
        axes = [f"{kind} {'-'.join(dict.fromkeys(pair))}" for kind, pair in zip(self.nodes, self.sides, strict=True)]
        axes = axes[:1] if len(set(axes)) == 1 else axes
        more = ["diagonal tensor"] * self.tensor + ["a on the sides"] * self.ends + ["no c"] * (not self.react)
        return ", ".join([f"{self.dim}-D", " x ".join(axes), self.faces, *more])

    def grid(self, n: int) -> Grid:
        """n intervals along each axis."""
        shape = tuple(n + {"vertex": 1, "interior": -1}.get(kind, 0) for kind in self.nodes)
        return Grid(shape, extent=EXTENT[: self.dim], boundary=self.sides, nodes=self.nodes)

    def error(self, n: int, seed: int) -> float:
        """L2 norm of u - u_h, less its mean where u is fixed up to a constant."""
        grid, periodic = self.grid(n), [low == P for low, _ in self.sides]
        generator = torch.Generator().manual_seed(seed)
        u, reaction, transfer, *media = (Waves.draw(periodic, generator) for _ in range(3 + self.dim))
        media = media if self.tensor else media[:1] * self.dim

        def a_of(x: Tensor, axis: int) -> Tensor:
            return torch.exp(media[axis](x))

        def flow(x: Tensor, axis: int) -> Tensor:
            (slope,) = torch.autograd.grad(u(x).sum(), x, create_graph=True)
            return a_of(x, axis) * slope[axis]

        x = grid.coordinates().requires_grad_()
        f = torch.zeros(grid.shape, dtype=torch.float64)
        for axis in range(self.dim):
            f -= torch.autograd.grad(flow(x, axis).sum(), x)[0][axis]
        data, beta = {}, {}
        for axis, side in product(range(self.dim), (0, 1)):
            kind, at = self.sides[axis][side], on_side(grid, axis, side)
            if kind == D:
                data[axis, side] = u(at).detach()
            elif kind != P:
                data[axis, side] = ((1 if side else -1) * flow(at, axis)).detach()
            if kind == R:
                beta[axis, side] = torch.exp(transfer(at)).detach()
                data[axis, side] += beta[axis, side] * u(at).detach()
        x = x.detach()
        c = torch.exp(reaction(x)) if self.react else None
        where = with_sides(grid) if self.ends else x
        a = [a_of(where, axis) for axis in range(self.dim)] if self.tensor else a_of(where, 0)
        A = Diffusion(a, grid, c=c, faces=self.faces, robin=beta or None)
        weights = grid.weights()
        weights = weights / weights.sum()
        if c is not None:
            f += c * u(x)
        b = A.right_hand_side(f, data)
        if A.singular:  # the discrete sources and sinks balance but for their own error
            b = b - weights * b.sum()
        difference = solve_linear(A, b, METHOD, rtol=RTOL).value - u(x)
        if A.singular:
            difference = difference - (weights * difference).sum()
        return float((weights * difference.square()).sum().sqrt())


def on_side(grid: Grid, axis: int, side: int) -> Tensor:
    """Coordinates of the points where the grid's lines across it meet a side; (dim, *the other axes)."""
    axes = [grid.axis(i) for i in range(grid.dim)]
    axes[axis] = torch.tensor([grid.extent[axis][side]], dtype=torch.float64)
    return torch.stack(torch.meshgrid(*axes, indexing="ij")).squeeze(1 + axis).requires_grad_()


def with_sides(grid: Grid) -> Tensor:
    """Coordinates of the nodes, with those on the sides along interior axes."""
    axes = [grid.axis(i) for i in range(grid.dim)]
    for i, kind in enumerate(grid.nodes):
        if kind == "interior":
            low, high = (torch.tensor([end], dtype=torch.float64) for end in grid.extent[i])
            axes[i] = torch.cat([low, axes[i], high])
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


def cases() -> Iterator[Case]:
    alike = [((kind,) * dim, (pair,) * dim) for dim in (1, 2, 3) for kind, pair in ALIKE]
    for (nodes, sides), faces, tensor in product([*alike, *MIXED], ("harmonic", "arithmetic"), (False, True)):
        if len(nodes) == 1 and tensor:
            continue
        yield Case(nodes, sides, faces, tensor)
        if "interior" in nodes:
            yield Case(nodes, sides, faces, tensor, ends=True)
    for kind, pair in (("cell", (N, N)), ("vertex", (N, N)), ("cell", (P, P)), ("left", (P, P))):
        for dim in (1, 2, 3):
            yield Case((kind,) * dim, (pair,) * dim, react=False)


def records_of(curve: Convergence, case: str) -> list[Record]:
    steps = zip(curve.local_orders, curve.sizes[1:], strict=True)
    return curve.records(case=case) + [record("local_order", slope, n=n, case=case) for slope, n in steps]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller grids and one seed instead of three")
    parser.add_argument("--out", type=Path, help="results file (JSON)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sizes, seeds = (QUICK_SIZES, QUICK_SEEDS) if arguments.quick else (SIZES, SEEDS)
    rows: list[Record] = []
    missed, start, count = 0, time.perf_counter(), 0
    for case in cases():
        count += 1
        try:
            curve = measure_convergence(case.error, sizes[case.dim], seeds, expected=-2, tolerance=0.2)[""]
        except (SolveError, torch.linalg.LinAlgError) as error:  # type: ignore[attr-defined]
            missed += 1
            print(f"{case.name}: {error}  MISSED", flush=True)
            continue
        rows += records_of(curve, case.name)
        low, high = curve.interval
        local = " ".join(f"{slope:.2f}" for slope in curve.local_orders)
        verdict = "" if curve.agrees else "  MISSED"
        print(f"{case.name}: {curve.order:.3f} [{low:.3f}, {high:.3f}], locally {local}{verdict}", flush=True)
        missed += not curve.agrees
    print(f"{missed} of {count} cases miss order 2 ({time.perf_counter() - start:.0f} s)")
    rows.append(record("failures", missed, test="discretisation", of=count))
    if arguments.out:
        write_results(arguments.out, rows, seed=0, rtol=RTOL)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
