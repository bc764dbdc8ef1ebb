"""`Checkpointed`: the gradients of `Direct` in little memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from opnet.core.expect import integer
from opnet.solvers.ode.adjoint import Adjoint
from opnet.solvers.ode.adjoints.forward import refuse_graph, run_forward
from opnet.solvers.ode.adjoints.replay import Replay
from opnet.solvers.ode.adjoints.tape import Tape
from opnet.solvers.ode.integrate import Integration
from opnet.solvers.ode.joint import Ending
from opnet.solvers.ode.layout import Layout, State
from opnet.solvers.ode.observer import Observer
from opnet.solvers.ode.problem import Problem


@dataclass(frozen=True)
class Checkpointed(Adjoint):
    """The gradients of `Direct`, equal to rounding on the same mesh, from a few states: steps between are taken again.

    The steps are those that were chosen, so that nothing is estimated or rejected twice; each is differentiated by
    itself. Which states are kept follows Griewank and Walther (ACM Trans. Math. Softw. 26 (2000)), see `split`: for N
    steps the default takes O(log N) memory and O(N log N) steps, and `memory >= N` takes each step twice. What a step
    needs of the mesh is kept besides: two numbers an element. To y0, ts, args, and everything f depends on.

    Args:
        memory: states kept at once, with what the method carries from step to step (for explicit methods one slope);
            2 log2 N + 2 if None.

    >>> from opnet.solvers.ode.solve import solve_ode
    >>> a = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    >>> ts = torch.tensor([0.0, 1.0], dtype=torch.float64)
    >>> y = solve_ode(lambda t, y: -a * y, torch.ones(1).double(), ts, rtol=1e-8, adjoint=Checkpointed()).ys[-1]
    >>> torch.autograd.grad(y, a)[0]  # of exp(-a)
    tensor(-0.1353, dtype=torch.float64)
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
    def backward(ctx: Any, gradients: Tensor) -> tuple[Any, ...]:
        refuse_graph("Checkpointed")
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
