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

    def select(self, y: Tensor, other: Tensor | float) -> Tensor:
        """y for the living, `other` for the rest."""
        return y if self.alive is None else torch.where(self.alive[:, None], y, other)

    @property
    def none_left(self) -> bool:
        return self.alive is not None and not bool(self.alive.any())
