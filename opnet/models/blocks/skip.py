"""`Skip`: the path around a layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

SKIPS = ("linear", "identity", "soft-gating", None)


class Skip(nn.Module):
    """`v -> W v + b` ("linear"), `v + b` ("identity"), `g * v + b` ("soft-gating": a number a channel), or `b` (None).

    Args:
        width: channels of v, its last axis.
        kind: which; g starts at 1, W as in `nn.Linear`.
        bias: whether there is a b, which starts at 0.

    Raises:
        ValueError: for another kind.

    >>> Skip(2, "soft-gating")(torch.tensor([[1.0, 2.0]]))
    tensor([[1., 2.]], grad_fn=<MulBackward0>)
    """

    weight: Tensor | None
    bias: Tensor | None

    def __init__(self, width: int, kind: str | None, *, bias: bool = False) -> None:
        super().__init__()
        if kind not in SKIPS:
            raise ValueError(f"skip: expected one of {', '.join(map(str, SKIPS))}, found {kind!r}")
        self.kind = kind
        weight: nn.Parameter | None = None
        if kind == "linear":
            weight = nn.Parameter(torch.empty(width, width).uniform_(-(width**-0.5), width**-0.5))
        elif kind == "soft-gating":
            weight = nn.Parameter(torch.ones(width))
        self.register_parameter("weight", weight)
        self.register_parameter("bias", nn.Parameter(torch.zeros(width)) if bias else None)

    def forward(self, v: Tensor) -> Tensor:
        """# shape: (..., width) -> (..., width)"""
        if self.kind == "linear":
            assert self.weight is not None
            return linear(v, self.weight, self.bias)
        path = torch.zeros_like(v) if self.kind is None else v if self.weight is None else self.weight * v
        return path if self.bias is None else path + self.bias
