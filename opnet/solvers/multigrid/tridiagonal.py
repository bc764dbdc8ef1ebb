"""`Tridiagonal`: many tridiagonal systems along one axis, factorised for parallel solution."""

from __future__ import annotations

import torch
from torch import Tensor


class Tridiagonal:
    r"""Systems `l_i x_{i-1} + d_i x_i + u_i x_{i+1} = r_i` along an axis, by parallel cyclic reduction.

    Each of ceil(log2 n) rounds eliminates the neighbours at distance s = 1, 2, 4, ... from every equation,

    .. math:: r_i \leftarrow r_i - \frac{l_i}{d_{i-s}} r_{i-s} - \frac{u_i}{d_{i+s}} r_{i+s},

    whatever the length, so that all equations of all systems advance together (R. W. Hockney and C. R. Jesshope,
    *Parallel Computers*, Adam Hilger 1981, section 5.4.3). It needs no pivots for diagonally dominant systems. A
    periodic axis is a rank-one change of one that is not (Sherman and Morrison, *Ann. Math. Stat.* 21 (1950) 124-127).

    Args:
        lower, diagonal, upper: l, d and u, of one shape; l at the first node and u at the last couple around the axis
            if it is periodic, and are not looked at otherwise.
        dim: the axis, counted from the end: -1, -2, ...

    >>> one = torch.ones(4)
    >>> T = Tridiagonal(-one, 2 * one, -one, -1, periodic=False)
    >>> T.solve(torch.tensor([0.0, 0.0, 0.0, 5.0])).round(decimals=4)
    tensor([1., 2., 3., 4.])
    """

    def __init__(self, lower: Tensor, diagonal: Tensor, upper: Tensor, dim: int, periodic: bool = False) -> None:
        self.dim, self.n = dim, diagonal.shape[dim]
        shape = torch.broadcast_shapes(lower.shape, diagonal.shape, upper.shape)
        lower, diagonal, upper = (band.expand(shape).clone() for band in (lower, diagonal, upper))
        self._wrap: tuple[Tensor, Tensor, Tensor] | None = None
        first, last = (dim, 0, 1), (dim, self.n - 1, 1)
        around_first, around_last = lower.narrow(*first).clone(), upper.narrow(*last).clone()
        if periodic and self.n == 1:
            diagonal = diagonal + around_first + around_last
        wraps = periodic and self.n > 1
        if wraps:
            # A = T + w v^T with w = (g, 0, ..., around_last) and v = (1, 0, ..., around_first / g), g = -d_first.
            g = -diagonal.narrow(*first)
            diagonal.narrow(*first).sub_(g)
            diagonal.narrow(*last).sub_(around_last * around_first / g)
        lower.narrow(*first).zero_()
        upper.narrow(*last).zero_()
        self._factorise(lower, diagonal, upper)
        if wraps:
            w = torch.zeros_like(diagonal)
            w.narrow(*first).copy_(g)
            w.narrow(*last).copy_(around_last)
            image, ratio = self._reduce(w), around_first / g
            scale = 1 / (1 + image.narrow(*first) + ratio * image.narrow(*last))
            self._wrap = image, ratio, scale

    def solve(self, r: Tensor) -> Tensor:
        """x, of the shape of r."""
        x = self._reduce(r)
        if self._wrap is not None:
            image, ratio, scale = self._wrap
            amount = (x.narrow(self.dim, 0, 1) + ratio * x.narrow(self.dim, self.n - 1, 1)) * scale
            x = x - amount * image
        return x

    def _factorise(self, lower: Tensor, diagonal: Tensor, upper: Tensor) -> None:
        self._rounds: list[tuple[int, Tensor, Tensor]] = []
        s = 1
        while s < self.n:
            down = -lower.narrow(self.dim, s, self.n - s) / diagonal.narrow(self.dim, 0, self.n - s)
            up = -upper.narrow(self.dim, 0, self.n - s) / diagonal.narrow(self.dim, s, self.n - s)
            self._rounds.append((s, down, up))
            new_lower, new_upper = torch.zeros_like(lower), torch.zeros_like(upper)
            new_diagonal = diagonal.clone()
            new_diagonal.narrow(self.dim, s, self.n - s).addcmul_(down, upper.narrow(self.dim, 0, self.n - s))
            new_diagonal.narrow(self.dim, 0, self.n - s).addcmul_(up, lower.narrow(self.dim, s, self.n - s))
            new_lower.narrow(self.dim, s, self.n - s).copy_(down * lower.narrow(self.dim, 0, self.n - s))
            new_upper.narrow(self.dim, 0, self.n - s).copy_(up * upper.narrow(self.dim, s, self.n - s))
            lower, diagonal, upper, s = new_lower, new_diagonal, new_upper, 2 * s
        self._inverse = 1 / diagonal

    def _reduce(self, r: Tensor) -> Tensor:
        for s, down, up in self._rounds:
            reduced = r.clone()
            reduced.narrow(self.dim, s, self.n - s).addcmul_(down, r.narrow(self.dim, 0, self.n - s))
            reduced.narrow(self.dim, 0, self.n - s).addcmul_(up, r.narrow(self.dim, s, self.n - s))
            r = reduced
        return r * self._inverse
