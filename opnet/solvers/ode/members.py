"""`Members`: which elements of a batch that takes common steps go on, and how the others ended."""

from __future__ import annotations

import torch
from torch import Tensor

from opnet.core.status import Status


class Members:
    """The elements of a batch, rows of (batch, n), and how each ended."""

    def __init__(self, y0: Tensor, start: Tensor) -> None:
        self.status = torch.zeros(len(y0), dtype=torch.long, device=y0.device)
        self.reached = start.detach().to(torch.float64).expand(len(y0)).clone()
        self.alive: Tensor | None = None  # (batch,); None: all of them

    def end(self, which: Tensor, status: Status | Tensor, time: float | Tensor) -> None:
        """Mark the living elements among `which` (bool, (batch,)) as ended at `time` ((batch,), or one for all)."""
        living = torch.ones_like(which) if self.alive is None else self.alive
        ends = which & living
        code = status if isinstance(status, Tensor) else torch.full_like(self.status, int(status))
        at = time if isinstance(time, Tensor) else torch.full_like(self.reached, time)
        self.status = torch.where(ends, code, self.status)
        self.reached = torch.where(ends, at.detach(), self.reached)
        self.alive = living & ~which

    def end_all(self, status: Status, time: float | Tensor) -> None:
        self.end(torch.ones_like(self.status, dtype=torch.bool), status, time)

    def finish(self, time: float | Tensor) -> None:
        """The living elements reached `time`."""
        self.end_all(Status.CONVERGED, time)

    def select(self, y: Tensor) -> Tensor:
        """y for the living; the rest stand where one of the living does, see `stand_in`."""
        return y if self.alive is None else stand_in(y, self.alive[:, None])

    def select_all(self, carry: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """`select` for each."""
        return tuple(map(self.select, carry))

    def living(self, which: Tensor) -> Tensor:
        """The living elements among `which` (bool, (batch,))."""
        return which if self.alive is None else which & self.alive

    @property
    def none_left(self) -> bool:
        return self.alive is not None and not bool(self.alive.any())


def stand_in(y: Tensor, good: Tensor) -> Tensor:
    """y where good, (batch, 1); the values of one of the good elements in the others, without their gradient.

    Elements that ended are computed on with the rest. From values at which f is finite they do no harm: a NaN that is
    not chosen would still spoil the gradients.
    """
    return torch.where(good, y, y.detach()[good[:, 0].long().argmax()])
