"""`Stepper`: a method of time integration as a value; what it is asked and what it answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from opnet.core.status import Status

VectorField = Callable[[Tensor, Tensor], Tensor]
"""f(t, y) of the shape and dtype of y; t has no dimensions."""


@dataclass(frozen=True)
class Request:
    """What a stepper is asked: `y' = f(t, y)`, `y(times[0]) = y0`, y at `times`; checked already."""

    f: VectorField
    y0: Tensor
    times: tuple[float, ...]
    rtol: float
    atol: float
    step: float | None
    max_steps: int


@dataclass(frozen=True)
class ODESolution:
    """The solution of an initial value problem at the times asked for.

    Attributes:
        ys: (time, *y0.shape), the first being y0; NaN after the time a batch element reached.
        ts: the times, as given.
        status: one `Status` a batch element; (batch,).
        reached: the time each element reached; (batch,), float64.
        steps: steps taken; None for a back end that does not count them.
        rejected: steps tried and rejected; None likewise.
        evaluations: evaluations of f.
    """

    ys: Tensor
    ts: Tensor
    status: Tensor
    reached: Tensor
    steps: int | None
    rejected: int | None
    evaluations: int


class Stepper(ABC):
    """A method of time integration; a frozen dataclass."""

    @property
    @abstractmethod
    def order(self) -> int:
        """Order of convergence."""

    @abstractmethod
    def integrate(self, request: Request, ts: Tensor) -> ODESolution:
        """Solve; failures are written into the status, never raised."""


@dataclass(frozen=True)
class Direct:
    """Gradients by backpropagation through the steps taken (discretise, then optimise).

    Exact for the discrete solution with its step sizes held fixed; memory grows with the number of steps. Times receive
    no gradient.
    """


class Members:
    """Which elements of a batch are still being integrated, and how the others ended.

    The batch is the leading dimension of a state of two dimensions or more; a smaller state is one element.
    """

    def __init__(self, y0: Tensor, start: float) -> None:
        self.count = y0.shape[0] if y0.ndim >= 2 else 1
        self.status = torch.zeros(self.count, dtype=torch.long, device=y0.device)
        self.reached = torch.full((self.count,), start, dtype=torch.float64, device=y0.device)
        self.alive: Tensor | None = None  # None: all of them
        self._wide = (self.count, *(1,) * (y0.ndim - 1)) if y0.ndim >= 2 else (1,) * y0.ndim

    def rows(self, y: Tensor) -> Tensor:
        """The state with one row an element."""
        return y.reshape(self.count, -1)

    def living(self, y: Tensor) -> Tensor:
        """The entries of the elements that are still integrated."""
        return y if self.alive is None else self.rows(y)[self.alive]

    def fail(self, which: Tensor, status: Status | Tensor, time: float) -> None:
        """Mark the living elements among `which` (bool, (batch,)) as ended at `time`."""
        living = torch.ones_like(which) if self.alive is None else self.alive
        ends = which & living
        code = status if isinstance(status, Tensor) else torch.full_like(self.status, int(status))
        self.status = torch.where(ends, code, self.status)
        self.reached = torch.where(ends, torch.full_like(self.reached, time), self.reached)
        self.alive = living & ~which

    def fail_all(self, status: Status, time: float) -> None:
        self.fail(torch.ones_like(self.status, dtype=torch.bool), status, time)

    def finish(self, time: float) -> None:
        """The living elements reached the end."""
        living = torch.ones_like(self.status, dtype=torch.bool) if self.alive is None else self.alive
        self.reached = torch.where(living, torch.full_like(self.reached, time), self.reached)

    def select(self, y: Tensor, other: Tensor | float) -> Tensor:
        """y for the living, `other` for the rest."""
        return y if self.alive is None else torch.where(self.alive.reshape(self._wide), y, other)

    @property
    def none_left(self) -> bool:
        return self.alive is not None and not bool(self.alive.any())

    def finite(self, y: Tensor) -> Tensor:
        """Whether all entries of each element are finite; bool, (batch,)."""
        return torch.isfinite(self.rows(y)).all(1)
