"""`MgNO`: a multigrid neural operator."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from opnet.core.expect import at_least, found, integers
from opnet.core.registry import register
from opnet.core.typing import Float
from opnet.models.blocks.stencil import CONVOLUTIONS, PADDINGS, padding_of
from opnet.models.blocks.v_cycle import VCycle, on_channels
from opnet.models.grid_model import GridModel
from opnet.spaces.grid import Grid
from opnet.spaces.interpolation import close_ends, linear_interpolate, open_ends

FORMS = ("aligned", "published")
_FORMATS = {2: torch.channels_last, 3: torch.channels_last_3d}


@register("model", "MgNO")
class MgNO(GridModel):
    """The multigrid neural operator on a box in one to three dimensions.

        v_0 = a,   v_{j+1} = gelu(K_j v_j + W_j v_j + b_j),   u = Q v_n

    with W and Q pointwise, and K a V-cycle with learned stencils (`VCycle`): every pair of channels is joined by a
    linear operator that reaches across the box at a cost linear in the nodes. There is no lifting.

    The aligned form transfers between resolutions. Levels are counted from the coarsest, which has `coarsest` intervals
    along each axis, the next twice as many, and so on: a stencil stays as wide as it was trained. On a finer grid the
    V-cycle acts on the nodes of its own finest level, with linear interpolation (injection where nodes coincide) to and
    from them, and W on every node; on a coarser one the levels finer than the grid are left out. Between levels too,
    injection goes down and linear interpolation up.

    The published form counts levels from the finest and learns its transfers, convolutions of stride 2: the same
    weights are another operator at another resolution.

    Args:
        in_channels, out_channels: channels of a and u.
        width: channels of v.
        layers: V-cycles in a row.
        levels: of a V-cycle.
        iterations: (smoothing steps down, steps up) of each level, the finest first; by default (1, 0) and on the
            coarsest (2, 0), as published.
        form: "aligned" or "published".
        coarsest: intervals of the coarsest level of the aligned form, one number or one an axis. Good:
            `coarsest * 2^(levels - 1)` the intervals of the training grid.
        skip_finest: of the aligned form, the share of training steps that leave out the finest level, so that data on
            one grid also train the reading of grids finer than the levels. Good: 0 for up to twice the trained nodes an
            axis (measured: no loss there); up to 0.5 for many more, at the cost of some accuracy on the trained ones.
        padding: what a stencil meets beyond the ends: "zeros", "reflect", "replicate" or "circular"; by default what
            the grid's boundary asks for: zeros (Dirichlet), the mirror image (Neumann, Robin) or the other end
            (periodic).
        dim: axes of the grid.

    Good at elliptic problems with coefficients that jump, at low cost for large grids; bad at waves of a length near
    that of the finest level. Nodes that the levels do not have are seen by W alone.

    Fields are kept with their channels last, which is faster.

    Attributes:
        discretisation_invariant: True for the aligned form, False for the published one.

    Raises:
        ValueError: for an argument out of range; on a call, for inputs whose channels, dtype or grid do not fit, or a
            grid with fewer nodes than the levels need.

    Source: He, Liu and Xu, MgNO: Efficient Parameterization of Linear Operators via Multigrid, 2024, equation 5 and
    algorithm 1, arXiv 2310.19809; the published form as its script ran Darcy flow.

    >>> model = MgNO(1, 1, width=4, layers=2, levels=3)
    >>> model(torch.zeros(3, 1, 8, 8)).shape, model(torch.zeros(3, 1, 13, 20)).shape
    (torch.Size([3, 1, 8, 8]), torch.Size([3, 1, 13, 20]))
    >>> MgNO(1, 1, width=4, levels=5, form="published")(torch.zeros(3, 1, 16, 16))
    Traceback (most recent call last):
    ValueError: levels: expected at most 4 on 16 nodes along axis 0, so that two are left on the coarsest, found 5
    """

    registered_name = "MgNO"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        width: int = 24,
        layers: int = 5,
        levels: int = 4,
        iterations: Sequence[Sequence[int]] | None = None,
        *,
        form: str = "aligned",
        coarsest: int | Sequence[int] = 2,
        skip_finest: float = 0.0,
        padding: str | None = None,
        dim: int = 2,
    ) -> None:
        super().__init__()
        numbers = {"in_channels": in_channels, "out_channels": out_channels}
        numbers |= {"width": width, "layers": layers, "levels": levels, "dim": dim}
        for name, value in numbers.items():
            numbers[name] = at_least(f"MgNO: {name}", value)
        if numbers["dim"] > len(CONVOLUTIONS):
            raise ValueError(f"MgNO: dim: expected 1 to {len(CONVOLUTIONS)}, found {dim}")
        pairs = _pairs(iterations, numbers["levels"])
        axes = _intervals(coarsest, numbers["dim"])
        if form not in FORMS:
            raise ValueError(f"MgNO: form: expected one of {', '.join(FORMS)}, found {form!r}")
        if padding is not None and padding not in PADDINGS:
            raise ValueError(f"MgNO: padding: expected None or one of {', '.join(PADDINGS)}, found {padding!r}")
        if not 0 <= skip_finest < 1 or (skip_finest and (form == "published" or levels < 2)):
            raise ValueError(
                f"MgNO: skip_finest: expected 0, or for the aligned form of two levels or more a share below 1, found "
                f"{skip_finest}"
            )
        self.arguments = {
            **numbers,
            "iterations": [list(pair) for pair in pairs],
            "form": form,
            "coarsest": list(axes),
            "skip_finest": skip_finest,
            "padding": padding,
        }
        self.in_channels, self.dim, self.levels = numbers["in_channels"], numbers["dim"], numbers["levels"]
        self.form, self.coarsest, self.skip_finest, self.padding = form, axes, skip_finest, padding
        self.discretisation_invariant = form == "aligned"
        width, layers, dim = numbers["width"], numbers["layers"], numbers["dim"]
        sizes = [self.in_channels] + [width] * (layers - 1)
        self.cycles = nn.ModuleList(
            VCycle(size, width, dim, pairs, learned_transfers=form == "published") for size in sizes
        )
        self.pointwise = nn.ModuleList(nn.Linear(size, width) for size in sizes)
        self.projection = nn.Linear(width, numbers["out_channels"], bias=False)

    def forward(self, inputs: Tensor, grid: Grid | None = None) -> Float[Tensor, "batch out *grid"]:
        """u for every a of the batch; without a grid, the nodes are cells of the unit box.

        # shape: (batch, in_channels, *grid) -> (batch, out_channels, *grid)
        """
        grid = self.checked(inputs, grid)
        native = grid
        if self.form == "published":
            grids = _halvings(grid, self.levels)
        else:
            inputs, native = close_ends(inputs, grid)
            grids = self._aligned(native)
            if self.skip_finest and self.training and len(grids) > 1 and torch.rand(()) < self.skip_finest:
                grids = grids[:-1]
        paddings = [padding_of(at, self.padding) for at in grids]
        v = inputs
        for cycle, pointwise in zip(self.cycles, self.pointwise, strict=True):
            v = self._channels_last(v)
            if grids[-1] == native:
                v = gelu(cycle(v, grids, paddings, pointwise))
            else:
                Kv = cycle(linear_interpolate(v, native, grids[-1]), grids, paddings)
                v = gelu(linear_interpolate(Kv, grids[-1], native) + on_channels(pointwise, v))
        u = on_channels(self.projection, v)
        return (u if native == grid else open_ends(u, grid)).contiguous()

    def _channels_last(self, v: Tensor) -> Tensor:
        return v.contiguous(memory_format=_FORMATS.get(v.ndim - 2, torch.contiguous_format))

    def _aligned(self, grid: Grid) -> list[Grid]:
        """The grids of the levels that `grid` is fine enough for, the coarsest first."""
        levels = [self._level(grid, 0)]
        while len(levels) < self.levels and _is_within(finer := self._level(grid, len(levels)), grid):
            levels.append(finer)
        if not _is_within(levels[0], grid):
            raise ValueError(
                f"coarsest: expected at most the {grid.intervals} intervals of the grid, found {self.coarsest}"
            )
        return levels

    def _level(self, grid: Grid, level: int) -> Grid:
        ends = [n - m for n, m in zip(grid.shape, grid.intervals, strict=True)]
        return grid.resized([(m << level) + end for m, end in zip(self.coarsest, ends, strict=True)])


def _is_within(level: Grid, grid: Grid) -> bool:
    return all(m <= n for m, n in zip(level.intervals, grid.intervals, strict=True))


def _halvings(grid: Grid, levels: int) -> list[Grid]:
    """The grid and those of every second of its nodes, the coarsest first: what strided convolutions give."""
    grids = [grid]
    for done in range(1, levels):
        shape = [-(-n // 2) for n in grids[0].shape]
        if min(shape) < 2:
            axis = shape.index(min(shape))
            raise ValueError(
                f"levels: expected at most {done} on {grid.shape[axis]} nodes along axis {axis}, so that two are left "
                f"on the coarsest, found {levels}"
            )
        grids.insert(0, grid.resized(shape))
    return grids


def _intervals(coarsest: int | Sequence[int], dim: int) -> tuple[int, ...]:
    given = coarsest if isinstance(coarsest, Sequence) else (coarsest,) * dim
    axes = integers("MgNO: coarsest", given, "one positive integer, or one for each axis")
    if len(axes) != dim or min(axes) < 1:
        raise ValueError(f"MgNO: coarsest: expected one positive integer, or {dim}, found {coarsest}")
    return axes


def _pairs(iterations: Sequence[Sequence[int]] | None, levels: int) -> list[tuple[int, int]]:
    if iterations is None:
        return [(1, 0)] * (levels - 1) + [(2, 0)]
    expected = f"{levels} pairs (steps down, at least 1; steps up), one a level, none up on the coarsest"
    pairs = [integers("MgNO: iterations", pair, expected) for pair in iterations]
    if len(pairs) != levels or any(len(p) != 2 or p[0] < 1 or p[1] < 0 for p in pairs) or pairs[-1][1]:
        raise ValueError(f"MgNO: iterations: expected {expected}, found {found(iterations)}")
    return [(pre, post) for pre, post in pairs]
