"""`differentiated`: a derivative that can be differentiated again, for functions whose own is written by hand."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def differentiated(
    found: Tensor, arguments: Sequence[Tensor], gradient: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    """The gradient of each of `arguments` that is wanted, by automatic differentiation of `found`.

    Args:
        found: the value, computed from `arguments` by operations that torch differentiates.
        gradient: that of `found`.
    """
    chosen = [t for t, want in zip(arguments, wanted, strict=True) if want]
    answer = iter(torch.autograd.grad(found, chosen, gradient, create_graph=True))
    return [next(answer) if want else None for want in wanted]
