"""`Darcy`: steady flow through a medium of two phases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from opnet.core.errors import SolveError
from opnet.core.registry import register
from opnet.core.status import Status
from opnet.linops.stencil import Diffusion
from opnet.solvers.linear.cg import CG
from opnet.solvers.linear.solve import solve_linear
from opnet.solvers.multigrid.coarsening import grid_hierarchy
from opnet.solvers.multigrid.multigrid import LARGEST_DENSE, Multigrid
from opnet.solvers.multigrid.transfer import prolong
from opnet.solvers.pde.problem import Problem, Samples
from opnet.spaces.grid import Grid
from opnet.spaces.random_fields import GaussianField

SOLVER = CG(preconditioner=Multigrid(dtype=torch.float32))
CELLS_AT_ONCE = 2**17  # cells of a batch: larger ones leave the processor's caches
ESTIMATE_FACTOR = 1.0


@register("problem", "darcy")
@dataclass(frozen=True)
class Darcy(Problem):
    a_high: float = 12.0
    a_low: float = 3.0
    tau: float = 3.0
    alpha: float = 2.0
    forcing: float = 1.0
    max_mode: int = 128
    rtol: float = 1e-10

    equation: ClassVar[str] = "-div(a grad u) = f on (0,1)^2, u = 0 on the boundary"
    input_names: ClassVar[tuple[str, ...]] = ("a",)
    target_names: ClassVar[tuple[str, ...]] = ("u",)
    units: ClassVar[dict[str, str]] = {}
    solver: ClassVar[str] = ""
    error_method: ClassVar[str] = ""

    def grid(self, resolution: int) -> Grid:
        if resolution < 2:
            raise ValueError(f"Darcy: expected a resolution of at least 2, found {resolution}")
        grid = Grid((resolution, resolution), boundary="dirichlet", nodes="cell")
        grid_hierarchy(grid, 1, LARGEST_DENSE)
        return grid

    @property
    def field(self) -> GaussianField:
        """The field whose sign chooses the phase."""
        return GaussianField(self.tau, self.alpha, self.tau ** (self.alpha - 1), max_mode=self.max_mode)

    def coefficient(self, seed: int, indices: Sequence[int], grid: Grid) -> Tensor:
        """a at the nodes of any grid.  # shape: (sample, *grid)"""
        g = self.field.sample(seed, indices, grid)
        return torch.full_like(g, self.a_low).masked_fill_(g >= 0, self.a_high)

    def sample(self, seed: int, indices: Sequence[int], resolution: int, *, estimate_error: bool = True) -> Samples:
        grid, indices = self.grid(resolution), list(indices)
        cells = grid.shape[0] * grid.shape[1] * (4 if estimate_error else 1)
        size = max(1, CELLS_AT_ONCE // cells)
        parts = [
            self._sample_batch(seed, indices[i : i + size], grid, estimate_error) for i in range(0, len(indices), size)
        ]
        a, u, residual, error = (torch.cat(column) for column in zip(*parts, strict=True))
        return Samples(a.unsqueeze(1), u.unsqueeze(1), residual, error, grid)

    def _sample_batch(
        self, seed: int, indices: list[int], grid: Grid, estimate_error: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        a, u, residual = self._solve(seed, indices, grid)
        error = torch.full_like(residual, torch.nan)
        if estimate_error:
            finer = grid.resized(2 * grid.shape[0])
            _, v, _ = self._solve(seed, indices, finer, prolong(u, finer))
            v = v.unflatten(-1, (-1, 2)).unflatten(-3, (-1, 2)).mean((-1, -3))
            error = ESTIMATE_FACTOR * _norm(v - u) / _norm(v)
        return a, u, residual, error

    def _solve(
        self, seed: int, indices: list[int], grid: Grid, x0: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        a = self.coefficient(seed, indices, grid)
        b = torch.full_like(a, self.forcing)
        solution = solve_linear(Diffusion(a, grid), b, SOLVER, x0=x0, rtol=self.rtol, max_iterations=100, throw=False)
        for index, code, residual in zip(indices, solution.status.tolist(), solution.residual.tolist(), strict=True):
            if code != Status.CONVERGED:
                raise SolveError(
                    f"Darcy sample {index} of seed {seed} at {grid.shape}: {Status(code).meaning}; relative residual "
                    f"{residual:.2g}, asked {self.rtol:.2g}",
                    status=code,
                    index=index,
                )
        return a, solution.value, solution.residual


def _norm(u: Tensor) -> Tensor:
    return torch.linalg.vector_norm(u.flatten(1), dim=1)
