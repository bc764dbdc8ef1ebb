"""Whether the elements of a batch depend on each other, and whether f takes part of a batch, seen by trying."""

from __future__ import annotations

import torch
from torch import Tensor

from opnet.solvers.ode.problem import Problem, Rows

COUPLED = "for a coupled state give control=PID(joint=True), or a leading dimension of 1"
PERTURBATION = 1e-3  # of the states of some elements, to see whether others notice


def coupled(problem: Problem, t: Tensor) -> bool:
    """Whether f of some elements changes with the states of others, near y0 at the time t.

    Tried for every second element, every second pair, and one half, which tells most couplings; one that vanishes
    there, or lies between a few elements alone, may go unseen. A random f counts as coupled.
    """
    with torch.no_grad():
        y, number = problem.y0.detach(), torch.arange(problem.count, device=problem.y0.device)
        shift = PERTURBATION * (1 + y.abs()) * (1 + number[:, None] / problem.count)
        y = y + shift.to(y.dtype)
        k = torch.nan_to_num(problem.f(t, y))
        for stays in (number % 2 == 0, number % 2 == 1, number // 2 % 2 == 0, 2 * number < problem.count):
            moved = torch.where(stays[:, None], y, y + shift.to(y.dtype))
            if not torch.equal(torch.nan_to_num(problem.f(t, moved))[stays], k[stays]):
                return True
    return False


def refuse_coupled(problem: Problem, t: Tensor, advice: str) -> None:
    """Refuse elements that depend on each other.

    Raises:
        ValueError: ending with the advice.
    """
    if coupled(problem, t):
        raise ValueError(
            "f: expected the derivative of each element of the batch (the leading dimension) to depend on that "
            f"element alone and on nothing random, found that others change it; {advice}"
        )


def works_on_part(problem: Problem, function: Rows, t: Tensor) -> bool:
    """Whether a function of times and rows can be called with some of the rows: the last alone has its own value."""
    args, y = problem.args, problem.y0.detach()
    with torch.no_grad():
        whole = function(t, y)
        try:
            problem.args = tuple(arg[-1:] for arg in args)
            part = function(t[-1:], y[-1:])
        except Exception:  # whatever it raises on fewer elements than it was made for, it keeps them all
            return False
        finally:
            problem.args = args
    return len(part) == 1 and torch.allclose(part, whole[-1:], rtol=1e-4, atol=1e-6, equal_nan=True)
