"""`Stepper`: a method of time integration as a value; what a step is asked and what it answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from opnet.solvers.ode.problem import Problem
from opnet.solvers.ode.stages import Time, taken

Interpolant = Callable[[Time, Tensor | None], Tensor]
"""y(t + theta h) of (theta, rows): theta a number for all elements, or (m, 1) for the m elements `rows` (long)."""


@dataclass
class Step:
    """What one step from (t, y) by h gives.

    Attributes:
        y: y(t + h); (batch, n).
        carry: what the next step may use if this one is accepted: tensors with one row an element.
        error: estimate of the local error, (batch, n); None for a method without one.
        interpolant: makes the continuous extension of the step (it may evaluate f). The steps of a method without one
            (`dense_order` 0) end at every time asked for.
        failed: (batch, 1), elements whose stage equations were not solved: the step is rejected there.
        stiffness: makes an estimate of the modulus of the dominant eigenvalue of df/dy, (batch, 1); or None.
    """

    y: Tensor
    carry: tuple[Tensor, ...] = ()
    error: Tensor | None = None
    interpolant: Callable[[], Interpolant] | None = None
    failed: Tensor | None = None
    stiffness: Callable[[], Tensor] | None = None


class Method(ABC):
    """A method of time integration; a frozen dataclass."""

    @property
    @abstractmethod
    def order(self) -> float:
        """Order of convergence."""


class Stepper(Method):
    """A method that says what one step does; the loops do the rest."""

    adaptive: bool = False
    """Whether steps are chosen by an error estimate."""

    @property
    def error_order(self) -> float:
        """q, where the error estimate is O(h^q)."""
        return self.order

    @property
    def dense_order(self) -> float:
        """Order of the continuous extension, whose local error is one order higher; 0 for a method without one."""
        return min(3, self.order)

    def start(self, problem: Problem, t: Time, y: Tensor, k: Tensor) -> tuple[Tensor, ...]:
        """The carry of the first step; k is f(t, y).

        Raises:
            ValueError: for a vector field without the structure that the method needs.
        """
        return ()

    @abstractmethod
    def step(self, problem: Problem, t: Time, y: Tensor, h: Time, carry: tuple[Tensor, ...]) -> Step:
        """One step of all elements.

        A failure of one element must leave the others alone. h may be 0 for some of them: they are at rest. Pure but
        for the counts of `problem`: the same arguments give the same step, and with `problem.keep` nothing that a step
        returned is overwritten by the next.
        """


def hermite(y: Tensor, k: Tensor, h: Time, y1: Tensor, k1: Tensor) -> Interpolant:
    """The cubic with the values and slopes of both ends of a step; of order 3."""

    def at(theta: Time, rows: Tensor | None) -> Tensor:
        a, b, c, d, s = (taken(x, rows) for x in (y, y1, k, k1, h))
        rest = theta - 1
        slopes = scaled(s, rest * c + theta * d)
        return a + theta * (b - a) + theta * rest * ((1 - 2 * theta) * (b - a) + slopes)

    return at


def scaled(h: Time, rows: Tensor) -> Tensor:
    """h rows, in the dtype of the rows."""
    return rows * (h.to(rows.dtype) if isinstance(h, Tensor) else h)


def gradients_of(problem: Problem) -> Any:
    """The context of error and stiffness estimates: with gradients only where they are wanted."""
    return torch.set_grad_enabled(problem.estimates and torch.is_grad_enabled())


def dominant_eigenvalue(problem: Problem, slopes: Tensor, states: Tensor) -> Tensor:
    """`||k_s - k_(s-1)|| / ||Y_s - Y_(s-1)||` of two stages of the same time, (batch, 1), from the two differences.

    An estimate of the modulus of that eigenvalue of df/dy, in 1 / unit of t (Hairer, Wanner II, section IV.2);
    0 where the stages do not differ.
    """
    with gradients_of(problem):
        rise, run = (x.square().sum(1, keepdim=True) for x in (slopes, states))
        still = (rise == 0) | (run == 0)
        return torch.where(still, 0.0, torch.where(still, 1.0, rise / torch.where(still, 1.0, run)).sqrt())


def finite(y: Tensor) -> Tensor:
    """Whether all entries of each element are finite; bool, (batch, 1)."""
    return torch.isfinite(y).all(1, keepdim=True)
