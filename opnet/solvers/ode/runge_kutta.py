"""Explicit Runge-Kutta methods: one loop for all, fixed or adaptive, lean enough for small systems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf, isfinite
from typing import ClassVar

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.core.status import Status
from opnet.solvers.ode import tableau as tableaux
from opnet.solvers.ode.stepper import Members, ODESolution, Request, Stepper
from opnet.solvers.ode.tableau import Tableau

SAFETY, SHRINK, GROW = 0.9, 0.2, 10.0


@dataclass(frozen=True)
class RungeKutta(Stepper):
    """An explicit Runge-Kutta method with equal steps."""

    tableau: ClassVar[Tableau]

    @property
    def order(self) -> int:
        return self.tableau.order

    def integrate(self, request: Request, ts: Tensor) -> ODESolution:
        return _Integration(self.tableau, request).fixed(ts)


@register("stepper", "Euler")
@dataclass(frozen=True)
class Euler(RungeKutta):
    """Explicit Euler, order 1."""

    tableau = tableaux.EULER


@register("stepper", "Midpoint")
@dataclass(frozen=True)
class Midpoint(RungeKutta):
    """The explicit midpoint rule, order 2."""

    tableau = tableaux.MIDPOINT


@register("stepper", "RK4")
@dataclass(frozen=True)
class RK4(RungeKutta):
    """The classical method, order 4."""

    tableau = tableaux.RK4


@register("stepper", "Dopri5")
@dataclass(frozen=True)
class Dopri5(RungeKutta):
    """Dormand and Prince's pair 5(4) with local extrapolation and a continuous extension of order 4.

    One step size serves the whole batch: the root mean square over all its entries of error / (atol + rtol |y|) is
    held below 1. An element that fails is frozen and the others go on.

    Args:
        adaptive: choose steps by the error estimate; else take equal ones.
    """

    tableau = tableaux.DOPRI5
    adaptive: bool = True

    def integrate(self, request: Request, ts: Tensor) -> ODESolution:
        integration = _Integration(self.tableau, request)
        return integration.adaptive(ts) if self.adaptive else integration.fixed(ts)


class _Stages:
    """The stages k_i of one step, and weighted sums of them.

    Without gradients they are rows of one buffer, so that a sum is one matrix-vector product; with gradients they are
    kept as they came.
    """

    def __init__(self, tableau: Tableau, y: Tensor) -> None:
        self.buffer: Tensor | None = y.new_empty((len(tableau.b), y.numel()))
        self.kept: list[Tensor] = []
        self.weights: dict[tuple[float, ...], Tensor] = {}

    def put(self, i: int, k: Tensor) -> None:
        if self.buffer is not None and k.requires_grad:
            self.kept = [row.clone().view_as(k) for row in self.buffer[:i]]
            self.buffer = None
        if self.buffer is not None:
            self.buffer[i] = k.reshape(-1)
        else:
            self.kept[i:] = [k]

    def sum(self, y: Tensor | None, h: float, weights: tuple[float, ...], *, keep: bool = True) -> Tensor:
        """y + h sum_i weights_i k_i, or the flattened sum alone without y; `keep=False` for weights used once."""
        if self.buffer is None:
            total = torch.zeros_like(self.kept[0]) if y is None else y
            for weight, k in zip(weights, self.kept, strict=False):
                if weight:
                    total = torch.add(total, k if y is not None else k.detach(), alpha=h * weight)
            return total
        vector = self.weights.get(weights)
        if vector is None:
            vector = self.buffer.new_tensor(weights)
            if keep:
                self.weights[weights] = vector
        matrix = self.buffer[: len(weights)].T
        if y is None:
            return h * torch.mv(matrix, vector)
        return torch.addmv(y.reshape(-1), matrix, vector, alpha=h).view_as(y)


class _Integration:
    """One solve: the state, its stages, and the counts."""

    def __init__(self, tableau: Tableau, request: Request) -> None:
        self.tableau, self.request = tableau, request
        self.t, self.y, self.outputs = request.times[0], request.y0, [request.y0]
        self.steps = self.rejected = self.evaluations = 0
        self.members = Members(request.y0, self.t)
        self.stages = _Stages(tableau, request.y0)
        self.resolution = torch.finfo(request.y0.dtype).eps

    def field(self, t: float, y: Tensor) -> Tensor:
        self.evaluations += 1
        return self.request.f(y.new_full((), t), y)

    def start(self) -> Tensor:
        """f at the start; elements where it or y0 is not finite fail there."""
        k = self.field(self.t, self.y)
        bad = ~(self.members.finite(self.y) & self.members.finite(k))
        if bool(bad.any()):
            self.members.fail(bad, Status.NON_FINITE, self.t)
        return k

    def advance(self, h: float, k: Tensor) -> tuple[Tensor, Tensor]:
        """One step: y(t + h), and the last stage."""
        self.stages.put(0, k)
        y = self.y
        for i, (row, c) in enumerate(zip(self.tableau.a[1:], self.tableau.c[1:], strict=True), start=1):
            y = self.stages.sum(self.y, h, row)
            k = self.field(self.t + c * h, y)
            self.stages.put(i, k)
        return (y if self.tableau.first_same_as_last else self.stages.sum(self.y, h, self.tableau.b)), k

    def fixed(self, ts: Tensor) -> ODESolution:
        k = self.start()
        reuse = self.tableau.first_same_as_last
        for start, end in zip(self.request.times[:-1], self.request.times[1:], strict=True):
            step = self.request.step or abs(end - start)
            count = max(1, ceil(abs(end - start) / step * (1 - 1e-12)))
            h = (end - start) / count
            for i in range(count):
                if self.members.none_left or not self.may_step(h):
                    break
                if self.steps and not reuse:
                    k = self.field(self.t, self.y)
                y, last = self.advance(h, k)
                if not isfinite(float(torch.linalg.vector_norm(self.members.living(y.detach()), inf))):
                    self.members.fail(~self.members.finite(y), Status.NON_FINITE, self.t)
                self.y, k = self.members.select(y, self.y), last
                self.t = end if i == count - 1 else start + (i + 1) * h
                self.steps += 1
            self.outputs.append(self.members.select(self.y, float("nan")))
        return self.solution(ts)

    def may_step(self, h: float) -> bool:
        """Whether a step of h is resolved and allowed; all elements fail where it is not."""
        if abs(h) < self.resolution * abs(self.t):
            self.members.fail_all(Status.STEP_UNDERFLOW, self.t)
        elif self.steps + self.rejected >= self.request.max_steps:
            self.members.fail_all(Status.MAX_STEPS, self.t)
        return not self.members.none_left

    def adaptive(self, ts: Tensor) -> ODESolution:
        times, end = self.request.times, self.request.times[-1]
        k = self.start()
        h = 0.0 if self.members.none_left or len(times) == 1 else self.first_step(k)
        limit = GROW
        while len(self.outputs) < len(times) and not self.members.none_left and self.may_step(h):
            is_last = abs(h) >= abs(end - self.t) * (1 - 1e-10)
            h = end - self.t if is_last else h
            y, last = self.advance(h, k)
            error = self.error(h, y)
            norm = float(_rms(self.members.living(error)))
            factor = (
                SHRINK if not isfinite(norm) else max(SHRINK, SAFETY * max(norm, 1e-10) ** (-1 / self.tableau.order))
            )
            if norm <= 1:
                t = end if is_last else self.t + h
                self.output(times, t, h, y)
                self.t, self.y, k = t, self.members.select(y, self.y), last
                self.steps += 1
                h, limit = h * min(limit, factor), GROW
            else:
                self.rejected += 1
                h, limit = h * min(1.0, factor), 1.0
                if abs(h) < self.smallest_step:
                    self.give_up_on(error)
                    h = 0.0 if self.members.none_left else self.first_step(k)
        missing = len(times) - len(self.outputs)
        self.outputs += [torch.full_like(self.y, float("nan"))] * missing
        return self.solution(ts)

    @property
    def smallest_step(self) -> float:
        """Below it the time no longer moves, or (at t = 0) the span is no longer resolved by any double."""
        span = abs(self.request.times[-1] - self.request.times[0])
        return self.resolution * max(abs(self.t), 1e-16 * span)

    def error(self, h: float, y: Tensor) -> Tensor:
        """The estimated local error over the tolerance, entrywise; at most 1 in the root mean square is wanted."""
        with torch.no_grad():
            size = torch.maximum(self.y.abs(), y.abs())
            error = self.stages.sum(None, h, self.tableau.error).view_as(y)
            return error / size.mul_(self.request.rtol).add_(self.request.atol)

    def give_up_on(self, error: Tensor) -> None:
        """Fail the elements whose error asks for a step below the resolution; the others go on."""
        norms = self.members.rows(error).square().mean(1).sqrt()
        status = torch.where(norms.isfinite(), int(Status.STEP_UNDERFLOW), int(Status.NON_FINITE))
        self.members.fail(~(norms <= 1), status, self.t)

    def output(self, times: Sequence[float], t: float, h: float, y: Tensor) -> None:
        """Append the outputs in (self.t, t]."""
        while len(self.outputs) < len(times) and (times[len(self.outputs)] - t) * h <= 0:
            time = times[len(self.outputs)]
            theta = (time - self.t) / h
            value = y if time == t else self.stages.sum(self.y, h, self.tableau.dense(theta), keep=False)
            self.outputs.append(self.members.select(value, float("nan")))

    def first_step(self, k: Tensor) -> float:
        """Hairer, Norsett, Wanner I, section II.4: a step whose Euler increment is 1 % of the state."""
        times = self.request.times
        direction = 1.0 if times[-1] > times[0] else -1.0
        span = abs(times[-1] - times[0])
        if self.request.step is not None:
            return direction * min(self.request.step, span)
        with torch.no_grad():
            living = self.members.living
            scale = self.request.atol + self.request.rtol * self.y.abs()
            d0, d1 = float(_rms(living(self.y / scale))), float(_rms(living(k / scale)))
            h0 = min(1e-6 if d0 < 1e-5 or d1 < 1e-5 else 0.01 * d0 / d1, span)
            ahead = self.field(self.t + direction * h0, self.y + direction * h0 * k)
            d2 = float(_rms(living((ahead - k) / scale))) / h0
        if not isfinite(d2):
            return direction * h0
        largest = max(d1, d2)
        h1 = max(1e-6, h0 * 1e-3) if largest <= 1e-15 else (0.01 / largest) ** (1 / self.tableau.order)
        return direction * min(100 * h0, h1, span)

    def solution(self, ts: Tensor) -> ODESolution:
        self.members.finish(self.t)
        members = self.members
        return ODESolution(
            torch.stack(self.outputs), ts, members.status, members.reached, self.steps, self.rejected, self.evaluations
        )


def _rms(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x) / x.numel() ** 0.5
