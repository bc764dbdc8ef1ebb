"""Graphons that polynomials approximate: of low rank to any accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import pi

import torch
from torch import Tensor

from opnet.graphs.graphon import Exponent, Graphon, weighted_exponents

TOLERANCE = 1e-13
"""Of the low-rank form of a smooth graphon, against its values."""


class SmoothGraphon(Graphon):
    """A graphon that is analytic on the unit square; its factors come from Chebyshev interpolation.

    With z the m Chebyshev points, l_a their Lagrange polynomials and `W(z_a, z_b) = Q diag(lambda) Q^T`,
    `W(x, y) = sum_ab l_a(x) W(z_a, z_b) l_b(y) = sum_r phi_r(x) lambda_r phi_r(y)`, `phi = l Q`; the r kept are those
    with |lambda_r| above the tolerance. m doubles from 8 until the interpolant is as good as the tolerance.
    """

    l2_modulus = 1.0

    @property
    def rank(self) -> int:  # type: ignore[override]
        return len(chebyshev_factors(self, TOLERANCE)[2])

    def factors(self, x: Tensor) -> tuple[Tensor, Tensor]:
        points, vectors, values = (part.to(x.device) for part in chebyshev_factors(self, TOLERANCE))
        return (_lagrange(points, x.to(torch.float64)) @ vectors).to(x), torch.diag(values).to(x)

    def exponents(self, n: int, *, regime: str = "weighted", keep_diagonal: bool = True) -> dict[str, Exponent]:
        return weighted_exponents(regime, keep_diagonal)


@dataclass(frozen=True, repr=False)
class SigmoidOfSquares(SmoothGraphon):
    """W(x, y) = 1 / (1 + exp(-2 (x^2 + y^2)))."""

    @property
    def name(self) -> str:
        return "sigmoid_of_squares"

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.sigmoid(2 * (x.square() + y.square()))


@lru_cache(maxsize=16)
def chebyshev_factors(W: Graphon, tolerance: float) -> tuple[Tensor, Tensor, Tensor]:
    """Points (m,), vectors (m, r) and values (r,) of a kernel's low-rank form, float64.

    Raises:
        ValueError: for a kernel that 256 points do not resolve.

    >>> [len(chebyshev_factors(SigmoidOfSquares(), tolerance)[2]) for tolerance in (1e-6, 1e-10)]
    [5, 8]
    """
    probe = torch.linspace(0, 1, 101, dtype=torch.float64)
    exact = W(probe[:, None], probe[None, :])
    m = 8
    while m <= 256:
        points = 0.5 - 0.5 * torch.cos(pi * torch.arange(m, dtype=torch.float64) / (m - 1))
        values, vectors = torch.linalg.eigh(W(points[:, None], points[None, :]))
        kept = values.abs() > tolerance
        values, vectors = values[kept], vectors[:, kept]
        phi = _lagrange(points, probe) @ vectors
        if float((phi * values @ phi.T - exact).abs().max()) <= 10 * tolerance:
            return points, vectors, values
        m *= 2
    raise ValueError(f"graphon {W.name}: expected a smooth one, found {m // 2} polynomials to miss {tolerance:g}")


def _lagrange(points: Tensor, x: Tensor) -> Tensor:
    """Lagrange polynomials of the Chebyshev points by the second barycentric formula.  # shape: (n,) -> (n, m)"""
    sign = torch.ones_like(points)
    sign[1::2] = -1
    sign[0] *= 0.5
    sign[-1] *= 0.5
    gap = x[:, None] - points
    hit = gap == 0
    terms = sign / gap.masked_fill(hit, 1.0)
    return torch.where(hit.any(1, keepdim=True), hit.to(x.dtype), terms / terms.sum(1, keepdim=True))
