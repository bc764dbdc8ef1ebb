"""Events: roots of functions of the solution, found within the steps."""

from __future__ import annotations

from torch import Tensor

from opnet.solvers.ode.record import Record


class Event:
    """A root."""


class Watch:
    """Looks for events in each step."""

    def see(self, record: Record) -> Tensor | None:
        raise NotImplementedError

    def take(self, rows: Tensor) -> None:
        raise NotImplementedError
