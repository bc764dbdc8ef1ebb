"""`TimeBasis`: the functions of time that coefficients are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import pi
from typing import Any

import torch
from torch import Tensor

from opnet.core.typing import Float

KINDS = ("constant", "polynomial", "fourier", "piecewise")


@dataclass(frozen=True)
class TimeBasis:
    """c_0, ..., c_{terms-1}, with c_0 = 1 except for "piecewise".

    Args:
        kind: "constant"; "polynomial": (t / horizon)^m; "fourier": 1, then sine and cosine of 2 pi j t / horizon in
            turn; "piecewise": indicators of `terms` equal parts of [0, horizon], the first and last going on outside.
        terms: number of functions.
        horizon: the period, or the time scale, in the unit of t. It belongs to the basis and not to the times a model
            is later run on, so that trained coefficients keep their meaning.

    Raises:
        ValueError: for an unknown kind, no terms, or a horizon that is not positive.

    >>> TimeBasis("fourier", 3)(torch.tensor(0.25))
    tensor([ 1.0000e+00,  1.0000e+00, -4.3711e-08])
    """

    kind: str = "constant"
    terms: int = 1
    horizon: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"time_basis.kind: expected one of {', '.join(KINDS)}, found {self.kind!r}")
        if self.terms < 1 or (self.kind == "constant" and self.terms != 1):
            raise ValueError(f"time_basis.terms: expected at least 1 (1 for 'constant'), found {self.terms}")
        if not self.horizon > 0:
            raise ValueError(f"time_basis.horizon: expected a positive number, found {self.horizon}")

    @classmethod
    def of(cls, description: Mapping[str, Any] | None) -> TimeBasis:
        """The basis described by plain data; None is the constant one."""
        if description is None:
            return cls()
        unknown = set(description) - {"kind", "terms", "horizon"}
        if unknown:
            raise ValueError(f"time_basis: expected keys kind, terms, horizon, found {', '.join(sorted(unknown))}")
        return cls(**description)

    def __call__(self, t: Tensor) -> Float[Tensor, " terms"]:
        m = torch.arange(self.terms, dtype=t.dtype, device=t.device)
        s = t / self.horizon
        if self.kind == "polynomial":
            return s**m
        if self.kind == "piecewise":
            return (m == (s * self.terms).floor().clamp(0, self.terms - 1)).to(t.dtype)
        angle = 2 * pi * torch.div(m + 1, 2, rounding_mode="floor") * s
        return torch.where(m % 2 == 1, torch.sin(angle), torch.cos(angle))
