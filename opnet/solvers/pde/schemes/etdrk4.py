"""`etdrk4`: `u_t = L u + N(t, u)` on Fourier modes, in large equal steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import ceil

import torch
from torch import Tensor

from opnet.solvers.ode.methods.exponential import phis


def etdrk4(
    symbol: Tensor,
    tendency: Callable[[float, Tensor], Tensor],
    modes: Tensor,
    frames: Sequence[float],
    step: float,
) -> list[Tensor]:
    """`u_t = symbol u + tendency(t, u)` from `modes` at the first frame, at every frame; equal steps between frames.

    The method of `opnet.ETDRK4` (Cox and Matthews, J. Comput. Phys. 176 (2002), eqs. (26)-(29)), for states that stay
    in Fourier space: nothing is transformed but what the tendency transforms.

    Args:
        symbol: real or complex, broadcasts against `modes`.
        tendency: (t, modes) -> a new complex tensor.
        step: the largest step.

    >>> modes = torch.ones(1, dtype=torch.complex128)
    >>> end = etdrk4(torch.tensor([-1.0]).double(), lambda t, u: -u, modes, (0.0, 1.0), 0.05)[-1]
    >>> round(float(end.real), 6), round(float(torch.e ** torch.tensor(-2.0)), 6)
    (0.135335, 0.135335)
    """
    states, made = [modes], {}
    for t, end in pairwise(frames):
        count = ceil((end - t) / step - 1e-9)
        h = (end - t) / count
        if (key := round(h, 15)) not in made:
            made[key] = _multipliers(h, symbol)
        decay, decay_half, half, first, middle, last = made[key]
        u = states[-1]
        for i in range(count):
            now = t + i * h
            n = tendency(now, u)
            rest = decay_half * u
            a = torch.addcmul(rest, half, n)
            n_a = tendency(now + h / 2, a)
            n_b = tendency(now + h / 2, rest.addcmul_(half, n_a))
            a.mul_(decay_half).addcmul_(half, torch.sub(2 * n_b, n))
            n_c = tendency(now + h, a)
            u = (decay * u).addcmul_(first, n).addcmul_(middle, n_a.add_(n_b)).addcmul_(last, n_c)
        states.append(u)
    return states


def _multipliers(h: float, symbol: Tensor) -> list[Tensor]:
    """What a step of size h multiplies by; of the modes' type, which a product with mixed types would convert to."""
    whole, half = phis(h * symbol), phis(h / 2 * symbol)
    made = (
        whole[0],
        half[0],
        h / 2 * half[1],
        h * (whole[1] - 3 * whole[2] + 4 * whole[3]),
        h * (2 * whole[2] - 4 * whole[3]),
        h * (4 * whole[3] - whole[2]),
    )
    return [m.to(torch.complex128) for m in made]
