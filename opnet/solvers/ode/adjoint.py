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
    """How a solution is differentiated; a frozen dataclass.

    Which one: `Direct` unless its graph does not fit into memory; then `Checkpointed`, whose gradients are the same;
    `Backsolve` or `Interpolated` where the gradients of the exact solution are wanted, to a tolerance of their own. For
    128 samples of a neural ODE (64-128-64, float64) in 512 steps of RK4, and then in 62 of Dopri5 at 1e-8:

        adjoint            memory   evaluations    difference    evaluations    difference
        Direct             868 MB          2049             0            375             0
        Checkpointed        23 MB   2051 + 5601         2e-15      377 + 805         2e-15
         (memory=64)        26 MB   2051 + 3969         2e-15      377 + 373         2e-15
         (memory=1024)      82 MB   2051 + 2049         2e-15      377 + 373         2e-15
        Backsolve            4 MB   2051 + 2049         1e-10      377 + 441         2e-9
        Interpolated       235 MB   2563 + 2049         1e-10      377 + 447         3e-9

    (evaluations forward + backward; difference from `Direct` relative to the largest entry). All but `Direct` give
    first derivatives of `ODESolution.ys` alone, find what f closes over by watching the forward solve, and evaluate f
    again in the backward pass, so that nothing in it may be random.
    """

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
