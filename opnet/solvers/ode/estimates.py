"""`Estimates`: the error and stiffness estimates of each step, with gradients."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from opnet.solvers.ode.stages import Time
from opnet.solvers.ode.stepper import Step


@dataclass(frozen=True)
class Estimates:
    """What the step control knew of each step, differentiable: terms for regularised training.

    `(error * steps.abs()).sum(0).mean()` is the error regulariser of Pal et al. 2021 ("Opening the blackbox",
    eq. 8), `stiffness.sum(0).mean()` their stiffness regulariser (eq. 11); one row chosen at random is the local form
    of Pal et al. 2022. All are (steps, batch), zero where an element did not take the step.

    Attributes:
        times: where the step began.
        steps: its length, signed.
        error: root mean square of the estimated local error, in the unit of y; zero for methods without an estimate.
        stiffness: estimate of the modulus of the dominant eigenvalue of df/dy, in 1 / unit of time; zero for methods
            without one.
    """

    times: Tensor
    steps: Tensor
    error: Tensor
    stiffness: Tensor


class EstimateLog:
    """Collects the estimates of accepted steps."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.entries: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []

    def add(self, step: Step, t: Time, h: Time, accept: Tensor | None, rows: Tensor | None) -> None:
        """The step of all elements, or of `rows`; those not in `accept` (rows, 1) did not take it."""
        zero = step.y.new_zeros((len(step.y), 1))
        error = zero if step.error is None else _rms(step.error)
        stiffness = zero if step.stiffness is None else step.stiffness()
        times = [zero + (x.detach() if isinstance(x, Tensor) else x) for x in (t, h)]
        columns = [x if accept is None else torch.where(accept, x, 0.0) for x in (*times, error, stiffness)]
        if rows is not None:
            whole = step.y.new_zeros((self.count, 1))
            columns = [whole.index_copy(0, rows, x) for x in columns]
        t_, h_, e, s = (x[:, 0] for x in columns)
        self.entries.append((t_, h_, e, s))

    def stack(self, like: Tensor) -> Estimates:
        """All of them; `like` is any tensor of the state's dtype and device."""
        if not self.entries:
            return Estimates(*(like.new_zeros((0, self.count)) for _ in range(4)))
        return Estimates(*(torch.stack(column) for column in zip(*self.entries, strict=True)))


def _rms(error: Tensor) -> Tensor:
    """Root mean square of each row, (batch, 1), with a gradient of zero at zero."""
    square = error.square().mean(1, keepdim=True)
    positive = square > 0
    return torch.where(positive, torch.where(positive, square, 1.0).sqrt(), 0.0)
