"""Problems with known solutions, quick enough to generate hundreds of stores in a test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from opnet.core.errors import SolveError
from opnet.core.status import Status
from opnet.solvers.pde.evolution import HORIZON, HORIZON_TEXT, Evolution, Solved
from opnet.solvers.pde.problem import Problem, Samples
from opnet.spaces.grid import Grid
from opnet.spaces.streams import stream


@dataclass(frozen=True)
class SinePoisson(Problem):
    """-u'' = f, u(0) = u(1) = 0, f a sum of sines; second-order differences, error against the exact solution."""

    modes: int = 4
    decay: float = 1.0
    fails_at: int = -1

    equation: ClassVar[str] = "-u'' = f on (0,1), u = 0 at both ends"
    input_names: ClassVar[tuple[str, ...]] = ("f",)
    target_names: ClassVar[tuple[str, ...]] = ("u",)
    units: ClassVar[dict[str, str]] = {"f": "K/m^2", "u": "K", "x": "m"}
    solver: ClassVar[str] = "three-point differences, order 2, direct"
    error_method: ClassVar[str] = "against the exact solution"

    def grid(self, resolution: int) -> Grid:
        if resolution < 2:
            raise ValueError(f"SinePoisson: expected a resolution of at least 2, found {resolution}")
        return Grid((resolution,), nodes="interior")

    def sample(
        self,
        seed: int,
        indices: Sequence[int],
        resolution: int,
        *,
        estimate_error: bool = True,
        device: torch.device | str = "cpu",
    ) -> Samples:
        if self.fails_at in indices:
            raise SolveError(f"sample {self.fails_at}", status=Status.MAX_ITERATIONS, index=self.fails_at)
        grid = self.grid(resolution)
        wave = torch.arange(1, self.modes + 1, dtype=torch.float64)[:, None] * torch.pi
        basis = torch.sin(wave * grid.axis(0))
        c = torch.stack([torch.as_tensor(stream(seed, index).normal(size=self.modes)) for index in indices])
        c = c / torch.arange(1, self.modes + 1) ** self.decay
        f, exact = c @ basis, (c / wave[:, 0] ** 2) @ basis
        h = grid.spacing[0]
        ones = torch.ones(resolution - 1, dtype=torch.float64)
        A = (2 * torch.eye(resolution, dtype=torch.float64) - torch.diag(ones, 1) - torch.diag(ones, -1)) / h**2
        u = torch.linalg.solve(A, f.T).T
        residual = (f - u @ A.T).norm(dim=1) / f.norm(dim=1)
        error = (u - exact).norm(dim=1) / exact.norm(dim=1)
        error = error if estimate_error else torch.full_like(error, torch.nan)
        return Samples(*(values.to(device) for values in (f[:, None], u[:, None], residual, error)), grid)


@dataclass(frozen=True)
class SineHeat(Evolution):
    """u_t = u_xx on the circle from a sum of sines, exactly; the refinement is wrong on purpose, by 1 %."""

    times: float | tuple[float, ...] = (0.0, 0.01, 0.02)
    modes: int = 3

    equation: ClassVar[str] = "u_t = u_xx on (0,1), periodic"
    input_names: ClassVar[tuple[str, ...]] = ("u",)
    target_names: ClassVar[tuple[str, ...]] = ("u",)
    units: ClassVar[dict[str, str]] = {"u": "K", "x": "m", "t": "s"}
    solver: ClassVar[str] = "exact"
    error_method: ClassVar[str] = "none is needed: 1 % of the solution"
    diagnostics: ClassVar[dict[str, str]] = {"energy": "mean of u^2 at the end, K^2"}
    order: ClassVar[float] = float("inf")

    def grid(self, resolution: int) -> Grid:
        return Grid((resolution,), boundary="periodic", nodes="left")

    def solve(
        self, seed: int, indices: Sequence[int], grid: Grid, *, refinement: int = 0, device: torch.device | str = "cpu"
    ) -> Solved:
        wave = 2 * torch.pi * torch.arange(1, self.modes + 1, dtype=torch.float64)[:, None]
        c = torch.stack([torch.as_tensor(stream(seed, index).normal(size=self.modes)) for index in indices])
        times = torch.tensor(self.frames, dtype=torch.float64)
        decay = torch.exp(-(wave[:, 0] ** 2) * times[:, None])
        states = (c[:, None] * decay) @ torch.sin(wave * grid.axis(0)) * (1 + 0.01 * refinement)
        states = states[:, :, None].to(device)
        return Solved(states, {"energy": states[:, -1, 0].square().mean(-1)})


@dataclass(frozen=True)
class ChaoticHeat(SineHeat):
    """`SineHeat` as a problem that claims to be chaotic: its refinement drifts away in time, for odd samples."""

    diagnostics: ClassVar[dict[str, str]] = {HORIZON: HORIZON_TEXT}

    def solve(
        self, seed: int, indices: Sequence[int], grid: Grid, *, refinement: int = 0, device: torch.device | str = "cpu"
    ) -> Solved:
        states = SineHeat.solve(self, seed, indices, grid, device=device).states
        odd = torch.tensor([index % 2 for index in indices], dtype=states.dtype, device=device)
        drift = torch.tensor(self.frames, dtype=states.dtype, device=device) / self.frames[-1]
        return Solved(states * (1 + refinement * odd[:, None] * drift)[..., None, None])
