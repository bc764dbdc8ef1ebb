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
    128 samples of a neural ODE (64-128-64, float64), in 513 steps of RK4 and by Dopri5 at 1e-8
    (benchmarks/accuracy/ode_adjoints.json):

        adjoint            memory   evaluations    difference    memory   evaluations    difference
        Direct             804 MB          2053             0     43 MB            87             0
        Checkpointed        36 MB   2055 + 5637         7e-15      9 MB      89 + 145         1e-15
         (memory=64)        26 MB   2055 + 4037         7e-15     11 MB      89 +  85         1e-15
         (memory=1024)      44 MB   2055 + 2053         7e-15     10 MB      89 +  85         1e-15
        Backsolve            6 MB   2055 + 2057         3e-13      8 MB      89 +  99         3e-9
        Interpolated       205 MB   2568 + 2057         3e-13     16 MB      89 +  63         1e-7

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
