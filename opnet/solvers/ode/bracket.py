"""`behind_root`: roots of many functions of one variable at once, each within its bracket."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, nan

import torch
from torch import Tensor


def behind_root(g: Callable[[Tensor], Tensor], a: Tensor, b: Tensor, ga: Tensor, gb: Tensor, width: Tensor) -> Tensor:
    """A point of each bracket at the root of g or up to `width` behind it, where g has the sign of gb or is zero.

    ITP: the secant's root, moved towards the middle so that it may fall behind the root, and held close enough to the
    middle for at most one evaluation more than bisection takes (Oliveira and Takahashi 2021, An enhancement of the
    bisection method average performance preserving minmax optimality, ACM Trans. Math. Softw. 47, algorithm 1 with
    kappa_1 = 0.2 / (b - a), kappa_2 = 2, n_0 = 1). All arguments are float64 of one shape, g takes and gives such.

    Args:
        g: the functions, evaluated for all of them at once.
        a, b: brackets; where a = b the answer is b.
        ga, gb: values there: of different sign, ga not zero.
        width: of the final bracket; more than the rounding of a and b.

    Returns:
        the points; NaN where g was NaN on the way.

    >>> square, one = torch.tensor([2.0, 9.0]).double(), torch.ones(2).double()
    >>> behind_root(lambda x: x**2 - square, 0 * one, 4 * one, -square, 16 - square, 1e-15 * one)
    tensor([1.4142, 3.0000], dtype=torch.float64)
    """
    sign = torch.where(ga < 0, 1.0, -1.0).to(a.dtype)
    fa, fb, kappa = sign * ga, sign * gb, 0.2 / (b - a)
    most = ((b - a) / width).log2().ceil().clamp(min=0) + 1
    for j in range(ceil(float(most.max())) + 1):
        active = b - a > width
        if not bool(active.any()):
            break
        half = (b - a) / 2
        middle = a + half
        secant = a - (b - a) * fa / (fb - fa)
        side, shift = (middle - secant).sign(), kappa * (b - a) ** 2
        x = torch.where(shift <= (middle - secant).abs(), secant + side * shift, middle)
        reach = width / 2 * 2.0 ** (most - j) - half
        x = torch.where((x - middle).abs() <= reach, x, middle - side * reach)
        x = torch.where(active & x.isfinite(), x, middle)
        x = torch.maximum(torch.minimum(x, b - width / 2), a + width / 2)  # else rounding could leave it at an end
        f = sign * g(x)
        before, behind, lost = active & (f < 0), active & (f >= 0), active & f.isnan()
        a, fa = torch.where(before, x, a), torch.where(before, f, fa)
        b, fb = torch.where(behind, x, b), torch.where(behind, f, fb)
        a, b = torch.where(lost, nan, a), torch.where(lost, nan, b)
    return b
