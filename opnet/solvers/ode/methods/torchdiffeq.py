"""`TorchDiffEq`: torchdiffeq as an interchangeable back end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.core.status import Status
from opnet.solvers.ode.members import Members
from opnet.solvers.ode.problem import Problem, refuse_more_than_f
from opnet.solvers.ode.stepper import Method, finite

ORDERS = {
    "euler": 1,
    "midpoint": 2,
    "heun2": 2,
    "heun3": 3,
    "rk4": 4,
    "adaptive_heun": 2,
    "bosh3": 3,
    "fehlberg2": 2,
    "dopri5": 5,
    "dopri8": 8,
}
_FIXED = ("euler", "midpoint", "heun2", "heun3", "rk4")


@register("stepper", "TorchDiffEq")
@dataclass(frozen=True)
class TorchDiffEq(Method):
    """A method of torchdiffeq (github.com/rtqichen/torchdiffeq), with its failures typed.

    It takes one step for the whole batch. Where an adaptive method fails the whole batch fails with it; fixed-step
    methods are judged by their outputs alone.

    Args:
        name: "dopri5", "dopri8", "bosh3", "fehlberg2", "adaptive_heun" (adaptive); "euler", "midpoint", "heun2",
            "heun3", "rk4" (fixed step).
    """

    name: str = "dopri5"

    def __post_init__(self) -> None:
        if self.name not in ORDERS:
            raise ValueError(f"TorchDiffEq.name: expected one of {', '.join(ORDERS)}, found {self.name!r}")

    @property
    def order(self) -> int:
        return ORDERS[self.name]

    def integrate(self, problem: Problem, ts: Tensor, step: float | None, max_steps: int) -> tuple[Tensor, Members]:
        """The outputs (time, batch, n) at ts (time,), and how each element ended."""
        import torchdiffeq

        refuse_more_than_f(problem, "TorchDiffEq")
        y0, numbers = problem.y0, ts.detach().double().tolist()
        counted = _Counted(problem, numbers[0], max_steps)
        members = Members(y0, ts[:1])
        first = counted(ts[0].to(y0.dtype), y0)
        members.end(~(finite(y0) & finite(first))[:, 0], Status.NON_FINITE, numbers[0])
        times = ts.to(y0.dtype)
        ys = y0[None]
        if bool(members.status.any()) and self.name not in _FIXED:
            members.end_all(Status.NON_FINITE, numbers[0])
        elif not self._resolved(step, times.detach()):
            members.end_all(Status.STEP_UNDERFLOW, numbers[0])
        elif len(times) > 1:
            options: dict[str, Any] = {} if step is None else {self._step_option: step}
            try:
                ys = torchdiffeq.odeint(
                    counted, y0, times, rtol=problem.rtol, atol=problem.atol, method=self.name, options=options
                )
            except _Stopped:
                members.end_all(Status.MAX_STEPS, counted.last)
            except AssertionError as error:
                underflow = "underflow" in str(error) and counted.all_finite
                members.end_all(Status.STEP_UNDERFLOW if underflow else Status.NON_FINITE, counted.last)
        if len(ys) < len(times):
            ys = torch.cat([ys, torch.full_like(y0, float("nan")).expand(len(times) - len(ys), *y0.shape)])
        _judge_outputs(members, ys, numbers)
        sign = -1.0 if numbers[-1] < numbers[0] else 1.0
        beyond = sign * ts.detach().double()[:, None] > sign * members.reached
        beyond[0] = False
        return torch.where(beyond[:, :, None], torch.nan, ys), members

    def _resolved(self, step: float | None, times: Tensor) -> bool:
        """Whether y's precision, in which torchdiffeq keeps time, tells the times and steps apart."""
        largest = float(times.abs().max())
        step = step if step is not None and self.name in _FIXED else float("inf")
        return bool((times.diff() != 0).all()) and step >= torch.finfo(times.dtype).eps * largest

    @property
    def _step_option(self) -> str:
        return "step_size" if self.name in _FIXED else "first_step"


class _Stopped(Exception):
    """More evaluations than the step limit allows."""


class _Counted:
    """f with a limit, and a memory of where it was and whether it ever failed."""

    def __init__(self, problem: Problem, start: float, max_steps: int) -> None:
        self.problem, self.limit, self.last, self.all_finite = problem, 8 * max_steps, start, True

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        if self.problem.evaluations >= self.limit:
            raise _Stopped
        value = self.problem.f(t, y)
        if bool(torch.isfinite(value.detach()).all()):
            self.last = float(t.detach())
        else:
            self.all_finite = False
        return value


def _judge_outputs(members: Members, ys: Tensor, times: list[float]) -> None:
    """End the elements whose outputs are not finite, at the last time they were."""
    for before, y in zip(times, ys[1:], strict=False):
        bad = ~finite(y)[:, 0]
        if bool(bad.any()):
            members.end(bad, Status.NON_FINITE, before)
    members.finish(times[-1])
