"""`Solution`: what a linear solve returns."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Solution:
    """A linear system's solution and how far it can be trusted, one entry a batch element.

    Attributes:
        value: x; (*batch, *in_shape).
        status: `opnet.Status` codes; (*batch,).
        iterations: iterations until the element met its tolerance or stopped; (*batch,).
        residual: relative residual ||b - A x|| / ||b||, recomputed from `value` (0 where b = 0); (*batch,).
        backward_error: normwise backward error ||b - A x|| / (||A|| ||x|| + ||b||), with a lower bound of ||A||_2, so
            that it is never too small; (*batch,).
        history: relative residual as the iteration saw it, from the start; (iterations + 1, *batch).
        rejected: how many corrections of its preconditioner a method found useless and replaced by the residual itself
            (`FlexibleCG` does; 0 for others); (*batch,).
    """

    value: Tensor
    status: Tensor
    iterations: Tensor
    residual: Tensor
    backward_error: Tensor
    history: Tensor
    rejected: Tensor
