"""Graphons that are sums or products of functions of one variable."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from math import pi

import torch
from torch import Tensor

from opnet.graphs.graphon import Exponent, Graphon, weighted_exponents


class AdditiveGraphon(Graphon):
    """W(x, y) = f(x) + f(y), of rank 2."""

    rank = 2

    @abstractmethod
    def half(self, x: Tensor) -> Tensor:
        """f(x), with values in [0, 1/2]."""

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        return self.half(x) + self.half(y)

    def factors(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return torch.stack([torch.ones_like(x), self.half(x)], -1), x.new_tensor([[0.0, 1.0], [1.0, 0.0]])


@dataclass(frozen=True, repr=False)
class ArithmeticMean(AdditiveGraphon):
    """W(x, y) = (x + y) / 2."""

    l2_modulus = 1.0

    @property
    def name(self) -> str:
        return "arithmetic_mean"

    def half(self, x: Tensor) -> Tensor:
        return 0.5 * x

    def exponents(self, n: int, *, regime: str = "weighted", keep_diagonal: bool = True) -> dict[str, Exponent]:
        return weighted_exponents(regime, keep_diagonal)


@dataclass(frozen=True, repr=False)
class SquareAndRoot(AdditiveGraphon):
    """W(x, y) = (x^2 + y^2 + sqrt x + sqrt y) / 4, whose derivative is just not square-integrable."""

    singular_points = (0.0,)
    l2_modulus = 1.0  # but for the square root of a logarithm

    @property
    def name(self) -> str:
        return "square_and_root"

    def half(self, x: Tensor) -> Tensor:
        return 0.25 * (x.square() + x.sqrt())

    def exponents(self, n: int, *, regime: str = "weighted", keep_diagonal: bool = True) -> dict[str, Exponent]:
        # The midpoint rule takes integrals of sqrt x to n^-3/2; the operator's logarithm reads as a slower slope.
        return weighted_exponents(regime, keep_diagonal, nodal=-1.5, tolerance=0.05)


@dataclass(frozen=True, repr=False)
class Weierstrass(AdditiveGraphon):
    """W(x, y) = 1/2 + (f(x) + f(y)) / 4, `f(x) = (1 - 2^-a) sum_{k=0}^{39} 2^{-ak} cos(2 pi 2^k x + k)`.

    Args:
        a: the exponent of Hoelder continuity of W, which it nowhere exceeds, in (0, 1).
    """

    a: float

    rough = True

    @property
    def name(self) -> str:
        return f"weierstrass({self.a:g})"

    @property
    def l2_modulus(self) -> float:  # type: ignore[override]
        return self.a

    def half(self, x: Tensor) -> Tensor:
        total, turn = torch.zeros_like(x), x.clone()
        for k in range(40):  # 2^k x modulo 1 is exact
            total += 2.0 ** (-self.a * k) * torch.cos(2 * pi * turn + k)
            turn = (2 * turn).frac()
        return 0.25 + 0.25 * (1 - 2.0**-self.a) * total

    def exponents(self, n: int, *, regime: str = "weighted", keep_diagonal: bool = True) -> dict[str, Exponent]:
        return weighted_exponents(regime, keep_diagonal, operator=-self.a, nodal=None, tolerance=0.04)


@dataclass(frozen=True, repr=False)
class ExponentialOfPowers(Graphon):
    """W(x, y) = exp(-(x^0.7 + y^0.7)), of rank 1."""

    rank = 1
    singular_points = (0.0,)
    l2_modulus = 1.0

    @property
    def name(self) -> str:
        return "exponential_of_powers"

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.exp(-(x**0.7 + y**0.7))

    def factors(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return torch.exp(-(x**0.7))[:, None], x.new_ones(1, 1)

    def exponents(self, n: int, *, regime: str = "weighted", keep_diagonal: bool = True) -> dict[str, Exponent]:
        return weighted_exponents(regime, keep_diagonal, nodal=-1.7, tolerance=0.05)
