"""Graphons that a function of the user's gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from opnet.graphs.graphon import RANDOM_EXPONENTS, Exponent, Graphon
from opnet.graphs.smooth import SmoothGraphon

Kernel = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, repr=False)
class FunctionGraphon(Graphon):
    """W(x, y) = function(x, y), of which nothing more is known than what is said here.

    Args:
        function: vectorised: tensors that broadcast in, their W out.
        label: what results call it.
        kink: as for `Graphon`.
    """

    function: Kernel
    label: str
    kink: float | None = None

    @property
    def name(self) -> str:
        return self.label

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        return self.function(x, y)

    def exponents(self, n: int, *, regime: str = "weighted", keep_diagonal: bool = True) -> dict[str, Exponent]:
        return RANDOM_EXPONENTS if regime == "random" else {}


@dataclass(frozen=True, repr=False)
class SmoothFunctionGraphon(SmoothGraphon):
    """W(x, y) = function(x, y), analytic on the unit square."""

    function: Kernel
    label: str

    @property
    def name(self) -> str:
        return self.label

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        return self.function(x, y)


def check_kernel(function: Kernel, name: str) -> None:
    """Raise a `ValueError` unless the function is vectorised and, as far as some points tell, a graphon."""
    points = torch.linspace(0, 1, 41, dtype=torch.float64)
    x, y = points[:, None], torch.cat([points[1:], points[:1] + 1e-3])[None, :]
    try:
        values = function(x, y)
    except Exception as error:
        raise ValueError(
            f"graphon {name}: expected a function of tensors that broadcast, found {type(error).__name__}: {error}"
        ) from error
    if not isinstance(values, Tensor) or values.shape != (41, 41):
        found = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise ValueError(
            f"graphon {name}: expected a vectorised function, W of points (41, 1) and (1, 41) a tensor (41, 41), "
            f"found {found}"
        )
    values = values.to(torch.float64)
    check_range(values, name)
    apart = float((values - function(y, x)).abs().max())
    if apart > 1e-6:
        raise ValueError(f"graphon {name}: expected W(x, y) = W(y, x), found values that differ by {apart:.3g}")


def check_range(values: Tensor, name: str) -> None:
    """Raise a `ValueError` unless all values lie in [0, 1]."""
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 1 and bool(values.isfinite().all())):
        raise ValueError(f"graphon {name}: expected values in [0, 1], found {low:.6g} to {high:.6g}")
