"""`Graphon`: the kernel that large graphs converge to, with what is known of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from opnet.graphs.tiled_sum import TiledSum
from opnet.linops.base import LinearOperator
from opnet.linops.dense import Dense
from opnet.linops.low_rank import LowRank

if TYPE_CHECKING:
    from opnet.graphs.limit import Panels

LARGEST_MATRIX = 8192
"""Points whose kernel matrix is stored: 512 MiB in float64. For more, sums are taken tile by tile."""

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
        blocks: W is smooth on each square of a partition into blocks x blocks, its diagonal perhaps excepted.
        kink: the power of |u - v| by which W is not smooth along the diagonal: 1 for a kink. None where it is smooth.
        singular_points: where W or a derivative of it grows without bound, in either argument.
        rough: whether W is smooth nowhere, or not smooth across curves: what a finer quadrature alone resolves.
        zero_one: whether W takes the values 0 and 1 alone.
        rank: the r of `W(x, y) = sum_ab phi_a(x) M_ab phi_b(y)` if it is finite and `factors` gives the phi_a.
        l2_modulus: the largest s <= 1 with ||W(. + h, .) - W||_L2 = O(h^s); None where it is not known.
        boundary_dimension: of the boundary of the support of a {0,1}-valued graphon.
        transversal: whether that boundary meets the axes' directions in single points, so that each row of cells holds
            few of its cells, or runs along them. None where W is not {0,1}-valued.
        supremum: the largest value of W.
    """

    blocks: int = 1
    kink: float | None = None
    singular_points: tuple[float, ...] = ()
    rough: bool = False
    zero_one: bool = False
    rank: int | None = None
    l2_modulus: float | None = None
    boundary_dimension: float | None = None
    transversal: bool | None = None
    supremum: float = 1.0

    @abstractmethod
    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """W(x, y), elementwise, broadcasting."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What results call it, such as "hsbm(5)"."""

    def breakpoints(self) -> Tensor:
        """The ends of the blocks, from 0 to 1, float64; shape (blocks + 1,)."""
        return torch.arange(self.blocks + 1, dtype=torch.float64) / self.blocks

    def aligned(self, n: int) -> bool:
        """Whether the ends of the blocks are among those of n equal cells."""
        return n % self.blocks == 0

    def factors(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`phi(x)` and the coupling M of a graphon of finite rank.  # shape: (n,) -> (n, rank), (rank, rank)"""
        raise ValueError(f"graphon {self.name}: expected finite rank, found none known")

    def cell_adjacency(self, n: int) -> LinearOperator:
        """`A_ij = 1 if the half-open cell I_i x I_j meets the support, else 0`, I_i = [i/n, (i+1)/n); float64.

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
        if len(x) > LARGEST_MATRIX:
            return TiledSum(self, x, weights, keep_diagonal=keep_diagonal)
        matrix = self(x[:, None], x[None, :]) * weights
        return Dense(matrix if keep_diagonal else matrix.fill_diagonal_(0.0))

    def integral(self, panels: Panels, u: Tensor, dtype: torch.dtype) -> LinearOperator | None:
        """T_W from values at the panels' nodes to the points u, which begin with those nodes.

        None for a graphon that `weighted_sum` alone does justice, its kink on the diagonal apart.
        """
        return None

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


def weighted_exponents(
    regime: str, keep_diagonal: bool, *, operator: float = -1.0, nodal: float | None = -2.0, tolerance: float = 0.02
) -> dict[str, Exponent]:
    """Exponents of a weighted graph; by default of a Lipschitz graphon.

    Leaving out the diagonal costs O(1/n), and with it a nodal rate beyond -1.
    """
    if regime == "random":
        return RANDOM_EXPONENTS
    found = {"feature": Exponent(-1.0, tolerance), "operator": Exponent(operator, tolerance)}
    if nodal is not None:
        found["nodal"] = Exponent(nodal if keep_diagonal else max(nodal, -1.0), tolerance)
    return found


def floor_of_product(x: Tensor, count: int) -> Tensor:
    """floor(count * x) in 0 ... count - 1: the block of each point, half-open blocks, the last closed.

    A point within rounding of a breakpoint belongs to the block on its right.
    """
    slack = 4 * torch.finfo(x.dtype).eps * count
    return torch.floor(x * count + slack).long().clamp(0, count - 1)
