"""`Monitor`: which elements of a batch still iterate, and how the others ended."""

from __future__ import annotations

import torch
from torch import Tensor

from opnet.core.status import Status

GAIN = 0.01  # what a window must take off the best residual for the iteration to go on
GROWTH = 1e8  # over the first residual: divergence
LOOK_EVERY = 8  # iterations between looks at completion on an accelerator, which each make it wait for the host


class Monitor:
    """Follows the residual norms of an iteration: which elements are still `active`, and how the others ended.

    A NaN or Inf ends an element as NON_FINITE. With a `window` an element whose best residual lost less than 1 % over
    as many iterations ends as STAGNATED, and one whose residual grew 1e8-fold as BREAKDOWN; that is for stationary
    iterations and not for Krylov methods, whose residual may stand still for long and then fall.

    Args:
        norm: residual norms of the start; (*batch,).
        target: what they are to reach; (*batch,).
        window: iterations; None to leave stagnation to the method.

    Attributes:
        status, iterations, active: of each element, as the iteration saw it; (*batch,).
        norms: residual norms from the start, (*batch,) each.
        rejected: corrections of the preconditioner that the method did not use; (*batch,).
    """

    def __init__(self, norm: Tensor, target: Tensor, *, window: int | None = None) -> None:
        self.target, self.norms, self.window = target, [norm], window
        self.status = torch.zeros(norm.shape, dtype=torch.long, device=norm.device)
        self.iterations, self.rejected = torch.zeros_like(self.status), torch.zeros_like(self.status)
        self.active = torch.ones_like(norm, dtype=torch.bool)
        self._best = self._best_before = norm
        self._look_every, self._looks = (1 if norm.device.type == "cpu" else LOOK_EVERY), 0
        self._judge(norm)

    @classmethod
    def from_history(cls, history: Tensor, target: Tensor, status: Tensor, iterations: Tensor) -> Monitor:
        """What an implementation that follows its own iteration reports.

        Args:
            history: residual norms from the start, each element's last one repeated to the end; (k + 1, *batch).
            target: (*batch,).
            status: `Status` codes, CONVERGED where the last norm is at most the target, MAX_ITERATIONS where the limit
                came first; (*batch,).
            iterations: (*batch,), at most k.
        """
        monitor = cls(history[0], target)
        monitor.norms, monitor.status, monitor.iterations = list(history), status.clone(), iterations.clone()
        monitor.active = torch.zeros_like(monitor.active)
        return monitor

    @property
    def done(self) -> bool:
        """Whether no element is active; on an accelerator looked at every few iterations, so that False may be stale.

        Further iterations change nothing in elements that are not active.
        """
        self._looks += 1
        return (self._looks - 1) % self._look_every == 0 and not bool(self.active.any())

    @property
    def taken(self) -> int:
        """Iterations that the slowest element took, no less."""
        return len(self.norms) - 1

    def left(self, where: Tensor, max_iterations: int) -> int:
        """Iterations that each of the elements `where` may still take."""
        return max_iterations - int(self.iterations[where].max())

    def advance(self, norm: Tensor) -> None:
        """The active elements took an iteration, which left residuals of these norms."""
        self.iterations += self.active
        norm = torch.where(self.active, norm, self.norms[-1])
        self.norms.append(norm)
        self._judge(norm)
        if self.window is not None:
            self._judge_progress(norm, self.window)

    def fail(self, where: Tensor, code: Status) -> None:
        """The active elements among `where` end with `code`."""
        mark(self.status, self.active & where, code)
        self.active = self.active & ~where

    def extend(self, later: Monitor, where: Tensor) -> None:
        """The elements `where` iterated again, as `later` saw it."""
        last = self.norms[-1]
        self.norms += [torch.where(where, norm, last) for norm in later.norms[1:]]
        self.status = torch.where(where, later.status, self.status)
        self.iterations = self.iterations + torch.where(where, later.iterations, 0)
        self.rejected = self.rejected + torch.where(where, later.rejected, 0)

    def _judge(self, norm: Tensor) -> None:
        self.fail(~torch.isfinite(norm), Status.NON_FINITE)
        self.active = self.active & (norm > self.target)

    def _judge_progress(self, norm: Tensor, window: int) -> None:
        self.fail(norm > GROWTH * self.norms[0], Status.BREAKDOWN)
        self._best = torch.minimum(self._best, norm)
        if self.taken % window == 0:
            self.fail(self._best > (1 - GAIN) * self._best_before, Status.STAGNATED)
            self._best_before = self._best


def mark(status: Tensor, where: Tensor, code: Status) -> None:
    """Set `status` to `code` where the mask says so."""
    status.masked_fill_(where, int(code))
