"""What a branch and a trunk network share: as many features, and the products of them that are the answer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from opnet.core.expect import integers
from opnet.core.typing import Float


def inner_products(
    branches: Sequence[Float[Tensor, "batch features"]], trunks: Sequence[Tensor], features: int
) -> Float[Tensor, "batch out point"]:
    """`u_k(x) = sum_i b_ki t_ki(x)` for each channel k, which is a group of features of one network, or of its own
    network. Where the branch or the trunk has but one group, it serves all k.

    Args:
        branches: what the branch networks give.
        trunks: what the trunk networks give, (point, features) or (batch, point, features), each sample's own.
        features: in a group.

    >>> inner_products([torch.ones(5, 8)], [torch.ones(7, 4)], 4).shape
    torch.Size([5, 2, 7])
    """
    b, t = _groups(branches, features), _groups(trunks, features)
    if t.ndim == 3:
        return (b @ t.transpose(1, 2)).transpose(0, 1)
    return (t @ b.unsqueeze(-1)).squeeze(-1).transpose(0, 1)


def equal_features(name: str, branch: Sequence[int], trunk: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Both networks' widths as ints, checked: positive, and with the same last one.

    >>> equal_features("DeepONet", (40, 20), (40, 30))
    Traceback (most recent call last):
    ValueError: DeepONet: branch, trunk: expected the same last width, found 20 and 30
    """
    both = []
    for argument, widths in (("branch", branch), ("trunk", trunk)):
        numbers = integers(f"{name}: {argument}", widths, "widths such as (128, 128)")
        if not numbers or min(numbers) < 1:
            raise ValueError(f"{name}: {argument}: expected one or more positive widths, found {numbers}")
        both.append(numbers)
    if both[0][-1] != both[1][-1]:
        raise ValueError(f"{name}: branch, trunk: expected the same last width, found {both[0][-1]} and {both[1][-1]}")
    return both[0], both[1]


def _groups(outputs: Sequence[Tensor], features: int) -> Tensor:
    """(group, ..., feature)."""
    return torch.cat([y.unflatten(-1, (-1, features)).movedim(-2, 0) for y in outputs])
