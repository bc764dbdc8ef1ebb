"""Limiters: the slope of a cell from the differences to its two neighbours, never steeper than monotone data allow."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Limiter = Callable[[Tensor, Tensor], Tensor]
"""Undivided slope from the undivided differences a (to the left) and b (to the right); 0 where their signs differ."""


def minmod(a: Tensor, b: Tensor) -> Tensor:
    """The smaller of the two: the most dissipative choice.

    P. L. Roe, *Annu. Rev. Fluid Mech.* 18 (1986) 337-365.

    >>> minmod(torch.tensor([1.0, -1.0]), torch.tensor([3.0, 3.0]))
    tensor([1., 0.])
    """
    return torch.where(a * b > 0, torch.where(a.abs() < b.abs(), a, b), 0.0)


def van_leer(a: Tensor, b: Tensor) -> Tensor:
    """The harmonic mean `2 a b / (a + b)`: smooth wherever it is not 0.

    B. van Leer, *J. Comput. Phys.* 14 (1974) 361-370.

    >>> van_leer(torch.tensor([1.0, -1.0]), torch.tensor([3.0, 3.0]))
    tensor([1.5000, 0.0000])
    """
    total = a + b
    total.masked_fill_(total == 0, 1.0)
    return (a * b).clamp_(min=0).mul_(2).div_(total)


def monotonised_central(a: Tensor, b: Tensor) -> Tensor:
    """The least in size of `2 a`, `(a + b) / 2` and `2 b`: the least dissipative of the three.

    B. van Leer, *J. Comput. Phys.* 23 (1977) 276-299.

    >>> monotonised_central(torch.tensor([1.0, -1.0]), torch.tensor([3.0, 3.0]))
    tensor([2., 0.])
    """
    central = (a + b) / 2
    steepest = 2 * torch.minimum(a.abs(), b.abs())
    return torch.where(a * b > 0, torch.minimum(central.abs(), steepest).copysign(central), 0.0)


LIMITERS: dict[str, Limiter] = {
    "minmod": minmod,
    "van_leer": van_leer,
    "monotonised_central": monotonised_central,
}
