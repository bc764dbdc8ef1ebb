"""`BoundaryConvolution`: a convolution on a grid's nodes that continues fields beyond the box as its sides ask."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import pad

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
CONTINUATIONS = {"circular": ("periodic",), "replicate": ("neumann", "robin"), "constant": ("dirichlet",)}


class BoundaryConvolution(nn.Module):
    """`v_i -> b + sum_j K_j v_(i + dilation j)`, |j| <= 1 along each axis, on as many nodes.

    Args:
        in_channels, out_channels: channels of v and of the answer.
        dim: 1, 2 or 3.
        dilation: nodes from one tap to the next.
    """

    def __init__(self, in_channels: int, out_channels: int, dim: int, *, dilation: int = 1) -> None:
        super().__init__()
        self.dilation = dilation
        self.convolution = CONVOLUTIONS[dim](in_channels, out_channels, 3, dilation=dilation)

    def forward(self, v: Tensor, boundary: Sequence[tuple[str, str]]) -> Tensor:
        """# shape: (batch, in_channels, *grid) -> (batch, out_channels, *grid), `boundary` that of the grid"""
        return self.convolution(extend(v, boundary, self.dilation))


def extend(v: Tensor, boundary: Sequence[tuple[str, str]], width: int) -> Tensor:
    """`v` on `width` more nodes at every side: repeated (periodic), its last value (Neumann, Robin) or 0 (Dirichlet).

    >>> import torch
    >>> extend(torch.tensor([[[1.0, 2.0, 3.0]]]), [("dirichlet", "neumann")], 1)
    tensor([[[0., 1., 2., 3., 3.]]])
    """
    for mode, kinds in CONTINUATIONS.items():
        widths = [width * (kind in kinds) for pair in reversed(boundary) for kind in pair]
        if any(widths):
            v = pad(v, widths, mode=mode)
    return v
