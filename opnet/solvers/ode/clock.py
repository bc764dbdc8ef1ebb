"""`Clock`: times and steps that carry the gradients of the times asked for."""

from __future__ import annotations

import torch
from torch import Tensor

from opnet.solvers.ode.stages import Time


class Clock:
    """Steps end at fixed fractions of an interval: the mesh stretches with its ends.

    With `t = t_0 + s (t_1 - t_0)` and s held fixed, the discrete solution is a differentiable function of both ends.
    Without gradients, times stay as they are.
    """

    def __init__(self, start: Tensor, end: Tensor) -> None:
        self.start: Tensor | None = None
        if start.requires_grad or end.requires_grad:
            span = end - start
            length = span.detach()
            self.start, self.stretch = start, span / torch.where(length == 0, 1.0, length)

    def time(self, t: Time) -> Time:
        return t if self.start is None else self.start + (t - self.start.detach()) * self.stretch

    def step(self, h: Time) -> Time:
        return h if self.start is None else h * self.stretch

    def take(self, rows: Tensor) -> None:
        """Go on with some of the rows, where they have times of their own."""
        if self.start is not None and len(self.start) > 1:
            self.start, self.stretch = self.start[rows], self.stretch[rows]
