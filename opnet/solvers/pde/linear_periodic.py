"""`LinearPeriodic`: equations with constant coefficients on periodic boxes, solved exactly mode by mode."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from math import inf, prod
from typing import ClassVar

import torch
from torch import Tensor

from opnet.solvers.pde.evolution import Solved
from opnet.solvers.pde.periodic_box import TAIL, evaluate, spectrum_tail, wave_numbers
from opnet.solvers.pde.periodic_problem import PeriodicProblem
from opnet.solvers.pde.threads import one_thread
from opnet.spaces.grid import Grid

NODES = {1: 512, 2: 128}  # at least, an axis, of the grid that is solved on
VALUES_AT_ONCE = 2**20  # of a batch: fewer leave torch's overhead dominant, more leave the caches


class LinearPeriodic(PeriodicProblem):
    """Every Fourier mode is multiplied by its propagator: no error in time, and none in space for band-limited states.

    They are solved with at least 512 modes an axis (128 in two dimensions), and as many as the grid asked for has: sums
    of fewer modes are exact to rounding, and what others lack is estimated with twice the modes.
    """

    order: ClassVar[float] = inf
    solver: ClassVar[str] = (
        "every Fourier mode by its propagator, on at least 512 nodes an axis (128 in two dimensions): exact to "
        "rounding for states of fewer modes"
    )
    error_method: ClassVar[str] = (
        "relative L2 difference to the solution with twice the modes, in the worst channel and over all frames of the "
        "target"
    )
    diagnostics: ClassVar[dict[str, str]] = {"spectrum_tail": TAIL}

    @abstractmethod
    def propagator(self, k: Sequence[Tensor], time: float) -> list[list[Tensor]]:
        """What takes each channel's modes at 0 to each channel's at `time`, [to][from].

        Args:
            k: angular wave numbers, one tensor an axis, that broadcast.
        """

    def monitored(self, modes: Tensor, k: Sequence[Tensor], box: Grid) -> dict[str, Tensor]:
        """Further diagnostics of the modes (sample, time, channel, *modes) of `rfftn` on the box."""
        return {}

    def solve(
        self, seed: int, indices: Sequence[int], grid: Grid, *, refinement: int = 0, device: torch.device | str = "cpu"
    ) -> Solved:
        box = self.box(max(NODES[grid.dim], grid.shape[0]) * 2**refinement)
        k = wave_numbers(box, device)
        propagators = [self.propagator(k, time) for time in self.frames]
        size = max(1, VALUES_AT_ONCE // (prod(box.shape) * len(self.frames)))
        parts = []
        with one_thread():
            for i in range(0, len(indices), size):
                start = self.start(seed, indices[i : i + size], grid, box).to(device)
                parts.append(self._solve_batch(start, grid, box, k, propagators))
        return Solved(
            torch.cat([part.states for part in parts]),
            {name: torch.cat([part.diagnostics[name] for part in parts]) for name in parts[0].diagnostics},
        )

    def _solve_batch(
        self, start: Tensor, grid: Grid, box: Grid, k: Sequence[Tensor], propagators: list[list[list[Tensor]]]
    ) -> Solved:
        axes = tuple(range(-grid.dim, 0))
        before = torch.fft.rfftn(start, dim=axes).unbind(1)
        frames = [
            torch.stack([torch.stack([p * u for p, u in zip(row, before, strict=True)]).sum(0) for row in rows], 1)
            for rows in propagators
        ]
        modes = torch.stack(frames, 1)
        states = evaluate(torch.fft.irfftn(modes, box.shape, axes), box, grid)
        tail = spectrum_tail(modes, box).flatten(1).amax(1)
        return Solved(states, {"spectrum_tail": tail, **self.monitored(modes, k, box)})
