"""`Problem`: what turns (seed, sample, resolution) into solved samples with error bars."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from opnet.spaces.grid import Grid


@dataclass(frozen=True)
class Samples:
    """Solved samples of a problem on one grid.

    Attributes:
        inputs: (sample, channel, *grid).
        targets: (sample, channel, *grid); with times (sample, time, channel, *grid).
        residual: relative algebraic residual ||b - A u|| / ||b|| recomputed from the solution, (sample,); NaN where no
            algebraic system is solved.
        discretisation_error: estimated relative L2 error of the target against the exact solution for the same
            continuous input, that of the worst channel; NaN where it was not, or cannot be, estimated; (sample,).
        times: of the frames of a trajectory, the first that of the inputs; None where the targets have no time axis.
        diagnostics: further numbers of each sample, by the names `Problem.diagnostics` explains; (sample,) each.
    """

    inputs: Tensor
    targets: Tensor
    residual: Tensor
    discretisation_error: Tensor
    grid: Grid
    times: Tensor | None = None
    diagnostics: dict[str, Tensor] = field(default_factory=dict)


class Problem(ABC):
    """A differential equation with its distribution of inputs. Concrete problems are frozen dataclasses.

    A sample is one continuous function drawn from the stream of (seed, index): at every resolution it is the same
    function, and it does not depend on the other samples asked for.

    Attributes:
        equation: the equation in words, as a data set prints it.
        input_names, target_names: one name a channel.
        units: name -> unit, for every channel and parameter.
        solver: what solves it and to which order, as a data set prints it.
        error_method: how `discretisation_error` is estimated.
        diagnostics: name -> what the number says, for every diagnostic a sample carries.
    """

    equation: ClassVar[str]
    input_names: ClassVar[tuple[str, ...]]
    target_names: ClassVar[tuple[str, ...]]
    units: ClassVar[dict[str, str]]
    solver: ClassVar[str]
    error_method: ClassVar[str]
    diagnostics: ClassVar[dict[str, str]] = {}

    @property
    def trajectory_times(self) -> tuple[float, ...]:
        """Times of the frames of its trajectories, from 0 on; empty where targets have no time axis."""
        return ()

    @abstractmethod
    def grid(self, resolution: int) -> Grid:
        """The grid at a resolution; `ValueError` for a resolution the problem cannot take."""

    @abstractmethod
    def sample(
        self,
        seed: int,
        indices: Sequence[int],
        resolution: int,
        *,
        estimate_error: bool = True,
        device: torch.device | str = "cpu",
    ) -> Samples:
        """Draw and solve the samples `indices` of `seed`, in float64 on `device`.

        Raises:
            SolveError: naming the sample, if one does not reach its tolerance.
        """
