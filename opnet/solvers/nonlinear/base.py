"""`NonlinearSolver` and `Iteration`: a method as a value, and the method at work on one problem."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from opnet.core.expect import integer
from opnet.core.status import Status
from opnet.linops.jacobian import Jacobian
from opnet.solvers.linear.monitor import Monitor, mark

WINDOW = 50  # iterations over which the least residual must fall


class Residual:
    """F on vectors: states are (batch, n) inside the methods, whatever shape F takes.

    Attributes:
        evaluations: calls so far, and what costs about as much.
    """

    def __init__(self, F: Callable[[Tensor], Tensor], x0: Tensor, batch_dims: int) -> None:
        self.F, self.shape, self.batch_shape = F, x0.shape, x0.shape[:batch_dims]
        self.element_shape = x0.shape[batch_dims:] or torch.Size([1])  # operators have an axis
        self.start = self.flat(x0.detach())
        self.evaluations = 0

    def __call__(self, x: Tensor) -> Tensor:
        """F(x).  # shape: (batch, n) -> (batch, n)"""
        self.evaluations += 1
        return self.flat(self.F(x.reshape(self.shape)))

    def jacobian(self, x: Tensor) -> Jacobian:
        """F'(x) for x of (batch, n), on arguments (*batch, *element) that keep their shape for preconditioners."""
        return Jacobian(lambda x: self.elements(self(self.flat(x))), self.elements(x), batch_axes=len(self.batch_shape))

    def elements(self, x: Tensor) -> Tensor:
        """Vectors in the shape that operators take.  # shape: (batch, n) -> (*batch, *element)"""
        return x.reshape(*self.batch_shape, *self.element_shape)

    def flat(self, value: Tensor) -> Tensor:
        """Vectors of what has the form of x.  # shape: (*batch, *element) -> (batch, n)"""
        return value.reshape(self.batch_shape.numel(), -1)


class NonlinearSolver(ABC):
    """A method for F(x) = 0 as a frozen value."""

    @abstractmethod
    def start(self, F: Residual, target: Tensor) -> Iteration:
        """The method before its first iteration on F, which is to reach ||F(x)|| <= target; (batch,)."""


class Iteration(ABC):
    """A method at work: what it remembers of earlier iterations, and how it makes the next."""

    @abstractmethod
    def step(self, x: Tensor, r: Tensor, monitor: Monitor) -> tuple[Tensor, Tensor]:
        """The next x and its residual, from x and r = F(x); (batch, n) each.

        Elements that the monitor says have ended are not looked at; those on which the method breaks down, it fails.
        """


def iterate(
    method: NonlinearSolver, F: Residual, rtol: float, atol: float, max_iterations: int
) -> tuple[Tensor, Tensor, Monitor]:
    """Run a method from F's start until every element has ended: at its target, or with the status that says why not.

    Returns:
        x, the residual norms recomputed there, and how the elements ended.
    """
    x = F.start
    r = F(x)
    norm = lengths(r)
    monitor = Monitor(norm, atol + rtol * norm, window=WINDOW)
    iteration = method.start(F, monitor.target)
    for _ in range(max_iterations):
        if monitor.done:
            break
        next_x, next_r = iteration.step(x, r, monitor)
        monitor.fail(~torch.isfinite(next_x).all(-1), Status.NON_FINITE)
        moving = monitor.active[:, None]
        x, r = torch.where(moving, next_x, x), torch.where(moving, next_r, r)
        monitor.advance(lengths(r))
    monitor.fail(monitor.active, Status.MAX_ITERATIONS)
    norm = lengths(F(x))
    believed = monitor.status == Status.CONVERGED
    mark(monitor.status, believed & ~(norm <= monitor.target), Status.STAGNATED)  # F is not the same at every call
    mark(monitor.status, ~torch.isfinite(x).all(-1), Status.NON_FINITE)
    return x, norm, monitor


def lengths(x: Tensor) -> Tensor:
    """Euclidean norms.  # shape: (batch, n) -> (batch,)"""
    return torch.linalg.vector_norm(x, dim=-1)


def check_damping(method: NonlinearSolver, damping: float) -> None:
    """Raise a `ValueError` unless the damping is a positive number."""
    if not 0 < damping < float("inf"):
        raise ValueError(f"{type(method).__name__}.damping: expected a positive number, found {damping}")


def check_memory(method: NonlinearSolver, memory: int) -> None:
    """Raise a `ValueError` unless the memory is a positive integer."""
    if integer(f"{type(method).__name__}.memory", memory) < 1:
        raise ValueError(f"{type(method).__name__}.memory: expected at least 1, found {memory}")
