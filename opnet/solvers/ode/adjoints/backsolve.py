"""`Backsolve`: the adjoint equation and the state, both solved backward."""

from __future__ import annotations

from dataclasses import dataclass

from opnet.solvers.ode.adjoints.continuous import Continuous


@dataclass(frozen=True)
class Backsolve(Continuous):
    """Gradients from the adjoint equation, with y solved backward beside it from each time asked for.

    (Chen, Rubanova, Bettencourt and Duvenaud, NeurIPS 2018, appendices B and C.) Memory does not grow with the number
    of steps. The gradients are those of the exact solution, to the tolerance of the backward solve, and not those of
    the steps taken. Not for problems that are unstable backward in time, as dissipative and stiff ones are: y backward
    then leaves the path that it came on, unless the times asked for, at which it is set right, are close together. One
    step serves the batch in the backward solve, with or without parameters that the elements share.

    Args:
        rtol, atol, seminorm, method: see `Continuous`.

    >>> import torch
    >>> from opnet.solvers.ode.solve import solve_ode
    >>> a = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    >>> ts = torch.tensor([0.0, 1.0], dtype=torch.float64)
    >>> y = solve_ode(lambda t, y: -a * y, torch.ones(1).double(), ts, rtol=1e-8, adjoint=Backsolve()).ys[-1]
    >>> torch.autograd.grad(y, a)[0]  # of exp(-a)
    tensor(-0.1353, dtype=torch.float64)
    """

    interpolates = False
