"""`Integration`: all of a solve but y0 and the times; it chooses the loop and runs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from opnet.solvers.ode.adjoints.tape import Tape
from opnet.solvers.ode.control import PID
from opnet.solvers.ode.coupling import COUPLED, refuse_coupled, works_on_part
from opnet.solvers.ode.events import Event, Watch
from opnet.solvers.ode.fields import SDE, VectorField
from opnet.solvers.ode.joint import Ending, Together
from opnet.solvers.ode.layout import State
from opnet.solvers.ode.observer import Observer, Outputs
from opnet.solvers.ode.per_sample import PerSample
from opnet.solvers.ode.problem import Problem
from opnet.solvers.ode.stepper import Stepper


@dataclass(frozen=True)
class Integration:
    """How to solve, whatever the start and the times.

    Attributes:
        estimates: keep the error and stiffness estimates of every step.
        tape: where to keep the steps, if they are to be taken again.
        seminorm: how many leading entries of an element count in the error; None: all.
        events: what to look out for.
    """

    field: VectorField
    stepper: Stepper
    control: PID
    rtol: float
    atol: float
    step: float | None
    max_steps: int
    dense: bool = False
    estimates: bool = False
    tape: Tape | None = None
    seminorm: int | None = None
    events: Sequence[Event] = ()

    def problem(self, y0: State) -> Problem:
        """The problem in rows."""
        return Problem(
            self.field,
            y0,
            joint=self.control.joint,
            rtol=self.rtol,
            atol=self.atol,
            keep=self.dense,
            estimates=self.estimates,
        )

    def run(self, y0: State, ts: Tensor) -> tuple[Problem, Observer, Ending]:
        """Solve from y0 at ts[:, 0], with ts (1, time) or (batch, time)."""
        if not self.stepper.dense_order and (self.events or self.dense):
            raise ValueError(
                f"{'events' if self.events else 'dense'}: expected a method with a continuous extension, found "
                f"{type(self.stepper).__name__}(...) without"
            )
        problem = self.problem(y0)
        problem.seminorm = self.seminorm
        if isinstance(self.field, SDE) and bool((ts.diff() < 0).any()):
            raise ValueError("ts: expected increasing times for SDE(...), found decreasing ones")
        watch = Watch(self.events, problem) if self.events else None
        observer = Observer(Outputs(problem, ts), watch, dense=self.dense, tape=self.tape)
        together = Together(problem, self.stepper, observer, self.max_steps)
        joint = self.control.joint or not self.stepper.adaptive
        start, middle = (x.detach().double().expand(problem.count, 1) for x in (ts[:, :1], ts.mean(1, keepdim=True)))
        if watch is not None and watch.terminal and joint and problem.count > 1:
            t = middle[0, 0] if problem.joint else middle
            refuse_coupled(problem, t, "for terminal events of a coupled state give a leading dimension of 1")
        if not self.stepper.adaptive:
            return problem, observer, together.fixed(self.step)
        if joint or problem.count == 1:
            return problem, observer, together.adaptive(self.control, self.step)
        refuse_coupled(problem, middle, COUPLED)
        independent = works_on_part(problem, problem.f, start)
        if watch is not None:
            independent = independent and works_on_part(problem, watch.values, start)
        problem.keep |= problem.y0.is_cuda  # steps are looked at in blocks
        loop = PerSample(problem, self.stepper, self.control, observer, self.max_steps, independent=independent)
        return problem, observer, loop.run(self.step)

    def again(self, **changes: Any) -> Integration:
        return replace(self, **changes)
