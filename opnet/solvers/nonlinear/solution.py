"""`NonlinearSolution`: what a nonlinear solve returns."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class NonlinearSolution:
    """A nonlinear system's solution and how far it can be trusted, one entry a batch element.

    Attributes:
        value: x, of the shape of the start.
        status: `opnet.Status` codes; (*batch,).
        iterations: iterations until the element met its tolerance or stopped; (*batch,).
        residual: ||F(x)||, Euclidean, recomputed from `value`, in units of F; (*batch,).
        evaluations: how often F was evaluated on the whole batch; an iteration of an inner linear solve counts as one.
        history: ||F(x)|| from the start; (iterations + 1, *batch).
    """

    value: Tensor
    status: Tensor
    iterations: Tensor
    residual: Tensor
    evaluations: int
    history: Tensor
