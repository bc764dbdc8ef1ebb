"""`etdrk4`: `u_t = L u + N(t, u)` on Fourier modes, in large equal steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import ceil

import torch
from torch import Tensor

from opnet.solvers.ode.methods.exponential import combined, phis

MOST_HALVINGS = 10


def etdrk4(
    symbol: Tensor,
    tendency: Callable[[float, Tensor], Tensor],
    modes: Tensor,
    frames: Sequence[float],
    step: float,
    rate: Callable[[Tensor], Tensor] | None = None,
    made: dict[float, list[Tensor]] | None = None,
) -> list[Tensor]:
    """`u_t = symbol u + tendency(t, u)` from `modes` at the first frame, at every frame; equal steps between frames.

    The method of `opnet.ETDRK4` (Cox and Matthews, J. Comput. Phys. 176 (2002), eqs. (26)-(29)), for states that stay
    in Fourier space: nothing is transformed but what the tendency transforms.

    Args:
        symbol: real or complex, broadcasts against `modes`.
        tendency: (t, modes) -> a new complex tensor.
        step: the largest step.
        rate: modes -> (sample,): steps from a frame on are halved until they are at most 1 / rate, for each sample as
            it needs and whatever the others do; at most 10 times.
        made: multipliers by step, which are kept here for further calls with the same symbol.

    >>> modes = torch.ones(1, dtype=torch.complex128)
    >>> end = etdrk4(torch.tensor([-1.0]).double(), lambda t, u: -u, modes, (0.0, 1.0), 0.05)[-1]
    >>> round(float(end.real), 6), round(float(torch.e ** torch.tensor(-2.0)), 6)
    (0.135335, 0.135335)
    """
    states, made = [modes], {} if made is None else made

    def advance(u: Tensor, t: float, end: float, count: int) -> Tensor:
        h = (end - t) / count
        if (key := round(h, 15)) not in made:
            made[key] = _multipliers(h, symbol)
        decay, decay_half, half, first, middle, last = made[key]
        for i in range(count):
            now = t + i * h
            n = tendency(now, u)
            rest = decay_half * u
            a = torch.addcmul(rest, half, n)
            n_a = tendency(now + h / 2, a)
            n_b = tendency(now + h / 2, rest.addcmul_(half, n_a))
            a.mul_(decay_half).addcmul_(half, n_b, value=2).addcmul_(half, n, value=-1)
            n_c = tendency(now + h, a)
            u = (decay * u).addcmul_(first, n).addcmul_(middle, n_a.add_(n_b)).addcmul_(last, n_c)
        return u

    for t, end in pairwise(frames):
        u, count = states[-1], ceil((end - t) / step - 1e-9)
        halvings = [0] if rate is None else _halvings(rate(u) * ((end - t) / count))
        if len(set(halvings)) == 1:
            states.append(advance(u, t, end, count * 2 ** halvings[0]))
            continue
        states.append(torch.empty_like(u))
        for halving in set(halvings):
            rows = [i for i, own in enumerate(halvings) if own == halving]
            states[-1][rows] = advance(u[rows], t, end, count * 2**halving)
    return states


def _halvings(share: Tensor) -> list[int]:
    """How often to halve a step that is `share` times as long as it may be; states that are not finite get none."""
    wanted = torch.where(torch.isfinite(share), share, 0.0).clamp(min=1.0).log2().ceil()
    return [int(n) for n in wanted.clamp(max=MOST_HALVINGS).tolist()]


def _multipliers(h: float, symbol: Tensor) -> list[Tensor]:
    """What a step of size h multiplies by; of the modes' type, which a product with mixed types would convert to."""
    return [m.to(torch.complex128) for m in combined(h, phis(h * symbol), phis(h / 2 * symbol))]
