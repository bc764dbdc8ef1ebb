"""`Interpolated`: the adjoint equation along the dense forward solution."""

from __future__ import annotations

from dataclasses import dataclass

from opnet.solvers.ode.adjoints.continuous import Continuous


@dataclass(frozen=True)
class Interpolated(Continuous):
    """Gradients from the adjoint equation, with y from the continuous extension of the forward solve.

    (Daulbaev et al., NeurIPS 2020; with the extension that the method has, where they interpolate at Chebyshev nodes.)
    As `Backsolve` without its instability, for the memory of the stages of every step; no more exact than the
    extension. One step serves the batch in the backward solve.

    Args:
        rtol, atol, seminorm, method: see `Continuous`. The stages of the method must lie within its steps, as those of
            `Kvaerno5` do not.

    >>> import torch
    >>> from opnet.solvers.ode.solve import solve_ode
    >>> a = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    >>> ts = torch.tensor([0.0, 1.0], dtype=torch.float64)
    >>> y = solve_ode(lambda t, y: -a * y, torch.ones(1).double(), ts, rtol=1e-8, adjoint=Interpolated()).ys[-1]
    >>> torch.autograd.grad(y, a)[0]  # of exp(-a)
    tensor(-0.1353, dtype=torch.float64)
    """

    interpolates = True
