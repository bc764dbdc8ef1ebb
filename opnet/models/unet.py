"""`UNet`: the convolutional encoder and decoder with skips, as a baseline on any grid."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, interpolate, max_pool1d, max_pool2d, max_pool3d

from opnet.core.expect import at_least
from opnet.core.registry import register
from opnet.core.typing import Float
from opnet.models.blocks.boundary_convolution import CONVOLUTIONS, BoundaryConvolution
from opnet.models.grid_model import GridModel
from opnet.spaces.grid import Grid

POOLS = {1: max_pool1d, 2: max_pool2d, 3: max_pool3d}
INTERPOLATIONS = {1: "linear", 2: "bilinear", 3: "trilinear"}


@register("model", "UNet")
class UNet(GridModel):
    """The U-Net in one to three dimensions: fields are halved level by level and brought back beside what they were.

        e_0 = B_0 a,   e_l = B_l pool(e_(l-1)),   d_L = e_L,   d_l = D_l (e_l, up(d_(l+1))),   u = Q d_0

    B and D are two convolutions of 3 nodes an axis, each followed by layer normalisation (over channels and nodes) and
    gelu; level l has 2^l times `width` channels; pool takes the largest of 2 nodes an axis, and the last ones alone
    where their number is odd; up interpolates linearly to the nodes of e_l, so that every size runs; Q is pointwise.
    Fields go on beyond the box as its sides ask: see `extend`.

    Good: width 32, 3 or 4 levels, width 16 for small data. Good at local and multiscale structure and cheap for its
    weights; its reach is 2^levels times that of a convolution. Stencils are bound to the spacing
    (`discretisation_invariant = False`): at another resolution than the training one the same weights mean another
    operator, and errors grow several times.

    Args:
        in_channels, out_channels: channels of a and u.
        dim: axes of the grid.
        width: channels of the finest level.
        levels: L, how often fields are halved.

    Raises:
        ValueError: for an argument out of range; on a call, for inputs that do not fit, or a grid of fewer than
            2^levels nodes on an axis.

    Source: O. Ronneberger, P. Fischer and T. Brox, arXiv:1505.04597, figure 1 (there without continuation at the sides
    and normalisation, with transposed convolutions); normalised as in J. Gupta and J. Brandstetter, arXiv:2209.15616.

    >>> model = UNet(1, 1, width=4, levels=2)
    >>> model(torch.zeros(3, 1, 16, 16)).shape, model(torch.zeros(3, 1, 21, 13)).shape
    (torch.Size([3, 1, 16, 16]), torch.Size([3, 1, 21, 13]))
    >>> model(torch.zeros(3, 1, 16, 3))
    Traceback (most recent call last):
    ValueError: levels: expected at most 1 on a grid of (16, 3) nodes, found 2
    """

    registered_name = "UNet"
    discretisation_invariant = False

    def __init__(self, in_channels: int, out_channels: int, dim: int = 2, width: int = 32, levels: int = 3) -> None:
        super().__init__()
        self.arguments = {
            "in_channels": at_least("UNet: in_channels", in_channels),
            "out_channels": at_least("UNet: out_channels", out_channels),
            "dim": at_least("UNet: dim", dim),
            "width": at_least("UNet: width", width),
            "levels": at_least("UNet: levels", levels),
        }
        if dim > 3:
            raise ValueError(f"UNet: dim: expected 1, 2 or 3, found {dim}")
        self.in_channels, self.out_channels, self.dim, self.levels = in_channels, out_channels, dim, levels
        widths = [width * 2**level for level in range(levels + 1)]
        self.encoder = nn.ModuleList(
            _Block(a, b, dim) for a, b in zip([in_channels, *widths[:-1]], widths, strict=True)
        )
        self.decoder = nn.ModuleList(_Block(3 * a, a, dim) for a in widths[:-1])
        self.projection = CONVOLUTIONS[dim](width, out_channels, 1)

    def forward(self, inputs: Tensor, grid: Grid | None = None) -> Float[Tensor, "batch out *grid"]:
        """u for every a of the batch; without a grid, the nodes are cells of the unit box.

        # shape: (batch, in_channels, *grid) -> (batch, out_channels, *grid)
        """
        grid = self.checked(inputs, grid)
        most = min(grid.shape).bit_length() - 1
        if self.levels > most:
            raise ValueError(f"levels: expected at most {most} on a grid of {grid.shape} nodes, found {self.levels}")
        v, skips = inputs, []
        for level, encode in enumerate(self.encoder):
            if level:
                v = POOLS[grid.dim](v, 2, ceil_mode=True)
            v = encode(v, grid)
            skips.append(v)
        for decode, skip in zip(reversed(self.decoder), skips[-2::-1], strict=True):
            v = interpolate(v, size=skip.shape[2:], mode=INTERPOLATIONS[grid.dim])
            v = decode(torch.cat([skip, v], 1), grid)
        return self.projection(v).contiguous()


class _Block(nn.Module):
    """Two convolutions, each normalised and followed by gelu."""

    def __init__(self, in_channels: int, out_channels: int, dim: int) -> None:
        super().__init__()
        self.first = BoundaryConvolution(in_channels, out_channels, dim)
        self.second = BoundaryConvolution(out_channels, out_channels, dim)
        self.norms = nn.ModuleList(nn.GroupNorm(1, out_channels) for _ in range(2))

    def forward(self, v: Tensor, grid: Grid) -> Tensor:
        for convolution, norm in zip((self.first, self.second), self.norms, strict=True):
            v = gelu(norm(convolution(v, grid.boundary)))
        return v
