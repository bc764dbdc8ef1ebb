"""`Elliptic`: problems of one linear system on cells, solved twice to know how wrong they are."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from math import prod
from typing import ClassVar

import torch
from torch import Tensor

from opnet.core.errors import SolveError
from opnet.core.status import Status
from opnet.linops.base import LinearOperator
from opnet.solvers.linear.base import LinearSolver
from opnet.solvers.linear.cg import CG
from opnet.solvers.linear.solve import solve_linear
from opnet.solvers.multigrid.multigrid import Multigrid
from opnet.solvers.pde.problem import Problem, Samples
from opnet.solvers.pde.threads import one_thread
from opnet.spaces.grid import Grid
from opnet.spaces.interpolation import restrict_cells

SOLVER = CG(preconditioner=Multigrid())
CELLS_AT_ONCE = 2**18  # cells of one batched solve: fewer leave torch's overhead dominant, more leave the caches


class Elliptic(Problem):
    """A linear system A u = b on the cells of the unit square. Concrete problems are frozen dataclasses.

    The estimated error is `d / sqrt(1 + q^2 - 2 q c)` with d the relative L2 difference to the means over 2 x 2 cells
    of the solution at twice the resolution and q = 2^-order: the size of the error e_n if e_n and e_2n, q times
    smaller, enclose an angle of cosine c, the `alignment`. Smooth problems have c = 1 and Richardson's d / (1 - q).

    Attributes:
        rtol: tolerance of the recomputed relative residual.
        order, alignment: of successive errors.
        method: what solves the system.
        on_cpu: whether it is solved on the CPU, and the results are brought to the device asked for.
    """

    rtol: float
    order: ClassVar[float] = 2.0
    alignment: ClassVar[float] = 1.0
    method: ClassVar[LinearSolver] = SOLVER
    on_cpu: ClassVar[bool] = False

    @abstractmethod
    def draw(self, seed: int, indices: Sequence[int], grid: Grid, device: torch.device | str) -> Tensor:
        """Inputs.  # shape: (sample, channel, *grid)"""

    @abstractmethod
    def posed(self, inputs: Tensor, grid: Grid) -> tuple[LinearOperator, Tensor]:
        """A and b (sample, *nodes of A) of given inputs (sample, channel, *grid)."""

    def system(
        self, seed: int, indices: Sequence[int], grid: Grid, device: torch.device | str
    ) -> tuple[Tensor, LinearOperator, Tensor]:
        """Inputs (sample, channel, *grid), A and b (sample, *nodes of A)."""
        inputs = self.draw(seed, indices, grid, device)
        return inputs, *self.posed(inputs, grid)

    def targets(self, u: Tensor) -> Tensor:
        """The channels of the solution.  # shape: (sample, *grid) -> (sample, channel, *grid)"""
        return u.unsqueeze(1)

    def unknowns(self, targets: Tensor) -> Tensor:
        """The solution of its channels.  # shape: (sample, channel, *grid) -> (sample, *grid)"""
        return targets.squeeze(1)

    def sample(
        self,
        seed: int,
        indices: Sequence[int],
        resolution: int,
        *,
        estimate_error: bool = True,
        device: torch.device | str = "cpu",
    ) -> Samples:
        grid, indices = self.grid(resolution), [int(i) for i in indices]
        if not indices:
            raise ValueError(f"{type(self).__name__}.sample: expected at least one index, found none")
        cells = prod(grid.shape) * (2**grid.dim if estimate_error else 1)
        size = max(1, CELLS_AT_ONCE // cells)
        batches = [indices[i : i + size] for i in range(0, len(indices), size)]
        with one_thread(when=cells <= CELLS_AT_ONCE):
            place = "cpu" if self.on_cpu else device
            parts = [self._sample_batch(seed, batch, grid, estimate_error, place) for batch in batches]
        inputs, u, residual, error = (torch.cat(column).to(device) for column in zip(*parts, strict=True))
        return Samples(inputs, u, residual, error, grid)

    def _sample_batch(
        self, seed: int, indices: list[int], grid: Grid, estimate_error: bool, device: torch.device | str
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        inputs, u, residual = self._solve(seed, indices, grid, device)
        if not estimate_error:
            return inputs, u, residual, torch.full_like(residual, torch.nan)
        finer = grid.resized(tuple(2 * n for n in grid.shape))
        v = restrict_cells(self._finer(seed, indices, finer, device), finer, 2)[0]
        q = 2.0**-self.order
        error = _norm(v - u) / _norm(v) / (1 + q**2 - 2 * q * self.alignment) ** 0.5
        return inputs, u, residual, error

    def _finer(self, seed: int, indices: list[int], grid: Grid, device: torch.device | str) -> Tensor:
        """The targets on the finer grid, which those asked for are compared with."""
        return self._solve(seed, indices, grid, device)[1]

    def _solve(
        self, seed: int, indices: list[int], grid: Grid, device: torch.device | str
    ) -> tuple[Tensor, Tensor, Tensor]:
        inputs, A, b = self.system(seed, indices, grid, device)
        u, residual = self.solved(A, b, seed, indices)
        return inputs, self.targets(u), residual

    def solved(self, A: LinearOperator, b: Tensor, seed: int, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The solution and its residual; `SolveError` naming the sample that does not reach the tolerance."""
        solution = solve_linear(A, b, self.method, rtol=self.rtol, max_iterations=100, throw=False)
        for index, code, residual in zip(indices, solution.status.tolist(), solution.residual.tolist(), strict=True):
            if not Status(code).ok:
                raise SolveError(
                    f"{type(self).__name__} sample {index} of seed {seed} at {A.in_shape}: {Status(code).meaning}; "
                    f"relative residual {residual:.2g}, asked {self.rtol:.2g}",
                    status=code,
                    index=index,
                )
        return solution.value, solution.residual

    def check_positive(self, *names: str) -> None:
        """Raise a `ValueError` unless these arguments are positive and finite."""
        for name in names:
            value = getattr(self, name)
            if not (0 < value < torch.inf):
                raise ValueError(f"{type(self).__name__}.{name}: expected a positive finite number, found {value}")


def square(name: str, resolution: int, boundary: str = "dirichlet") -> Grid:
    """`resolution` cells a side of the unit square."""
    if resolution < 2:
        raise ValueError(f"{name}: expected a resolution of at least 2, found {resolution}")
    return Grid((resolution, resolution), boundary=boundary, nodes="cell")


def _norm(u: Tensor) -> Tensor:
    return torch.linalg.vector_norm(u.flatten(1), dim=1)
