"""`ResNet`: residual convolutions at one resolution, dilated if asked, as a baseline on any grid."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import gelu

from opnet.core.expect import at_least, integers
from opnet.core.registry import register
from opnet.core.typing import Float
from opnet.models.blocks.boundary_convolution import CONVOLUTIONS, BoundaryConvolution
from opnet.models.grid_model import GridModel
from opnet.spaces.grid import Grid


@register("model", "ResNet")
class ResNet(GridModel):
    """A residual network of convolutions in one to three dimensions, all at the resolution of the grid.

        v_0 = P a,   v_(j+1) = v_j + K_n gelu(N ... K_1 gelu(N v_j)),   u = Q gelu(v_last)

    K_i is a convolution of 3 nodes an axis with `dilations[i]` nodes from tap to tap, N layer normalisation (over
    channels and nodes), P and Q are pointwise. Fields go on beyond the box as its sides ask: see `extend`.

    Good: 4 to 8 blocks of width 32 to 64 with dilations (1, 1); (1, 2, 4, 8, 4, 2, 1) where far points matter, as in
    elliptic problems: without it a node sees no further than twice the blocks. Good at short steps in time. Stencils
    are bound to the spacing (`discretisation_invariant = False`).

    Args:
        in_channels, out_channels: channels of a and u.
        dim: axes of the grid.
        width: channels of v.
        blocks: residual blocks.
        dilations: of the convolutions of a block.

    Raises:
        ValueError: for an argument out of range; on a call, for inputs that do not fit, or a grid of fewer nodes on an
            axis than the largest dilation.

    Source: K. He, X. Zhang, S. Ren and J. Sun, arXiv:1603.05027, figure 1b (activation first); with dilations
    K. Stachenfeld et al., arXiv:2112.15275, section 3.

    >>> import torch
    >>> ResNet(1, 2, width=4, blocks=2, dilations=(1, 4))(torch.zeros(3, 1, 16, 11)).shape
    torch.Size([3, 2, 16, 11])
    """

    registered_name = "ResNet"
    discretisation_invariant = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        dim: int = 2,
        width: int = 32,
        *,
        blocks: int = 4,
        dilations: Sequence[int] = (1, 1),
    ) -> None:
        super().__init__()
        dilations = integers("ResNet: dilations", dilations, "positive integers, one a convolution of a block")
        self.arguments = {
            "in_channels": at_least("ResNet: in_channels", in_channels),
            "out_channels": at_least("ResNet: out_channels", out_channels),
            "dim": at_least("ResNet: dim", dim),
            "width": at_least("ResNet: width", width),
            "blocks": at_least("ResNet: blocks", blocks),
            "dilations": list(dilations),
        }
        if dim > 3:
            raise ValueError(f"ResNet: dim: expected 1, 2 or 3, found {dim}")
        if not dilations or min(dilations) < 1:
            raise ValueError(f"ResNet: dilations: expected at least one positive number, found {dilations}")
        self.in_channels, self.out_channels, self.dim, self.reach = in_channels, out_channels, dim, max(dilations)
        self.lifting = CONVOLUTIONS[dim](in_channels, width, 1)
        self.blocks = nn.ModuleList(_Block(width, dim, dilations) for _ in range(blocks))
        self.projection = CONVOLUTIONS[dim](width, out_channels, 1)

    def forward(self, inputs: Tensor, grid: Grid | None = None) -> Float[Tensor, "batch out *grid"]:
        """u for every a of the batch; without a grid, the nodes are cells of the unit box.

        # shape: (batch, in_channels, *grid) -> (batch, out_channels, *grid)
        """
        grid = self.checked(inputs, grid)
        if self.reach > min(grid.shape):
            raise ValueError(
                f"dilations: expected at most {min(grid.shape)} on a grid of {grid.shape} nodes, found {self.reach}"
            )
        v = self.lifting(inputs)
        for block in self.blocks:
            v = v + block(v, grid)
        return self.projection(gelu(v)).contiguous()


class _Block(nn.Module):
    def __init__(self, width: int, dim: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.GroupNorm(1, width) for _ in dilations)
        self.convolutions = nn.ModuleList(BoundaryConvolution(width, width, dim, dilation=d) for d in dilations)

    def forward(self, v: Tensor, grid: Grid) -> Tensor:
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            v = convolution(gelu(norm(v)), grid.boundary)
        return v
