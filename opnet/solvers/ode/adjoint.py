"""Adjoints: how a solution is differentiated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from opnet.solvers.ode.integrate import Integration
from opnet.solvers.ode.joint import Ending
from opnet.solvers.ode.layout import State
from opnet.solvers.ode.observer import Observer
from opnet.solvers.ode.problem import Problem


class Adjoint(ABC):
    """How a solution is differentiated; a frozen dataclass."""

    estimates: bool = False

    @abstractmethod
    def solve(self, integration: Integration, y0: State, ts: Tensor) -> tuple[Tensor, Problem, Observer, Ending]:
        """Run, and give the outputs (time, batch, n) with their gradients, and what else there is."""


@dataclass(frozen=True)
class Direct(Adjoint):
    """Gradients by backpropagation through the steps taken (discretise, then optimise).

    Exact for the discrete solution with its mesh held fixed (adaptive meshes stretch with the times at their ends), to
    y0, ts, and everything f depends on; memory grows with the number of steps. Costs nothing where no gradient is
    wanted.

    Args:
        estimates: give the error and stiffness estimates of every step, with gradients, as `ODESolution.estimates`.
    """

    estimates: bool = False

    def solve(self, integration: Integration, y0: State, ts: Tensor) -> tuple[Tensor, Problem, Observer, Ending]:
        problem, observer, ending = integration.run(y0, ts)
        return observer.outputs.stack(), problem, observer, ending
