"""Graphons that depend on the distance of their arguments alone: convolutions."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.graphs.graphon import Exponent, Graphon, weighted_exponents
from opnet.graphs.kernel_sum import KernelSum
from opnet.linops.base import LinearOperator
from opnet.linops.convolution import Convolution


class StationaryGraphon(Graphon):
    """W(x, y) = k(x - y) with an even k: at equidistant points a Toeplitz matrix, applied by FFT in O(n log n)."""

    @abstractmethod
    def profile(self, difference: Tensor) -> Tensor:
        """k, elementwise, at differences in [-1, 1]."""

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        return self.profile(x - y)

    def weighted_sum(self, x: Tensor, weights: Tensor, *, keep_diagonal: bool = True) -> LinearOperator:
        if len(x) <= 256 or not _equidistant(x):
            return super().weighted_sum(x, weights, keep_diagonal=keep_diagonal)
        return ToeplitzSum(self.profile, x, weights, keep_diagonal=keep_diagonal)


@register("operator", "ToeplitzSum")
class ToeplitzSum(KernelSum):
    """`y_i = l_i sum_j k(x_i - x_j) w_j g_j` at equidistant points, by fast Fourier transforms.

    Args:
        profile: k, even, elementwise.
        x: points in [0, 1], ascending, the same distance apart.
        weights, left, keep_diagonal: as for `KernelSum`.

    Raises:
        ValueError: for points that are not equidistant.

    >>> x = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    >>> ToeplitzSum(lambda d: 1 - d.abs(), x, torch.ones(3, dtype=torch.float64)).to_dense()[1]
    tensor([0.5000, 1.0000, 0.5000], dtype=torch.float64)
    """

    def __init__(
        self,
        profile: Callable[[Tensor], Tensor],
        x: Tensor,
        weights: Tensor,
        left: Tensor | None = None,
        *,
        keep_diagonal: bool = True,
    ) -> None:
        super().__init__(x, weights, left, keep_diagonal=keep_diagonal)
        if not _equidistant(x):
            raise ValueError("ToeplitzSum: expected ascending points the same distance apart, found others")
        self.profile = profile
        self._convolution = _convolution(profile, x, self.dtype)

    def rebuilt(self, x: Tensor, weights: Tensor, left: Tensor) -> ToeplitzSum:
        return ToeplitzSum(self.profile, x, weights, left, keep_diagonal=self.keep_diagonal)

    def sums(self, g: Tensor) -> Tensor:
        return self._convolution.columns(g)

    def values_on_diagonal(self) -> Tensor:
        return self.profile(torch.zeros_like(self.w))


def _convolution(profile: Callable[[Tensor], Tensor], x: Tensor, dtype: torch.dtype) -> Convolution:
    """`A_ij = k(x_i - x_j)`, the kernel lengthened by zeros to a length without large primes."""
    from scipy.fft import next_fast_len

    n = len(x)
    spacing = (float(x[-1]) - float(x[0])) / max(1, n - 1)
    reach = next_fast_len(2 * n - 1, real=True) - n
    offset = torch.arange(-reach, reach + 1, device=x.device)
    values = profile((spacing * offset.to(torch.float64)).clamp(-1, 1)).to(dtype)
    return Convolution(torch.where(offset.abs() < n, values, torch.zeros_like(values)), (n,))


def _equidistant(x: Tensor) -> bool:
    gaps = x.diff()
    return bool((gaps > 0).all()) and bool(((gaps - gaps.mean()).abs() < 8 * torch.finfo(x.dtype).eps).all())


@dataclass(frozen=True, repr=False)
class HoelderTent(StationaryGraphon):
    """W(x, y) = 1 - |x - y|^a.

    Args:
        a: the exponent of Hoelder continuity, in (0, 1].
    """

    a: float

    singular_points = (0.0, 1.0)  # of T_W g: an integral that ends there

    @property
    def name(self) -> str:
        return f"hoelder_tent({self.a:g})"

    @property
    def kink(self) -> float:  # type: ignore[override]
        return self.a

    @property
    def l2_modulus(self) -> float:  # type: ignore[override]
        return min(1.0, self.a + 0.5)

    def profile(self, difference: Tensor) -> Tensor:
        return 1.0 - difference.abs() ** self.a

    def exponents(self, n: int, *, regime: str = "weighted", keep_diagonal: bool = True) -> dict[str, Exponent]:
        # Each row misses the diagonal's share of the integral, n^-(1 + a).
        order = -self.l2_modulus
        return weighted_exponents(regime, keep_diagonal, operator=order, nodal=-(1 + self.a), tolerance=0.03)
