"""`BrownianPath`: Wiener processes that can be asked for at any time, in any order, always the same."""

from __future__ import annotations

from functools import lru_cache
from math import pi

import torch
from torch import Tensor

from opnet.core.expect import expect, found, integer
from opnet.solvers.ode.stages import Time

TOP = 22  # paths are made for |t| up to 2^22,
LEVELS = 65  # and by halving down to times 2^-42 apart
BLOCK = 1 << 11  # values computed at a time, each a sum over the levels: they stay in a core's cache

_ODD = 0x9E3779B97F4A7C15  # the golden ratio of 2^64


class BrownianPath:
    r"""W(t) and `\int_0^t W(s) ds` of independent Wiener processes, W(0) = 0, for -2^22 <= t <= 2^22.

    A path is a fixed function of (seed, element, process): times may be asked for in any order and together with any
    others, so that a step that is rejected and tried again by halves meets the same path. The pair (W, `\int W`) is a
    Gaussian Markov process: given both at the ends of an interval of length s, they are in its middle the values of the
    cubic Hermite interpolant of `\int W` plus independent normal numbers of variance s / 16 and s^3 / 192. Halving
    [0, 2^22] again and again therefore gives both as a sum of one pair of normal numbers for each length s,

    .. math:: \int_0^t W = \sum_s a_s v^2 (3 - 2 v) \mp w_s \tfrac{s}{2} v^2 (1 - v),

    with s/2 v the distance of t from the nearer end of its interval, and W its derivative (as Levy's construction, of
    piecewise linear functions, gives W alone). The normal numbers come from a hash of seed, element, process, s and
    interval (the finaliser of SplitMix64: Steele, Lea and Flood, OOPSLA 2014; then Box and Muller), so that nothing is
    stored. At times that are multiples of 2^-42 both have exactly the joint distribution; between, W is a polynomial.
    Everything is in float64, and equal on every device to rounding. A value costs 65 pairs of normal numbers, a few
    microseconds on one core.

    Args:
        seed: any integer.
        elements: how many elements, numbered from 0; or their numbers (long).
        processes: of each element.
        device: where to compute; that of `elements` if they are a tensor.

    Raises:
        ValueError: for arguments of another kind.

    >>> path = BrownianPath(seed=0, elements=3, processes=2)
    >>> w = path(0.7)
    >>> w.shape, bool((path(0.0) == 0).all())
    (torch.Size([3, 2]), True)
    >>> torch.equal(BrownianPath(0, torch.tensor([2]), 2)(0.7), w[2:])
    True
    """

    def __init__(
        self, seed: int, elements: int | Tensor, processes: int, device: torch.device | str | None = None
    ) -> None:
        seed, processes = integer("BrownianPath.seed", seed), integer("BrownianPath.processes", processes)
        if not isinstance(elements, Tensor):
            expected = "a number, or a vector of their numbers (long)"
            elements = torch.arange(integer("BrownianPath.elements", elements, expected), device=device)
        if elements.ndim != 1 or elements.dtype != torch.long or processes < 1:
            raise ValueError(
                "BrownianPath: expected elements as a number, or a vector of their numbers (long), of one process or "
                f"more, found {found(elements)} and {processes}"
            )
        process = torch.arange(processes, device=elements.device)
        key = _mixed(torch.full_like(elements[:, None], _signed(seed + _ODD)))
        for number in (elements[:, None], process):  # one after the other: no sum of theirs stands for another pair
            key = _mixed(key + number * _signed(_ODD))
        self.keys = key

    def __call__(self, t: Time) -> Tensor:
        """W(t), for one time or (elements, 1) of them; see `with_integral`.  # shape: (elements, processes)"""
        return self.with_integral(t)[0]

    def with_integral(self, t: Time, rows: Tensor | None = None) -> tuple[Tensor, Tensor]:
        r"""W(t) and `\int_0^t W(s) ds`, of all elements or of `rows` (long) of them; NaN where |t| > 2^22.

        # shape: (elements, processes) both

        Raises:
            ValueError: for another number of times than one or one an element; a single element takes any number.
        """
        keys = self.keys if rows is None else self.keys[rows]
        expect("BrownianPath.t", t, (float, int, Tensor), "a number or a tensor of them")
        time = torch.as_tensor(t, dtype=torch.float64, device=keys.device).detach().reshape(-1, 1)
        if len(time) != 1 and len(keys) not in (1, len(time)):
            raise ValueError(f"BrownianPath.t: expected one time or {len(keys)}, one an element, found {len(time)}")
        keys = keys.expand(max(len(keys), len(time)), -1)
        tall = max(1, BLOCK // keys.shape[1])
        wide = max(1, BLOCK // min(len(keys), tall))
        blocks = keys.split(tall)
        times = time.split(tall) if len(time) > 1 else [time] * len(blocks)
        parts = [
            [_values(some, part) for part in block.split(wide, 1)] for some, block in zip(times, blocks, strict=True)
        ]
        W, integral = (torch.cat([torch.cat([part[i] for part in row], 1) for row in parts]) for i in range(2))
        return W, integral


def _values(t: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
    """Both at the times t (elements, 1) of the processes with the given keys."""
    nodes, weights = _levels(t, _scales(t.device))
    a, w = _normals(_mixed(nodes ^ keys))
    W, integral = _sum((weights[0] * a).addcmul_(weights[1], w)), _sum((weights[2] * a).addcmul_(weights[3], w))
    return W, integral


def _sum(x: Tensor) -> Tensor:
    """The sum over the first dimension in one order, whatever the shape: equal to the last bit in every batch."""
    while len(x) > 1:
        half = len(x) // 2
        x = torch.cat([x[:half] + x[half : 2 * half], x[2 * half :]])
    return x[0]


@lru_cache(maxsize=8)
def _scales(device: torch.device) -> Tensor:
    """(level, s): the whole, as level 0, and the intervals that are halved; (levels, 2, 1, 1)."""
    lengths = [2.0**TOP, *(2.0 ** (TOP - j) for j in range(LEVELS - 1))]
    return torch.tensor(list(enumerate(lengths)), dtype=torch.float64, device=device)[..., None, None]


def _levels(t: Tensor, levels: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Of each level the interval's key, and what its two normal numbers weigh in W and in the integral."""
    level, s = levels.unbind(1)
    number = torch.floor(t.abs() / s)
    part = t.abs() / s - number
    side = torch.where(part < 0.5, 1.0, -1.0)
    v = 2 * torch.minimum(part, 1 - part)
    root, direction = s.sqrt(), torch.where(t < 0, -1.0, 1.0)
    middle = (
        side * 6 * v * (1 - v) * root / 48**0.5,
        v * (3 * v - 2) * root / 4,
        direction * v**2 * (3 - 2 * v) * s * root / 192**0.5,
        -direction * side * v**2 * (1 - v) * s * root / 8,
    )
    # The end of the whole: W = sqrt(s) a, integral = s/2 W + sqrt(s^3/12) w.
    u = torch.where(t.abs() <= s, t.abs() / s, torch.nan)
    mean, slope, value = 3 * u * (1 - u), u * (3 * u - 2), u**2 * (3 - 2 * u)
    whole = (
        (mean + slope) * root,
        6 * u * (1 - u) * root / 12**0.5,
        direction * (value / 2 - u**2 * (1 - u)) * s * root,
        direction * value * s * root / 12**0.5,
    )
    weights = tuple(torch.where(level == 0, a, b) for a, b in zip(whole, middle, strict=True))
    place = (2 * level + (t < 0)).long() * _signed(_ODD)
    return _mixed(torch.where(level == 0, 0, number).long() + place), weights  # type: ignore[return-value]


def _mixed(x: Tensor) -> Tensor:
    """The finaliser of SplitMix64, a bijection of 64 bits that looks like none."""
    x = (x ^ (x >> 30 & (1 << 34) - 1)) * _signed(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> 27 & (1 << 37) - 1)) * _signed(0x94D049BB133111EB)
    return x ^ (x >> 31 & (1 << 33) - 1)


def _normals(bits: Tensor) -> tuple[Tensor, Tensor]:
    """Two independent normal numbers of 64 random bits (Box and Muller 1958)."""
    radius = ((((bits >> 32) + 2**31).double() + 0.5) * 2.0**-32).log_().mul_(-2).sqrt_()
    angle = (bits & 2**32 - 1).double().mul_(2 * pi * 2.0**-32)
    return radius * torch.cos(angle), radius * torch.sin(angle)


def _signed(x: int) -> int:
    """x modulo 2^64 as torch's int64 holds it."""
    return (x + 2**63) % 2**64 - 2**63
