"""`LorenzSites`: Lorenz's models of a circle of sites, from a spin-up on."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from math import inf
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from opnet.solvers.ode.methods.dop853 import DOP853
from opnet.solvers.ode.solve import solve_ode
from opnet.solvers.pde.evolution import Evolution, Solved
from opnet.solvers.pde.threads import one_thread
from opnet.spaces.grid import Grid
from opnet.spaces.streams import stream


class LorenzSites(Evolution):
    """Ordinary differential equations of K sites: the grid is theirs and no other.

    Solved by DOP853, every sample in steps of its own; the error is estimated with a hundredth of the tolerance, from
    the same state after the spin-up.
    """

    sites: int
    spin_up: float
    rtol: float

    order: ClassVar[float] = inf
    solver: ClassVar[str] = "DOP853 (order 8), every sample in steps of its own"
    error_method: ClassVar[str] = (
        "relative L2 difference to the solution with a hundredth of the tolerance from the same initial state, in the "
        "worst channel; not estimated beyond the predictability horizon"
    )

    @abstractmethod
    def draw(self, seed: int, indices: Sequence[int]) -> Tensor:
        """The state before the spin-up.  # shape: (sample, channel, site)"""

    @abstractmethod
    def change(self, t: Tensor, state: Tensor) -> Tensor:
        """Its derivative, of the same shape."""

    def grid(self, resolution: int) -> Grid:
        if resolution != self.sites:
            raise ValueError(
                f"{type(self).__name__}: expected the resolution {self.sites}, which is `sites`, found {resolution}"
            )
        return Grid((resolution,), ((0.0, float(resolution)),), "periodic")

    def solve(
        self, seed: int, indices: Sequence[int], grid: Grid, *, refinement: int = 0, device: torch.device | str = "cpu"
    ) -> Solved:
        start = self.draw(seed, indices).to(device)
        with one_thread():
            if self.spin_up:
                start = self._march(start, (0.0, self.spin_up), self.rtol)[:, -1]
            return Solved(self._march(start, self.frames, self.rtol / 100**refinement))

    def _march(self, start: Tensor, frames: Sequence[float], rtol: float) -> Tensor:
        """# shape: (sample, time, channel, site)"""
        ts = torch.tensor(frames, dtype=start.dtype, device=start.device)
        return solve_ode(self.change, start, ts, DOP853(), rtol=rtol, atol=rtol, throw=False).ys.transpose(0, 1)

    def noise(self, seed: int, indices: Sequence[int], shape: tuple[int, ...]) -> Tensor:
        """Standard normal numbers of each sample."""
        return torch.from_numpy(np.stack([stream(seed, index).standard_normal(shape) for index in indices]))

    def check(self) -> None:
        """Raise a `ValueError` unless there are enough sites and the times make sense."""
        name = type(self).__name__
        if self.sites < 4:
            raise ValueError(f"{name}.sites: expected at least 4, found {self.sites}")
        if not 1e-11 <= self.rtol < 1:
            raise ValueError(f"{name}.rtol: expected a tolerance from 1e-11 to 1, found {self.rtol}")
        if not 0 <= self.spin_up < torch.inf:
            raise ValueError(f"{name}.spin_up: expected a finite number from 0 on, found {self.spin_up}")
