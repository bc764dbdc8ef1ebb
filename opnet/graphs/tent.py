"""The tent graphon and its sums in O(n)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.graphs.graphon import Exponent, Graphon, weighted_exponents
from opnet.graphs.kernel_sum import KernelSum
from opnet.linops.base import LinearOperator


@dataclass(frozen=True, repr=False)
class Tent(Graphon):
    """W(x, y) = max(0, 1 - |x - y|): Lipschitz, with a kink along the diagonal."""

    kink = 1.0
    l2_modulus = 1.0

    @property
    def name(self) -> str:
        return "tent"

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        return 1.0 - (x - y).abs()  # never negative on the unit square

    def weighted_sum(self, x: Tensor, weights: Tensor, *, keep_diagonal: bool = True) -> LinearOperator:
        # A small matrix is one product, cheaper than a dozen passes over short vectors.
        if len(x) <= 256:
            return super().weighted_sum(x, weights, keep_diagonal=keep_diagonal)
        return TentSum(x, weights, keep_diagonal=keep_diagonal)

    def exponents(self, n: int, *, regime: str = "weighted", keep_diagonal: bool = True) -> dict[str, Exponent]:
        return weighted_exponents(regime, keep_diagonal)


@register("operator", "TentSum")
class TentSum(KernelSum):
    """`y_i = l_i sum_j (1 - |x_i - x_j|) w_j g_j` in O(n), by prefix sums.

    With P_i = sum_{j<=i} w_j g_j and Q_i = sum_{j<=i} x_j w_j g_j over ascending x, and G, M their last values,
    `y_i = l_i (G - M + 2 Q_i + x_i (G - 2 P_i))`. The sums accumulate in float64 whatever the dtype: in float32 they
    would lose three digits at n = 10^6.

    Args:
        x: points in [0, 1], in any order, shape (n,).
        weights, left, keep_diagonal: as for `KernelSum`.

    >>> x = torch.tensor([0.0, 0.5], dtype=torch.float64)
    >>> TentSum(x, torch.ones(2, dtype=torch.float64)).to_dense()
    tensor([[1.0000, 0.5000],
            [0.5000, 1.0000]], dtype=torch.float64)
    """

    def __init__(self, x: Tensor, weights: Tensor, left: Tensor | None = None, *, keep_diagonal: bool = True) -> None:
        super().__init__(x, weights, left, keep_diagonal=keep_diagonal)
        self.order = None if bool((x.diff() >= 0).all()) else torch.argsort(x)
        self.rank_of = None if self.order is None else torch.argsort(self.order)
        self._x = x.to(torch.float64)[:, None]

    def sums(self, g: Tensor) -> Tensor:
        g, positions = g.to(torch.float64), self._x
        if self.order is not None:
            g, positions = g[..., self.order, :], positions[self.order]
        P, Q = torch.cumsum(g, -2), torch.cumsum(positions * g, -2)
        G, M = P[..., -1:, :].clone(), Q[..., -1:, :].clone()
        # In place: fresh memory costs as much as the sums.
        y = Q.mul_(2).add_(G - M).addcmul_(positions, P.mul_(-2).add_(G))
        if self.rank_of is not None:
            y = y[..., self.rank_of, :]
        return y.to(self.dtype)

    def rebuilt(self, x: Tensor, weights: Tensor, left: Tensor) -> TentSum:
        return TentSum(x, weights, left, keep_diagonal=self.keep_diagonal)

    def values_on_diagonal(self) -> Tensor:
        return torch.ones_like(self.w)
