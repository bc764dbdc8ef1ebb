"""`Record`: what a step leaves behind for those who look at it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from opnet.solvers.ode.stages import Time
from opnet.solvers.ode.stepper import Interpolant


@dataclass
class Emission:
    """Outputs that lie in one step: of elements `rows` (None: all) at `ts[index]`, `theta` of the step ahead.

    `at_end` says that all of them are its end, `ends` (rows, 1) which are.
    """

    rows: Tensor | None
    index: Tensor | int
    theta: Time
    at_end: bool
    ends: Tensor | None = None


@dataclass
class Record:
    """What one step leaves behind. Times are numbers for a batch that steps together, (batch, 1) otherwise.

    Attributes:
        t, h: as handed to the stepper (with gradients, where times have them).
        t1: where it ended.
        y, y1: (batch, n).
        carry: as handed to the stepper.
        accept: (batch, 1), elements that took it; None: all.
        interpolant: see `Step`.
        rows: which elements of the batch the rows are; None: all.
        emissions: outputs it gave.
    """

    t: Time
    h: Time
    t1: Time
    y: Tensor
    y1: Tensor
    carry: tuple[Tensor, ...]
    accept: Tensor | None
    interpolant: Callable[[], Interpolant] | None
    rows: Tensor | None
    emissions: list[Emission] = field(default_factory=list)
    _made: Interpolant | None = None

    def extension(self) -> Interpolant:
        """The continuous extension, made when first asked for, with gradients if they are enabled then."""
        if self._made is None:
            assert self.interpolant is not None
            self._made = self.interpolant()
        return self._made

    def at(self, theta: Time, rows: Tensor | None = None) -> Tensor:
        """y at t + theta h, of all elements or some."""
        return self.extension()(theta, rows)

    def emit(self, emission: Emission) -> Tensor:
        """The values of an emission."""
        if emission.at_end:
            return self.y1 if emission.rows is None else self.y1[emission.rows]
        value = self.at(emission.theta, emission.rows)
        return value if emission.ends is None else torch.where(emission.ends, self.y1[emission.rows], value)
