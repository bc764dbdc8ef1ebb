"""`Graphon`: the kernel that large graphs converge to, with what is known of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from opnet.linops.base import LinearOperator
from opnet.linops.dense import Dense
from opnet.linops.low_rank import LowRank

EXACT = float("-inf")
"""The exponent of an error that is zero in exact arithmetic."""


class Exponent(NamedTuple):
    """error ~ n^value, to be found within `tolerance` at n of some hundreds to thousands."""

    value: float
    tolerance: float


class Graphon(ABC):
    """A symmetric kernel W: [0,1]^2 -> [0,1], and the integral operator `(T_W g)(u) = integral_0^1 W(u, v) g(v) dv`.

    Subclasses are frozen dataclasses.

    Attributes:
        blocks: W is smooth on each square of a blocks x blocks partition, its diagonal perhaps excepted.
        kink: whether W has a kink (or worse) along the diagonal u = v.
        zero_one: whether W takes the values 0 and 1 alone.
        rank: the r of `W(x, y) = sum_ab phi_a(x) M_ab phi_b(y)` if it is finite and `factors` gives the phi_a.
        boundary_dimension: of the boundary of the support of a {0,1}-valued graphon.
        supremum: the largest value of W.
    """

    blocks: int = 1
    kink: bool = False
    zero_one: bool = False
    rank: int | None = None
    boundary_dimension: float | None = None
    supremum: float = 1.0

    @abstractmethod
    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """W(x, y), elementwise, broadcasting."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What results call it, such as "hsbm(5)"."""

    def factors(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`phi(x)` and the coupling M of a graphon of finite rank.  # shape: (n,) -> (n, rank), (rank, rank)"""
        raise ValueError(f"graphon {self.name}: expected finite rank, found none known")

    def cell_factors(self, n: int) -> tuple[Tensor, Tensor]:
        """Factors of `A_ij = 1 if the cell I_i x I_j meets the support`, A = E B E^T, I_i = [i/n, (i+1)/n).

        Shapes (n, r) and (r, r), float64.

        Raises:
            ValueError: for a graphon that does not know which cells its support meets.
        """
        raise ValueError(f"regime 'cell': expected a {{0,1}}-valued graphon that knows its support, found {self.name}")

    def weighted_sum(self, x: Tensor, weights: Tensor, *, keep_diagonal: bool = True) -> LinearOperator:
        """`(S g)_i = sum_j W(x_i, x_j) w_j g_j` (without j = i unless `keep_diagonal`), in the cheapest form known.

        With w = 1/n it is the shift operator of the weighted graph; with quadrature weights, T_W discretised.

        Args:
            x: points in [0, 1], shape (n,).
            weights: w, shape (n,).
        """
        if self.rank is not None:
            phi, M = self.factors(x)
            removed = None if keep_diagonal else -self(x, x) * weights
            return LowRank(phi @ M, weights[:, None] * phi, removed)
        matrix = self(x[:, None], x[None, :]) * weights
        return Dense(matrix if keep_diagonal else matrix.fill_diagonal_(0.0))

    @abstractmethod
    def exponents(self, n: int, *, regime: str = "weighted", keep_diagonal: bool = True) -> dict[str, Exponent]:
        """The exponents of "feature", "operator" and "nodal" error, where theory knows them.

        Args:
            n: a representative size; for blocks only whether their number divides it matters.
            regime, keep_diagonal: as for `sample_graph`.
        """

    def __repr__(self) -> str:
        return f"<graphon {self.name}>"


RANDOM_EXPONENTS = {
    "feature": Exponent(-1.0, 0.06),
    "operator": Exponent(-0.5, 0.06),
    "nodal": Exponent(-0.5, 0.06),
}
"""Of Bernoulli sampling at density 1, whatever the graphon, as long as its own error is smaller."""


def lipschitz_exponents(regime: str, keep_diagonal: bool) -> dict[str, Exponent]:
    """Exponents of a Lipschitz graphon: leaving out the diagonal costs O(1/n) and with it the nodal rate -2."""
    if regime == "random":
        return RANDOM_EXPONENTS
    return {
        "feature": Exponent(-1.0, 0.02),
        "operator": Exponent(-1.0, 0.02),
        "nodal": Exponent(-2.0 if keep_diagonal else -1.0, 0.02),
    }


def floor_of_product(x: Tensor, count: int) -> Tensor:
    """floor(count * x) in 0 ... count - 1: the block of each point, half-open blocks, the last closed.

    A point within rounding of a breakpoint belongs to the block on its right.
    """
    slack = 4 * torch.finfo(x.dtype).eps * count
    return torch.floor(x * count + slack).long().clamp(0, count - 1)
