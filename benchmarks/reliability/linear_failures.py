"""Give every linear method systems that must fail, and count the failures that pass in silence.

    python benchmarks/reliability/linear_failures.py --quick --out results.json

Systems of 144 unknowns, on a grid and as dense matrices, in float64 and float32. A method fails a system in silence if

- an element that it calls CONVERGED misses the tolerance, or one at the ROUNDING_FLOOR is not there, by more than a
  tenth (a half of the backward error), with the residual r computed anew from the dense matrix in extended precision
  (less what working precision cannot resolve of it: 4 eps || |A| |x| + |b| ||);
- a bad argument is taken, or refused by anything but a ValueError or TypeError;
- an element that fails does not raise a SolveError, or one at the rounding floor comes without its warning;
- an element that it solves among healthy ones is not solved beside a bad one;
- it takes over 10 s of processor time, or another exception comes out.

The same is asked of PyAMG's defaults on four of the systems: which it flags, by an exception or a warning.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from opnet.core.errors import AccuracyWarning, SolveError
from opnet.core.registry import lookup, names
from opnet.core.status import Status
from opnet.evaluation.records import record, write_results
from opnet.linops.base import LinearOperator
from opnet.linops.dense import Dense
from opnet.linops.diffusion import Diffusion
from opnet.linops.stencil import Stencil
from opnet.solvers.linear.base import LinearSolver
from opnet.solvers.linear.bicgstab import BiCGStab
from opnet.solvers.linear.cg import CG
from opnet.solvers.linear.direct import DirectSolver
from opnet.solvers.linear.equilibrated import Equilibrated
from opnet.solvers.linear.flexible_cg import FlexibleCG
from opnet.solvers.linear.gmres import GMRES
from opnet.solvers.linear.learned import Learned
from opnet.solvers.linear.minres import MINRES
from opnet.solvers.linear.relaxation import Chebyshev, Jacobi
from opnet.solvers.linear.richardson import Richardson
from opnet.solvers.linear.solution import Solution
from opnet.solvers.linear.solve import solve_linear
from opnet.solvers.linear.surrogate import Surrogate
from opnet.solvers.linear.verify import ROUNDINGS
from opnet.solvers.multigrid.algebraic import AlgebraicMultigrid, SmoothedAggregation
from opnet.solvers.multigrid.multigrid import Multigrid
from opnet.solvers.multigrid.smoothers import GaussSeidel, Lines
from opnet.spaces.grid import Grid

SHAPE = (12, 12)
BOX = ((0.0, 12.0), (0.0, 12.0))  # cells of unit size: the spectrum is that of a
GRID, CLOSED = (Grid(SHAPE, extent=BOX, boundary=sides, nodes="cell") for sides in ("dirichlet", "neumann"))
RTOL = {torch.float64: 1e-8, torch.float32: 1e-5}
LIMIT = 10  # seconds of processor time, which other work on the machine does not lengthen
REFUSALS = (ValueError, TypeError)
BAD = 1  # the element of a batch that is


# The methods.

NETWORKS: dict[str, Callable[[Tensor], Any]] = {
    "zero": torch.zeros_like,
    "constant": torch.ones_like,
    "random": lambda r: torch.randn(r.shape).to(r.dtype),
    "NaN": lambda r: torch.full_like(r, torch.nan),
    "ascent": torch.neg,
    "overflow": lambda r: torch.full_like(r, torch.finfo(r.dtype).max),
    "underflow": lambda r: r * torch.finfo(r.dtype).tiny,
    "one entry": lambda r: torch.where(torch.arange(r.shape[-1]) == 0, r, 0),
    "wrong shape": lambda r: r[..., :1],
    "none": lambda r: None,
}
ANYWHERE: dict[str, LinearSolver] = {
    "CG": CG(),
    "CG, Jacobi": CG(preconditioner=Jacobi()),
    "CG, Chebyshev": CG(preconditioner=Chebyshev()),
    "FlexibleCG": FlexibleCG(),
    "FlexibleCG, CG": FlexibleCG(preconditioner=CG(), memory=2),
    "MINRES": MINRES(),
    "MINRES, Jacobi": MINRES(preconditioner=Jacobi()),
    "BiCGStab": BiCGStab(),
    "BiCGStab, Jacobi": BiCGStab(preconditioner=Jacobi()),
    "GMRES": GMRES(),
    "GMRES(5), Jacobi": GMRES(preconditioner=Jacobi(), restart=5),
    "Richardson": Richardson(weight=0.02),
    "Richardson, Jacobi": Richardson(weight=0.9, preconditioner=Jacobi()),
    "Jacobi": Jacobi(),
    "Chebyshev": Chebyshev(low=0.05),
    "DirectSolver": DirectSolver(),
    "Equilibrated, CG": Equilibrated(CG()),
    "Equilibrated, GMRES": Equilibrated(GMRES()),
    **{f"FlexibleCG, {name} network": FlexibleCG(Learned(network)) for name, network in NETWORKS.items()},
    **{f"GMRES, {name} network": GMRES(Learned(NETWORKS[name])) for name in ("zero", "random", "NaN", "overflow")},
    **{f"Richardson, {name} network": Richardson(1.0, Learned(NETWORKS[name])) for name in ("zero", "NaN", "ascent")},
}
NEARBY = Diffusion(torch.ones(SHAPE), GRID)
ON_GRIDS: dict[str, LinearSolver] = {
    "Multigrid": Multigrid(coarsest=16),
    "Multigrid float64": Multigrid(coarsest=16, dtype=torch.float64),
    "Multigrid W": Multigrid(cycle="W", coarsest=16),
    "Multigrid, full": Multigrid(full=True, coarsest=16),
    "CG, Multigrid": CG(preconditioner=Multigrid(coarsest=16)),
    "FlexibleCG, Multigrid": FlexibleCG(preconditioner=Multigrid(coarsest=16)),
    "BiCGStab, Multigrid": BiCGStab(preconditioner=Multigrid(coarsest=16)),
    "GMRES, Multigrid": GMRES(preconditioner=Multigrid(coarsest=16)),
    "AlgebraicMultigrid": AlgebraicMultigrid(coarsest=16),
    "AlgebraicMultigrid, aggregation": AlgebraicMultigrid(SmoothedAggregation(), coarsest=16),
    "CG, AlgebraicMultigrid": CG(preconditioner=AlgebraicMultigrid(coarsest=16)),
    "GaussSeidel": GaussSeidel(),
    "Lines": Lines(),
    "Surrogate": Surrogate(NEARBY, DirectSolver()),
    "CG, Surrogate": CG(preconditioner=Surrogate(NEARBY, DirectSolver())),
    "GMRES, negative Surrogate": GMRES(preconditioner=Surrogate(-NEARBY, DirectSolver())),
}


def parts(solver: LinearSolver) -> Iterator[type]:
    """The classes of a method and of what it is made of."""
    yield type(solver)
    for part in fields(solver):  # type: ignore[arg-type]
        if isinstance(value := getattr(solver, part.name), LinearSolver):
            yield from parts(value)


# The systems.


@dataclass(frozen=True)
class System:
    """A x = b, and how `solve_linear` is asked.

    `options`: further arguments; `refused`: no system at all, to be refused with an error; `clean`: the same system
    with element `BAD` of the batch as good as the others.
    """

    name: str
    A: Any
    b: Any
    options: dict[str, Any] = field(default_factory=dict)
    refused: bool = False
    clean: System | None = None

    def dense(self) -> System:
        """The same with a dense matrix, which knows no grid."""

        def flat(value: Any) -> Any:
            return value.flatten(-2) if isinstance(value, Tensor) and value.shape[-2:] == SHAPE else value

        options = {key: flat(value) for key, value in self.options.items()}
        A = Dense(self.A.to_dense()) if isinstance(self.A, LinearOperator) else self.A
        clean = None if self.clean is None else self.clean.dense()
        return replace(self, A=A, b=flat(self.b), options=options, clean=clean)


def random(*shape: int, seed: int = 0, dtype: torch.dtype) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def spoilt(values: Tensor, value: float, *at: int) -> Tensor:
    values = values.clone()
    values[at] = value
    return values


def systems(dtype: torch.dtype) -> Iterator[System]:
    """Systems on a grid that fail, or are solved though they look as if they would not."""
    ones, a, b = (
        torch.ones(SHAPE, dtype=dtype),
        random(*SHAPE, dtype=dtype).exp(),
        random(3, *SHAPE, seed=1, dtype=dtype),
    )
    A, three = Diffusion(a, GRID), Diffusion(random(3, *SHAPE, seed=2, dtype=dtype).exp(), GRID)
    S, info = A.stencil(), torch.finfo(dtype)
    clean, each = System("clean", A, b), System("clean", three, b)

    def with_entry(operator: Diffusion, value: float, *at: int) -> LinearOperator:
        return operator.rebuild((spoilt(operator.faces[0], value, *at), *operator.faces[1:]))

    def scaled(operator: Stencil, factor: float) -> LinearOperator:
        return operator.rebuild(tuple(factor * t for t in operator.tensors))

    yield System("NaN in b", A, spoilt(b, torch.nan, BAD, 3, 4), clean=clean)
    yield System("Inf in b", A, spoilt(b, torch.inf, BAD, 3, 4), clean=clean)
    yield System("NaN in A", with_entry(A, torch.nan, 4, 5), b[0])
    yield System("Inf in A", with_entry(A, torch.inf, 4, 5), b[0])
    yield System("NaN in one A of three", with_entry(three, torch.nan, BAD, 4, 5), b, clean=each)
    yield System("Inf in one A of three", with_entry(three, torch.inf, BAD, 4, 5), b, clean=each)
    yield System("huge b beside others", A, torch.stack([b[0], b[1] * info.max**0.75, b[2]]), clean=clean)
    yield System("tiny b beside others", A, torch.stack([b[0], b[1] * info.tiny**0.75, b[2]]), clean=clean)
    yield System("huge A", scaled(S, info.max**0.75), b[0])
    yield System("tiny A", scaled(S, info.tiny**0.75), b[0])

    yield System("indefinite", Diffusion(a, GRID, c=-1.0), b[0])
    shift = torch.zeros(3, *SHAPE, dtype=dtype)
    shift[BAD] = -1
    base = Diffusion(a, GRID, c=torch.zeros_like(shift))
    mixed = Diffusion(a, GRID, c=shift)
    yield System("one indefinite A of three", mixed, b, clean=System("clean", base, b))
    yield System("negative definite", scaled(S, -1.0), b[0])
    yield System("not symmetric", Stencil(convection(ones), [False, False]), b[0])
    yield System("not symmetric, said to be", Stencil(convection(ones), [False, False], symmetric=True), b[0])
    skew: dict[tuple[int, ...], Tensor] = {(0, 1): ones, (0, -1): -ones, (1, 0): 2 * ones, (-1, 0): -2 * ones}
    yield System("breakdown: skew, without a diagonal", Stencil(skew, [False, False]), b[0])
    neighbours: dict[tuple[int, ...], Tensor] = {(0, 1): ones, (0, -1): ones}
    exchange = Stencil(neighbours, [False, False], symmetric=True)
    yield System("breakdown: zero curvature", exchange, spoilt(0 * ones, 1, 2, 3))
    yield System("zero A", scaled(S, 0.0), b[0])

    closed = Diffusion(a, CLOSED)
    singular, kernel = closed.stencil(), {"nullspace": torch.ones(1, *SHAPE, dtype=dtype)}
    balanced = b - b.mean((-2, -1), keepdim=True)
    shifted = torch.stack([balanced[0], balanced[1] + 0.3, balanced[2]])
    yield System("singular, consistent, kernel unknown", singular, balanced[0])
    yield System("singular, consistent, kernel given", closed, balanced[0], kernel)
    yield System("singular, inconsistent, kernel unknown", singular, shifted[1])
    yield System("singular, barely inconsistent, kernel unknown", singular, balanced[0] + 1e3 * RTOL[dtype])
    yield System("singular, inconsistent, kernel given", closed, shifted[1], kernel)
    alone = System("clean", closed, balanced, kernel)
    yield System("one inconsistent b of three, kernel given", closed, shifted, kernel, clean=alone)
    yield System("nearly singular: c = 1e-17", Diffusion(a, CLOSED, c=1e-17).stencil(), b[0])
    decades = (18 * torch.rand(SHAPE, generator=torch.Generator().manual_seed(3), dtype=torch.float64) - 9).to(dtype)
    yield System("nearly singular: a over 18 decades", Diffusion(10**decades, GRID), b[0])
    yield System("nearly singular: unit of one row", unit_of_rows(A, 1e18), b[0])

    yield System("zero b beside others", A, torch.stack([b[0], 0 * b[1], b[2]]), {"x0": ones}, clean=clean)
    yield System("NaN in x0", A, b[0], {"x0": spoilt(ones, torch.nan, 2, 3)})
    yield System("iteration limit 1", A, b[0], {"max_iterations": 1})
    yield System("iteration limit 0", A, b[0], {"max_iterations": 0})
    yield System("tolerance beyond the precision", A, b[0], {"rtol": info.eps / 1e3})

    other = torch.float32 if dtype == torch.float64 else torch.float64
    yield System("not square", Dense(torch.ones(144, 100, dtype=dtype)), b[0].flatten(), refused=True)
    yield System("A is a tensor", torch.eye(144, dtype=dtype), b[0].flatten(), refused=True)
    yield System("mismatched batch", three, b[:2], refused=True)
    yield System("b of another shape", A, b[0, :, :5], refused=True)
    yield System("b of integers", A, torch.ones(SHAPE, dtype=torch.int64), refused=True)
    yield System("b complex", A, torch.complex(b[0], b[1]), refused=True)
    yield System("b of another precision", A, b[0].to(other), refused=True)
    yield System("b is a list", A, b[0].tolist(), refused=True)
    yield System("x0 of another batch", A, b[0], {"x0": b[:2]}, refused=True)
    yield System("x0 of another precision", A, b[0], {"x0": ones.to(other)}, refused=True)
    yield System("nullspace of a regular A", A, b[0], kernel, refused=True)
    yield System("nullspace not the kernel", singular, balanced[0], {"nullspace": b[:1]}, refused=True)
    yield System("nullspace of dependent vectors", singular, balanced[0], {"nullspace": 1 + 0 * b[:2]}, refused=True)
    yield System("nullspace NaN", singular, balanced[0], {"nullspace": torch.nan * b[:1]}, refused=True)
    yield System("nullspace of another shape", singular, balanced[0], {"nullspace": ones[:, :5]}, refused=True)
    yield System("rtol 0", A, b[0], {"rtol": 0.0}, refused=True)
    yield System("rtol NaN", A, b[0], {"rtol": torch.nan}, refused=True)
    yield System("max_iterations -1", A, b[0], {"max_iterations": -1}, refused=True)


def easy(dtype: torch.dtype) -> System:
    ones = torch.ones(SHAPE, dtype=dtype)
    return System("easy", Diffusion(ones, GRID), ones)


def dense_systems(dtype: torch.dtype) -> Iterator[System]:
    """Matrices that are no stencils."""
    n, b = 144, random(144, seed=1, dtype=dtype)
    Q, _ = torch.linalg.qr(random(n, n, dtype=torch.float64))
    small = torch.logspace(0, -18, n, dtype=torch.float64)
    signs = torch.where(torch.arange(n) % 2 == 0, 1.0, -1.0)
    hilbert = 1 / (torch.arange(n, dtype=torch.float64)[:, None] + torch.arange(n) + 1)
    rank = torch.where(torch.arange(n) < n // 2, 1.0, 0.0).double()

    def spectrum(values: Tensor) -> Dense:
        matrix = (Q * values) @ Q.T
        return Dense(((matrix + matrix.T) / 2).to(dtype))

    yield System("condition 1e18", spectrum(small), b)
    yield System("condition 1e18, b in the image", spectrum(small), spectrum(small) @ b)
    yield System("condition 1e18, indefinite", spectrum(small * signs), b)
    yield System("Hilbert's matrix", Dense(hilbert.to(dtype)), b)
    yield System("half the rank", spectrum(rank), b)
    yield System("half the rank, b in the image", spectrum(rank), spectrum(rank) @ b)
    yield System("nilpotent", Dense(torch.diag(torch.ones(n - 1, dtype=dtype), 1)), b)
    yield System("cyclic shift", Dense(torch.eye(n, dtype=dtype).roll(1, 0)), spoilt(0 * b, 1, 0))


def convection(ones: Tensor) -> dict[tuple[int, ...], Tensor]:
    """-laplace u + 1.8 du/dx - 0.8 du/dy."""
    return {(0, 0): 4 * ones, (0, 1): -0.1 * ones, (0, -1): -1.9 * ones, (1, 0): -1.4 * ones, (-1, 0): -0.6 * ones}


def unit_of_rows(A: Diffusion, factor: float) -> LinearOperator:
    """A with the equation and the unknown of one node in a unit that makes its diagonal `factor` times larger."""
    scale = spoilt(torch.ones(SHAPE, dtype=A.dtype), factor**0.5, 5, 6)
    coefficients = {}
    for offset, c in A.stencil().coefficients.items():
        coefficients[offset] = c * scale * scale.roll([-i for i in offset], (0, 1))  # wraps only where c is zero
    return Stencil(coefficients, [False, False], symmetric=True)


# The verdict.


class TimeLimit(Exception):
    """A solve that took too long."""


def solve(system: System, solver: LinearSolver, dtype: torch.dtype, throw: bool) -> Solution:
    torch.manual_seed(0)  # for the random network
    options = {"rtol": RTOL[dtype], **system.options}
    return solve_linear(system.A, system.b, solver, throw=throw, **options)


def fault(system: System, solver: LinearSolver, dtype: torch.dtype, limit: float = LIMIT) -> str | None:
    """What is wrong with how a method takes a system; None if nothing is."""
    start = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, limit)
    try:
        solution = solve(system, solver, dtype, throw=False)
        taken = time.process_time() - start
        found = silence(system, solver, dtype, solution.status)
    except REFUSALS:
        return None
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    if system.refused:
        return f"taken, {statuses(solution)}"
    if taken > limit:
        return f"{taken:.1f} s"
    return found or wrong(system, solution, dtype) or harm(system, solver, solution, dtype)


def silence(system: System, solver: LinearSolver, dtype: torch.dtype, status: Tensor) -> str | None:
    """A failure that is not raised, a floor without a warning."""
    ok = all(Status(code).ok for code in status.flatten().tolist())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            solve(system, solver, dtype, throw=True)
        except SolveError:
            return "SolveError though every status is good" if ok else None
    if not ok:
        return "no SolveError"
    warned = any(issubclass(warning.category, AccuracyWarning) for warning in caught)
    return None if warned == bool((status == Status.ROUNDING_FLOOR).any()) else "no AccuracyWarning"


def wrong(system: System, solution: Solution, dtype: torch.dtype) -> str | None:
    """The first element that is called solved and is not."""
    rtol, eps = system.options.get("rtol", RTOL[dtype]), torch.finfo(dtype).eps
    n = system.A.shape[0]
    batch = solution.status.shape
    matrices = extended(system.A.to_dense().expand(*batch, n, n).reshape(-1, n, n))
    sides = extended(system.b.expand(*batch, *system.A.in_shape).reshape(-1, n))
    values = extended(solution.value.reshape(-1, n))
    for i, code in enumerate(solution.status.flatten().tolist()):
        if not Status(code).ok:
            continue
        A, b, x = matrices[i], sides[i], values[i]
        if not (np.isfinite(A).all() and np.isfinite(b).all() and np.isfinite(x).all()):
            return f"element {i}: {Status(code).name} with values that are not finite"
        norm_b = length(b)
        r = max(length(b - A @ x) - 4 * eps * length(abs(A) @ abs(x) + abs(b)), np.longdouble(0))
        if code == Status.CONVERGED and r > 1.1 * rtol * norm_b:
            return f"element {i}: CONVERGED with a relative residual of {float(r / norm_b):.2e}"
        if code == Status.ROUNDING_FLOOR:
            backward = r / (spectral_norm(A) * length(x) + norm_b)
            if backward > 1.5 * ROUNDINGS * eps or r > 1.1 * eps**0.375 * norm_b:
                return f"element {i}: ROUNDING_FLOOR with r = {r / norm_b:.2e} ||b||, backward error {backward:.2e}"
    return None


def harm(system: System, solver: LinearSolver, solution: Solution, dtype: torch.dtype) -> str | None:
    """An element that is solved in good company alone."""
    if system.clean is None:
        return None
    before = solve(system.clean, solver, dtype, throw=False).status.tolist()
    for i, (code, found) in enumerate(zip(before, solution.status.tolist(), strict=True)):
        if i != BAD and Status(code).ok and not Status(found).ok:
            return f"element {i} is harmed: {Status(found).name}"
    return None


def extended(x: Tensor) -> np.ndarray:
    return x.double().numpy().astype(np.longdouble)


def length(x: np.ndarray) -> Any:
    """Euclidean norm in extended precision, which neither overflows nor underflows here."""
    return np.sqrt((x * x).sum())


def spectral_norm(A: np.ndarray) -> Any:
    size = abs(A).max()
    return size * np.longdouble(np.linalg.norm((A / size).astype(float), 2)) if size > 0 else size


def statuses(solution: Solution) -> str:
    return ", ".join(Status(code).name for code in solution.status.flatten().tolist())


# PyAMG.


def theirs() -> dict[str, Callable[[Any, np.ndarray], np.ndarray]]:
    import pyamg

    return {
        "pyamg.ruge_stuben_solver": lambda A, b: pyamg.ruge_stuben_solver(A).solve(b, tol=1e-8),
        "pyamg.solve": lambda A, b: pyamg.solve(A, b, tol=1e-8, verb=False),
    }


def flags(solve_it: Callable[[Any, np.ndarray], np.ndarray], system: System) -> str | None:
    """By what a failure is told, and None if it is not."""
    matrix, b = system.A.to_scipy().tocsr(), system.b.reshape(-1, 144)[-1 if system.clean is None else BAD].numpy()
    matrix.indices, matrix.indptr = matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32)
    with warnings.catch_warnings(record=True) as caught, np.errstate(all="ignore"):
        warnings.simplefilter("always")
        try:
            x = solve_it(matrix, b)
        except TimeLimit:
            return None
        except Exception as error:
            return type(error).__name__
    residual = np.linalg.norm(b - matrix @ x) / np.linalg.norm(b)
    if residual <= 1e-6:
        return f"solved, residual {residual:.1e}"
    told = [warning for warning in caught if issubclass(warning.category, (UserWarning, RuntimeWarning))]
    return f"warning: {told[0].message}" if told else None


ROW = ["NaN in b", "NaN in A", "indefinite", "singular, inconsistent, kernel unknown"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="float64 alone")
    parser.add_argument("--out", type=Path, help="results file (JSON)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    methods = {**ANYWHERE, **ON_GRIDS}
    untried = {lookup("solver", name) for name in names("solver")} - {c for s in methods.values() for c in parts(s)}
    if untried:
        raise SystemExit(f"linear_failures: expected every registered method to be tried, found none of {untried}")

    def late(*_: Any) -> None:
        raise TimeLimit(f"over {LIMIT} s")

    signal.signal(signal.SIGPROF, late)
    records, failed, slowest = [], 0, 0.0
    for dtype in (torch.float64,) if arguments.quick else (torch.float64, torch.float32):
        on_grid = list(systems(dtype))
        as_dense = [s.dense() for s in on_grid if not s.refused] + list(dense_systems(dtype))
        for name, solver in methods.items():
            tried = [("grid", s) for s in on_grid]
            tried += [("dense", s) for s in as_dense] if name in ANYWHERE else []
            fault(easy(dtype), solver, dtype, limit=300)  # the first solve may compile
            faults = 0
            for form, system in tried:
                start = time.process_time()
                if found := fault(system, solver, dtype):
                    print(f"{name}, {system.name} ({form}, {dtype}): {found}", flush=True)
                    faults += 1
                slowest = max(slowest, time.process_time() - start)
            failed += faults
            labels = {"test": "linear_failures", "case": name, "mode": str(dtype).removeprefix("torch.")}
            records.append(record("failures", faults, of=len(tried), **labels))
    of = sum(row["of"] for row in records)
    print(f"linear_failures: {failed} silent of {of}; the slowest took {slowest:.1f} s")
    records = [record("failures", failed, test="linear_failures", case="opnet", of=of), *records]
    records.append(record("slowest", slowest, test="linear_failures", unit="s"))
    row = [system for system in systems(torch.float64) if system.name in ROW]
    for name, solve_it in theirs().items():
        told = {system.name: flags(solve_it, system) for system in row}
        print(f"{name}: " + "; ".join(f"{system}: {how or 'silent'}" for system, how in told.items()))
        flagged = sum(how is not None for how in told.values())
        records.append(record("flagged", flagged, test="linear_failures", case=name, of=len(row)))
    if arguments.out:
        import pyamg

        write_results(arguments.out, records, seed=0, peers={"pyamg": pyamg.__version__})
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
