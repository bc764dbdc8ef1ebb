"""`rkl2`: diffusion over steps far beyond the explicit limit, by stages that are all explicit."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

from torch import Tensor


def rkl2(f: Callable[[Tensor], Tensor], y: Tensor, h: Tensor | float, stages: int) -> Tensor:
    r"""One step of the second-order Runge-Kutta-Legendre method for `y' = f(y)` with a real negative spectrum.

    .. math:: Y_j = \mu_j Y_{j-1} + \nu_j Y_{j-2} + (1 - \mu_j - \nu_j) y + \tilde\mu_j h f(Y_{j-1})
       + \tilde\gamma_j h f(y)

    C. D. Meyer, D. S. Balsara and T. D. Aslam, *J. Comput. Phys.* 257 (2014) 594-626: stable for steps
    up to `longest(stages)` times the limit of Euler's method.

    Args:
        f: the rate.
        y: the state.
        h: the step, which broadcasts against y.
        stages: s, at least 2; odd numbers damp the shortest waves.

    >>> import torch
    >>> y = rkl2(lambda y: -y, torch.ones(1, dtype=torch.float64), 0.01, 3)
    >>> abs(float(y) - 0.99004983) < 1e-6
    True
    """
    w = 4 / (stages**2 + stages - 2)
    slope = f(y) * h
    before, now = y, y + slope * (w / 3)
    for j in range(2, stages + 1):
        mu, nu = (2 * j - 1) / j * _b(j) / _b(j - 1), -(j - 1) / j * _b(j) / _b(j - 2)
        mu_f = mu * w
        gamma_f = -(1 - _b(j - 1)) * mu_f
        new = (f(now) * h).mul_(mu_f).add_(slope, alpha=gamma_f)
        new.add_(now, alpha=mu).add_(before, alpha=nu).add_(y, alpha=1 - mu - nu)
        before, now = now, new
    return now


def longest(stages: int) -> float:
    """The longest stable step, in steps of Euler's method."""
    return (stages**2 + stages - 2) / 4


def stages_for(ratio: float) -> int:
    """The least odd number of stages, from 3 on, for steps of `ratio` limits of Euler's method.

    >>> [stages_for(r) for r in (0.5, 2.5, 7.0, 100.0)]
    [3, 3, 5, 21]
    """
    least = ceil((-1 + (9 + 16 * max(ratio, 0)) ** 0.5) / 2 - 1e-12)
    return max(3, least + 1 - least % 2)


def _b(j: int) -> float:
    return 1 / 3 if j < 2 else (j**2 + j - 2) / (2 * j * (j + 1))
