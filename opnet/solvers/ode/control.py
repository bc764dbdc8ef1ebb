"""`PID`: how far the next step goes, from the error estimates of the last ones."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from opnet.solvers.ode.problem import Problem
from opnet.solvers.ode.stepper import gradients_of

SMALLEST = 1e-10  # an error below it asks for no more


@dataclass(frozen=True)
class PID:
    """`h <- h safety e_n^(-(p + i + d) / q) e_(n-1)^((p + 2 d) / q) e_(n-2)^(-d / q)`, the ratio in [shrink, grow].

    e is the root mean square of error / (atol + rtol max(|y_n|, |y_(n+1)|)), of order q in h; a step is accepted where
    e <= 1. After a rejected step the next does not grow. (Soederlind 2003, "Digital filters in adaptive time-stepping",
    eq. 12 and table 1; Hairer, Norsett, Wanner I, II.4, is i = 1.)

    Args:
        p, i, d: gains: (0, 1, 0) suits most problems, (.4, .3, 0) is smoother on stiff ones and for SDEs.
        safety, shrink, grow: see above.
        joint: one step for the whole batch, its error the root mean square over all entries; else each element has a
            step of its own. Needed where the leading dimension of the state is no batch of independent samples.
    """

    p: float = 0.0
    i: float = 1.0
    d: float = 0.0
    safety: float = 0.9
    shrink: float = 0.2
    grow: float = 10.0
    joint: bool = False

    def __post_init__(self) -> None:
        if not (0 < self.safety <= 1 and 0 < self.shrink < 1 < self.grow):
            raise ValueError(
                "PID: expected 0 < safety <= 1 and 0 < shrink < 1 < grow, found "
                f"safety {self.safety}, shrink {self.shrink}, grow {self.grow}"
            )
        if not self.p + self.i + self.d > 0:
            raise ValueError(f"PID: expected gains of positive sum, found {self.p}, {self.i}, {self.d}")

    @property
    def memory(self) -> bool:
        """Whether earlier errors count."""
        return bool(self.p or self.d)

    def gains(self, q: float) -> tuple[float, float, float]:
        """Exponents of e_n, e_(n-1), e_(n-2)."""
        return -(self.p + self.i + self.d) / q, (self.p + 2 * self.d) / q, -self.d / q

    def ratio(self, q: float, e: float, before: tuple[float, float], grow: float) -> float:
        """Next step over this one; `grow` is 1 after a rejection."""
        if not e < inf:
            return self.shrink
        a, b, c = self.gains(q)
        value = self.safety * max(e, SMALLEST) ** a
        if self.memory:
            value *= before[0] ** b * before[1] ** c
        return min(max(value, self.shrink), grow if e <= 1 else 1.0)

    def ratios(self, q: float, e: Tensor, before: Tensor, limit: Tensor) -> Tensor:
        """`ratio` for each element: e, Inf if not finite, and limit (batch, 1), before (batch, 2)."""
        a, b, c = self.gains(q)
        value = e.clamp(min=SMALLEST).pow(a).mul(self.safety)
        if self.memory:
            value = value * before[:, :1].pow(b) * before[:, 1:].pow(c)
        return torch.minimum(value.clamp(self.shrink, self.grow), limit)


def error_norms(problem: Problem, error: Tensor, y: Tensor, y1: Tensor) -> Tensor:
    """e of each element, (batch, 1); NaN or Inf where the step is not finite."""
    with gradients_of(problem):
        scaled = error / problem.size(y, y1)
        if problem.seminorm is not None:
            scaled = scaled[:, : problem.seminorm]
        norm = torch.linalg.vector_norm(scaled, dim=1, keepdim=True) * scaled.shape[1] ** -0.5
        return torch.add(norm, y1.detach().sum(1, keepdim=True), alpha=0.0)


def error_norm(problem: Problem, error: Tensor, y: Tensor, y1: Tensor, living: Tensor | None) -> Tensor:
    """e over all the living elements (bool, (batch,)); no dimensions."""
    with gradients_of(problem):
        scaled = error / problem.size(y, y1)
        if problem.seminorm is not None:
            scaled = scaled[:, : problem.seminorm]
        scaled, y1 = (scaled, y1) if living is None else (scaled[living], y1[living])
        norm = torch.linalg.vector_norm(scaled) * scaled.numel() ** -0.5
        return torch.add(norm, y1.detach().sum(), alpha=0.0)


def first_steps(
    problem: Problem, q: float, t: Tensor | float, y: Tensor, k: Tensor, span: Tensor | float, living: Tensor | None
) -> Tensor:
    """Hairer, Norsett, Wanner I, II.4: a step whose Euler increment is 1 % of the state; of the sign of `span`.

    (batch, 1), or without dimensions for one step for the `living` of the batch.
    """

    def size(x: Tensor) -> Tensor:
        x = x / scale
        if not problem.joint:
            return torch.linalg.vector_norm(x, dim=1, keepdim=True) * x.shape[1] ** -0.5
        x = x if living is None else x[living]
        return torch.linalg.vector_norm(x) * x.numel() ** -0.5

    with torch.no_grad():
        y, k = y.detach(), k.detach()
        scale = problem.size(y, y)
        span = torch.as_tensor(span, dtype=torch.float64, device=y.device)
        length, sign = span.abs(), span.sign()
        d0, d1 = size(y).double(), size(k).double()
        h0 = torch.where((d0 < 1e-5) | (d1 < 1e-5), 1e-6, 0.01 * d0 / d1).minimum(length)
        h0 = torch.where(h0.isfinite(), h0, 1e-6 * length)
        ahead = problem.f(float(t + sign * h0) if problem.joint else t + sign * h0, y + (sign * h0).to(y.dtype) * k)
        d2 = size(ahead - k).double() / h0
        largest = torch.maximum(d1, d2)
        h1 = torch.where(largest <= 1e-15, torch.clamp(h0 * 1e-3, min=1e-6), (0.01 / largest) ** (1 / q))
        h1 = torch.where(d2.isfinite(), torch.minimum(100 * h0, h1), h0)
        resolved = (
            8 * torch.finfo(y.dtype).eps * torch.as_tensor(t, dtype=torch.float64).abs()
        )  # a smaller step would not move the time as f sees it
        return sign * h1.clamp(min=resolved).minimum(length)
