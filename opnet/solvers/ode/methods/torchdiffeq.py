"""`TorchDiffEq`: torchdiffeq as an interchangeable back end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.core.status import Status
from opnet.solvers.ode.stepper import Members, ODESolution, Request, Stepper

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
class TorchDiffEq(Stepper):
    """A method of torchdiffeq (github.com/rtqichen/torchdiffeq), with its failures typed.

    Where an adaptive method fails the whole batch fails with it; fixed-step methods are judged by their outputs alone.

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

    def integrate(self, request: Request, ts: Tensor) -> ODESolution:
        import torchdiffeq

        counted = _Counted(request)
        members = Members(request.y0, request.times[0])
        y0 = request.y0
        first = counted(y0.new_full((), request.times[0]), y0)
        members.fail(~(members.finite(y0) & members.finite(first)), Status.NON_FINITE, request.times[0])
        times = torch.tensor(request.times, dtype=y0.dtype, device=y0.device)
        ys = y0[None]
        if bool(members.status.any()) and self.name not in _FIXED:
            members.fail_all(Status.NON_FINITE, request.times[0])
        elif not self._resolved(request, times):
            members.fail_all(Status.STEP_UNDERFLOW, request.times[0])
        elif len(times) > 1:
            options = self._options(request)
            try:
                ys = torchdiffeq.odeint(
                    counted, y0, times, rtol=request.rtol, atol=request.atol, method=self.name, options=options
                )
            except _Stopped:
                members.fail_all(Status.MAX_STEPS, counted.last)
            except AssertionError as error:
                underflow = "underflow" in str(error) and counted.all_finite
                members.fail_all(Status.STEP_UNDERFLOW if underflow else Status.NON_FINITE, counted.last)
        if len(ys) < len(times):
            ys = torch.cat([ys, torch.full_like(y0, float("nan")).expand(len(times) - len(ys), *y0.shape)])
        _judge_outputs(members, ys, request.times)
        return ODESolution(ys, ts, members.status, members.reached, None, None, counted.evaluations)

    def _resolved(self, request: Request, times: Tensor) -> bool:
        """Whether y's precision, in which torchdiffeq keeps time, tells the times and steps apart."""
        largest = float(times.abs().max())
        step = request.step if request.step is not None and self.name in _FIXED else float("inf")
        return bool((times.diff() != 0).all()) and step >= torch.finfo(times.dtype).eps * largest

    def _options(self, request: Request) -> dict[str, Any]:
        if request.step is None:
            return {}
        return {"step_size": request.step} if self.name in _FIXED else {"first_step": request.step}


class _Stopped(Exception):
    """More evaluations than the step limit allows."""


class _Counted:
    """f with a count, a limit, and a memory of where it was and whether it ever failed."""

    def __init__(self, request: Request) -> None:
        self.request, self.evaluations, self.last, self.all_finite = request, 0, request.times[0], True

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        self.evaluations += 1
        if self.evaluations > 8 * self.request.max_steps:
            raise _Stopped
        value = self.request.f(t, y)
        if bool(torch.isfinite(value.detach()).all()):
            self.last = float(t)
        else:
            self.all_finite = False
        return value


def _judge_outputs(members: Members, ys: Tensor, times: tuple[float, ...]) -> None:
    """Fail the elements whose outputs are not finite, at the last time they were."""
    for before, time_index in zip(times, range(1, len(times)), strict=False):
        bad = ~members.finite(ys[time_index])
        if bool(bad.any()):
            members.fail(bad, Status.NON_FINITE, before)
    members.finish(times[-1])
