"""`Checkpointed`: the gradients of `Direct` in little memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from opnet.core.expect import integer
from opnet.solvers.ode.adjoint import Adjoint
from opnet.solvers.ode.adjoints.forward import run_forward
from opnet.solvers.ode.adjoints.replay import Replay
from opnet.solvers.ode.adjoints.tape import Tape
from opnet.solvers.ode.integrate import Integration
from opnet.solvers.ode.joint import Ending
from opnet.solvers.ode.layout import Layout, State
from opnet.solvers.ode.observer import Observer
from opnet.solvers.ode.problem import Problem


@dataclass(frozen=True)
class Checkpointed(Adjoint):
    """The gradients of `Direct`, equal to rounding, from a few states kept: the steps between are taken again.

    Args:
        memory: states kept at once; 2 log2 N + 2 for N steps if None.
    """

    memory: int | None = None

    def __post_init__(self) -> None:
        if self.memory is not None and integer("Checkpointed.memory", self.memory) < 1:
            raise ValueError(f"Checkpointed.memory: expected at least 1, found {self.memory}")

    def solve(self, integration: Integration, y0: State, ts: Tensor) -> tuple[Tensor, Problem, Observer, Ending]:
        if not torch.is_grad_enabled():
            problem, observer, ending = integration.run(y0, ts)
            return observer.outputs.stack(), problem, observer, ending
        tape = Tape(self.memory)
        done = run_forward("Checkpointed", integration.again(tape=tape), y0, ts)
        args = integration.field.args
        ys = _Replayed.apply(
            (integration, done.problem.layout, tape, len(args)), done.ys, done.y0, ts, *args, *done.captured
        )
        return ys, done.problem, done.observer, done.ending


class _Replayed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, solve: tuple[Integration, Layout, Tape, int], ys: Tensor, y0: Tensor, ts: Tensor, *tensors: Tensor
    ) -> Tensor:
        ctx.solve = solve
        ctx.save_for_backward(y0, ts, *tensors)
        return ys.view_as(ys)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradients: Tensor) -> tuple[Any, ...]:
        integration, layout, tape, count = ctx.solve
        y0, *rest = ctx.saved_tensors
        wanted = ctx.needs_input_grad[3:]
        own = [x.detach().requires_grad_(w) for x, w in zip(rest[: 1 + count], wanted, strict=False)]
        field = replace(integration.field, args=tuple(own[1:]))
        captured = rest[1 + count :]
        replay = Replay(integration.again(field=field), layout, tape, y0.detach(), own[0], captured)
        g, totals = replay.run(gradients)
        found = iter(totals)
        return None, None, g, *(next(found) if w else None for w in wanted)
