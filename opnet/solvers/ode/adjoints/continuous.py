"""`Continuous`: gradients from the adjoint equation, solved backward in time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from opnet.core.expect import expect
from opnet.solvers.ode.adjoint import Adjoint
from opnet.solvers.ode.adjoints.backward import Backward, How
from opnet.solvers.ode.adjoints.forward import refuse_graph, run_forward
from opnet.solvers.ode.fields import SDE, Field
from opnet.solvers.ode.integrate import Integration
from opnet.solvers.ode.joint import Ending
from opnet.solvers.ode.layout import State
from opnet.solvers.ode.observer import Observer
from opnet.solvers.ode.problem import Problem
from opnet.solvers.ode.solution import Dense
from opnet.solvers.ode.stepper import Stepper


@dataclass(frozen=True)
class Continuous(Adjoint):
    """What adjoints by the adjoint equation have in common; see `Backward` for the equations.

    Args:
        rtol, atol: tolerances of the backward solve; those of the forward solve if None.
        seminorm: leave the gradients of parameters and args out of the error that chooses the steps: they are
            integrals, on which nothing in the solve depends (Kidger, Chen and Lyons, ICML 2021).
        method: of the backward solve, whose field is a plain one; that of the forward solve if None.
    """

    interpolates: ClassVar[bool]

    rtol: float | None = None
    atol: float | None = None
    seminorm: bool = True
    method: Stepper | None = None

    def __post_init__(self) -> None:
        name = type(self).__name__
        for key in ("rtol", "atol"):
            value = getattr(self, key)
            if value is not None and not value >= 0:
                raise ValueError(f"{name}.{key}: expected a non-negative tolerance, found {value}")
        if self.method is not None:
            expect(f"{name}.method", self.method, Stepper, "a stepper such as Dopri5()")

    def solve(self, integration: Integration, y0: State, ts: Tensor) -> tuple[Tensor, Problem, Observer, Ending]:
        if not torch.is_grad_enabled():
            problem, observer, ending = integration.run(y0, ts)
            return observer.outputs.stack(), problem, observer, ending
        name = type(self).__name__
        self._refuse(name, integration)
        done = run_forward(name, integration, y0, ts, dense=self.interpolates)
        dense = None
        if self.interpolates:
            assert done.observer.dense is not None
            dense = Dense(done.problem, ts, done.observer.dense)
            done.observer.dense = None
        rtol, atol = (
            a if a is not None else b for a, b in ((self.rtol, integration.rtol), (self.atol, integration.atol))
        )
        stepper = self.method or integration.stepper
        control = replace(integration.control, joint=True)
        how = How(name, integration, stepper, control, rtol, atol, self.seminorm, done.problem.layout, dense)
        ys = _Adjoined.apply(how, done.ys, done.y0, ts, *integration.field.args, *done.captured)
        return ys, done.problem, done.observer, done.ending

    def _refuse(self, name: str, integration: Integration) -> None:
        field, stepper = integration.field, type(integration.stepper).__name__
        kind = type(field).__name__
        if isinstance(field, SDE):
            raise ValueError(f"adjoint: {name} expected an ordinary differential equation, found {kind}(...)")
        if isinstance(field, Field) and field.mass is not None:
            raise ValueError(f"adjoint: {name} expected no mass matrix, found Field(mass=...)")
        if self.method is None and not isinstance(field, Field):
            raise ValueError(
                f"{name}.method: expected a method for the backward solve, such as Dopri5(), whose field has not the "
                f"structure of {kind}(...)"
            )
        if self.interpolates and not integration.stepper.dense_order:
            raise ValueError(f"adjoint: {name} expected a method with a continuous extension, found {stepper}(...)")


class _Adjoined(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, how: How, ys: Tensor, y0: Tensor, ts: Tensor, *tensors: Tensor) -> Tensor:
        ctx.how = how
        ctx.save_for_backward(ys, ts, *tensors)
        return ys.view_as(ys)

    @staticmethod
    def backward(ctx: Any, gradients: Tensor) -> tuple[Any, ...]:
        refuse_graph(ctx.how.name)
        ys, ts, *tensors = ctx.saved_tensors
        wanted, count = ctx.needs_input_grad[4:], len(ctx.how.forward.field.args)
        args = tuple(x.detach().requires_grad_(w) for x, w in zip(tensors[:count], wanted, strict=False))
        backward = Backward(ctx.how, ys, ts, args, tensors[count:])
        g, sums = backward.run(gradients)
        found = iter(sums)
        return None, None, g, backward.time_sums, *(next(found) if w else None for w in wanted)
