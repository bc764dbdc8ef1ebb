"""`VCycle`: a multigrid cycle with learned stencils, a linear map between functions on a grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from opnet.models.blocks.stencil import Padding, StencilConvolution, new_stencil
from opnet.spaces.grid import Grid
from opnet.spaces.interpolation import linear_interpolate

TRANSPOSED = (functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d)


class VCycle(nn.Module):
    r"""`u = K f` by one way down the levels and up again,

    .. math:: u \leftarrow u + S_i (f - A_i u) \quad (i = 1 \dots pre), \qquad (\Pi u, R f) \mapsto u_{coarse}, \qquad
        u \leftarrow u + P u_{coarse}, \qquad u \leftarrow u + S_i (f - A_i u) \quad (i = 1 \dots post),

    from u = 0 on the finest level used, the coarse step the same from Pi u on the next level. Unlike the cycle of
    `opnet.solvers.multigrid`, which restricts f - A u and corrects from zero, the way down takes the approximation
    along, as MgNO was run: A is then never applied where there are most nodes. Where P is not learned, it takes
    u_coarse - Pi u, as in the full approximation scheme: u itself would come up again from every level, and grow with
    their number.

    Levels are numbered from the coarsest, 0. A cycle may start on any of them.

    Args:
        in_channels, out_channels: channels of f and u.
        dim: axes of the grid.
        iterations: (pre, post) of each level, the finest first.
        learned_transfers: whether Pi, R and P are learned, or else linear interpolation between the levels' nodes,
            which is injection on the way down where the nodes coincide.

    Source: He, Liu and Xu, MgNO: Efficient Parameterization of Linear Operators via Multigrid, 2024, algorithm 1.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        dim: int,
        iterations: Sequence[tuple[int, int]],
        *,
        learned_transfers: bool,
    ) -> None:
        super().__init__()
        channels = in_channels, out_channels, dim
        self.steps = list(reversed(iterations))
        finest = len(iterations) - 1
        self.pre, self.post = nn.ModuleList(), nn.ModuleList()
        for level, (pre, post) in enumerate(self.steps):
            self.pre.append(_Smoothing(*channels, pre, from_zero=level == finest))
            self.post.append(_Smoothing(*channels, post, from_zero=False))
        self.learned_transfers = learned_transfers
        self.transfers = nn.ModuleList(
            (_LearnedTransfer if learned_transfers else _LinearTransfer)(*channels) for _ in range(finest)
        )

    def forward(
        self, f: Tensor, grids: Sequence[Grid], paddings: Sequence[Padding], pointwise: nn.Linear | None = None
    ) -> Tensor:
        """K f, or with a pointwise map `K f + W f + b`.

        # shape: (batch, in_channels, *grid) -> (batch, out_channels, *grid)

        Args:
            f: on the last of the grids.
            grids, paddings: of each level used, the coarsest first.
        """
        top = len(grids) - 1
        if pointwise is None:
            return self._improved(self.pre[top](None, f, paddings[top]), f, grids, paddings)
        if not top or self.learned_transfers or self.steps[top] != (1, 0):
            return self(f, grids, paddings) + on_channels(pointwise, f)
        # Both maps of f by one convolution; where the coarser levels need S f alone, there are fewer nodes.
        u = self.pre[top](None, f, paddings[top], pointwise)
        first, coarse_f = self._transfer(top).down(u, f, grids[top], grids[top - 1], paddings[top])
        return u + self._correction(first - on_channels(pointwise, coarse_f), coarse_f, grids, paddings)

    def _improved(self, u: Tensor, f: Tensor, grids: Sequence[Grid], paddings: Sequence[Padding]) -> Tensor:
        """u after what all levels below the last grid's add to it, and the smoothing steps up."""
        level = len(grids) - 1
        if not level:
            return u
        first, coarse_f = self._transfer(level).down(u, f, grids[level], grids[level - 1], paddings[level])
        u = u + self._correction(first, coarse_f, grids, paddings)
        return self.post[level](u, f, paddings[level])

    def _correction(self, first: Tensor, f: Tensor, grids: Sequence[Grid], paddings: Sequence[Padding]) -> Tensor:
        """What the levels below the last grid's make of u = `first` and f there, brought up to the last grid."""
        level = len(grids) - 1
        u = self.pre[level - 1](first, f, paddings[level - 1])
        u = self._improved(u, f, grids[:-1], paddings)
        return self._transfer(level).up(u, first, grids[level - 1], grids[level])

    def _transfer(self, level: int) -> _LearnedTransfer | _LinearTransfer:
        """Between a level and the next coarser one."""
        return cast("_LearnedTransfer | _LinearTransfer", self.transfers[level - 1])


def on_channels(linear: nn.Module, v: Tensor) -> Tensor:
    """The linear map of the channels at every node.  # shape: (batch, in, *grid) -> (batch, out, *grid)"""
    return linear(v.movedim(1, -1)).movedim(-1, 1)


class _Smoothing(nn.Module):
    """`u <- u + S_i (f - A_i u)` for i = 1 ... count; from_zero: the first A meets no u, and there is none."""

    def __init__(self, f_channels: int, u_channels: int, dim: int, count: int, *, from_zero: bool) -> None:
        super().__init__()
        self.S = nn.ModuleList(StencilConvolution(f_channels, u_channels, dim) for _ in range(count))
        self.A = nn.ModuleList(StencilConvolution(u_channels, f_channels, dim) for _ in range(count - from_zero))
        self.from_zero = from_zero

    def forward(self, u: Tensor | None, f: Tensor, padding: Padding, pointwise: nn.Linear | None = None) -> Tensor:
        """From u = None, which is zero, with a pointwise map of f added."""
        for i, S in enumerate(self.S):
            if u is None:
                u = S(f, padding, pointwise)
            else:
                u = u + S(f - self.A[i - self.from_zero](u, padding), padding)
        assert u is not None
        return u


class _LinearTransfer(nn.Module):
    """Linear interpolation between the nodes of two levels."""

    def __init__(self, f_channels: int, u_channels: int, dim: int) -> None:
        super().__init__()

    def down(self, u: Tensor, f: Tensor, fine: Grid, coarse: Grid, padding: Padding) -> tuple[Tensor, Tensor]:
        return linear_interpolate(u, fine, coarse), linear_interpolate(f, fine, coarse)

    def up(self, u: Tensor, first: Tensor, coarse: Grid, fine: Grid) -> Tensor:
        return linear_interpolate(u - first, coarse, fine)


class _LearnedTransfer(nn.Module):
    """Stencils on every second node down, and transposed ones of four nodes up; of an odd number of nodes the last
    takes what is left of the four."""

    def __init__(self, f_channels: int, u_channels: int, dim: int) -> None:
        super().__init__()
        self.Pi = StencilConvolution(u_channels, u_channels, dim, stride=2)
        self.R = StencilConvolution(f_channels, f_channels, dim, stride=2)
        self.P = new_stencil(u_channels, u_channels, dim, 4)
        self.spread = TRANSPOSED[dim - 1]

    def down(self, u: Tensor, f: Tensor, fine: Grid, coarse: Grid, padding: Padding) -> tuple[Tensor, Tensor]:
        return self.Pi(u, padding), self.R(f, padding)

    def up(self, u: Tensor, first: Tensor, coarse: Grid, fine: Grid) -> Tensor:
        spread = self.spread(u, self.P, stride=2, padding=1)
        for axis, n in enumerate(fine.shape, start=2):
            if spread.shape[axis] > n:
                spread = spread.narrow(axis, 0, n)
        return spread
