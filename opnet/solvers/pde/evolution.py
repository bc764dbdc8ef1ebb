"""`Evolution`: problems whose solution unfolds in time, solved twice to know how wrong it is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import isfinite
from typing import ClassVar

import torch
from torch import Tensor

from opnet.core.errors import SolveError
from opnet.core.status import Status
from opnet.solvers.pde.problem import Problem, Samples
from opnet.spaces.grid import Grid

HORIZON = "predictability_horizon"
HORIZON_TEXT = "last time up to which the solution and its refinement differ by less than 10 % in relative L2"
HORIZON_SHARE = 0.1


@dataclass(frozen=True)
class Solved:
    """Trajectories on the grid that was asked for.

    Attributes:
        states: (sample, time, channel, *grid), at every one of `Evolution.frames`.
        diagnostics: (sample,) each, by the names of `Problem.diagnostics`.
        inputs: (sample, channel, *grid) where the input is not the first frame: a forcing, a coefficient.
        residual: (sample,); None where no algebraic system is solved.
    """

    states: Tensor
    diagnostics: dict[str, Tensor] = field(default_factory=dict)
    inputs: Tensor | None = None
    residual: Tensor | None = None


class Evolution(Problem):
    """An equation in time. Concrete problems are frozen dataclasses with a field `times` and a method `solve`.

    `times` chooses the targets: a number T asks for the map from the input to the solution at T, a tuple (0, t_1, ...)
    for trajectories, whose frames are at these times.

    The estimated error is that of Richardson: the relative L2 difference, over all frames of the target, to the
    solution refined once in space and time, divided by 1 - 2^-order. Where `diagnostics` has "predictability_horizon"
    (chaotic problems), a sample whose horizon is shorter than its trajectory has no estimate.

    Attributes:
        order: of the error when space and time are refined together; infinite where refining leaves the finer
            solution's error negligible.
    """

    times: float | tuple[float, ...]
    order: ClassVar[float]

    @abstractmethod
    def solve(
        self, seed: int, indices: Sequence[int], grid: Grid, *, refinement: int = 0, device: torch.device | str = "cpu"
    ) -> Solved:
        """The samples at `frames`, with spacing and step 2^refinement times finer than usual, brought to `grid`.

        Values that are not finite may be left in a sample that fails; `sample` names it.
        """

    @property
    def frames(self) -> tuple[float, ...]:
        """The times that are solved for, from 0 on.

        Raises:
            ValueError: for times other than a positive number, or numbers ascending from 0.
        """
        times = self.times
        frames = tuple(map(float, times)) if isinstance(times, (tuple, list)) else (0.0, float(times))
        ascending = all(a < b for a, b in pairwise(frames))
        if len(frames) < 2 or frames[0] != 0 or not ascending or not isfinite(frames[-1]):
            raise ValueError(
                f"{type(self).__name__}.times: expected a positive number, or numbers ascending from 0, found {times!r}"
            )
        return frames

    @property
    def trajectory_times(self) -> tuple[float, ...]:
        frames = self.frames  # checks a number too
        return frames if isinstance(self.times, (tuple, list)) else ()

    def sample(
        self,
        seed: int,
        indices: Sequence[int],
        resolution: int,
        *,
        estimate_error: bool = True,
        device: torch.device | str = "cpu",
    ) -> Samples:
        grid, indices, frames = self.grid(resolution), [int(i) for i in indices], self.frames
        if not indices:
            raise ValueError(f"{type(self).__name__}.sample: expected at least one index, found none")
        trajectories = bool(self.trajectory_times)
        solved = self._checked(seed, indices, grid, 0, device)
        unknown = solved.states.new_full((len(indices),), torch.nan)
        diagnostics, error = dict(solved.diagnostics), unknown
        if HORIZON in self.diagnostics:
            diagnostics[HORIZON] = unknown
        if estimate_error:
            finer = self._checked(seed, indices, grid, 1, device).states
            compared = slice(None) if trajectories else slice(-1, None)
            error = relative_difference(solved.states[:, compared], finer[:, compared]) / (1 - 2.0**-self.order)
            if HORIZON in self.diagnostics:
                diagnostics[HORIZON] = horizon = _horizon(solved.states, finer, frames)
                error = torch.where(horizon < frames[-1], torch.nan, error)
        return Samples(
            solved.states[:, 0] if solved.inputs is None else solved.inputs,
            solved.states if trajectories else solved.states[:, -1],
            unknown if solved.residual is None else solved.residual,
            error,
            grid,
            torch.tensor(frames, dtype=torch.float64) if trajectories else None,
            diagnostics,
        )

    def _checked(
        self, seed: int, indices: list[int], grid: Grid, refinement: int, device: torch.device | str
    ) -> Solved:
        solved = self.solve(seed, indices, grid, refinement=refinement, device=device)
        finite = torch.isfinite(solved.states).flatten(2).all(-1)
        for row in torch.nonzero(~finite.all(1)).flatten()[:1].tolist():
            time = self.frames[int(torch.nonzero(~finite[row])[0])]
            raise SolveError(
                f"{type(self).__name__} sample {indices[row]} of seed {seed} at {grid.shape}: expected finite values, "
                f"found NaN or Inf by time {time:g}",
                status=Status.NON_FINITE,
                index=indices[row],
                time=time,
            )
        return solved


def relative_difference(u: Tensor, v: Tensor) -> Tensor:
    """`||u - v|| / ||v||` over time and space, in the worst channel; a channel that is 0 in both counts nothing.

    Args:
        u, v: (sample, time, channel, *grid).

    Returns:
        (sample,)
    """
    axes = (1, *range(3, u.ndim))
    norm = torch.linalg.vector_norm(v, dim=axes)
    difference = torch.linalg.vector_norm(u - v, dim=axes)
    return torch.where(difference == 0, 0.0, difference / norm).amax(1)


def _horizon(u: Tensor, v: Tensor, frames: tuple[float, ...]) -> Tensor:
    apart = torch.stack([relative_difference(u[:, i : i + 1], v[:, i : i + 1]) for i in range(len(frames))], 1)
    good = (apart < HORIZON_SHARE).cumprod(1).sum(1)
    return torch.tensor(frames, dtype=u.dtype, device=u.device)[(good - 1).clamp(min=0)]
