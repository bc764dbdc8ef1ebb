"""`MultipoleGNO`: the multipole graph neural operator, kernels of growing radius on coarser and coarser nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import gelu

from opnet.core.registry import register
from opnet.models.blocks.kernel_integral import KernelIntegral
from opnet.models.blocks.neighbourhoods import Neighbourhoods
from opnet.models.kernel_model import KernelModel, check_arguments
from opnet.spaces.points import Points, average


@dataclass(frozen=True, eq=False)
class _Levels:
    """Nodes of each level, the box of the next level that each node is in, and the balls the kernels see."""

    points: list[Points]
    boxes: list[Tensor]
    within: list[Neighbourhoods]
    down: list[Neighbourhoods]
    up: list[Neighbourhoods]


class _Cycle(nn.Module):
    """One V-cycle over the levels."""

    def __init__(self, levels: int, width: int, dim: int, *kernel: Any) -> None:
        super().__init__()

        def kernels(count: int) -> nn.ModuleList:
            return nn.ModuleList(KernelIntegral(width, dim, *kernel) for _ in range(count))

        self.within, self.down, self.up = kernels(levels), kernels(levels - 1), kernels(levels - 1)
        self.pointwise = nn.ModuleList(nn.Linear(width, width) for _ in range(levels))

    def forward(self, v: list[Tensor], levels: _Levels, seen: list[Tensor] | None, is_last: bool) -> list[Tensor]:
        """v of every level, from v of every level; (point, batch, width)."""

        def a(targets: int, sources: int) -> tuple[Tensor, Tensor] | None:
            return None if seen is None else (seen[targets], seen[sources])

        v = list(v)
        for i, down in enumerate(self.down):
            v[i + 1] = gelu(v[i + 1] + down(v[i], levels.down[i], a(i + 1, i)))
        for i in reversed(range(len(v))):
            sums = self.pointwise[i](v[i]) + self.within[i](v[i], levels.within[i], a(i, i))
            if i + 1 < len(v):
                sums = sums + self.up[i](v[i + 1], levels.up[i], a(i, i + 1))
            v[i] = sums if is_last and i == 0 else gelu(sums)
        return v


@register("model", "MultipoleGNO")
class MultipoleGNO(KernelModel):
    """The multipole graph neural operator on a grid (`forward`) or on any points (`forward_points`).

    Level 0 are the points. Level l > 0 has one node, the centre of mass, for every box of side 2^(l-1) r which holds
    nodes of level l - 1, and radius r_l = 2^l r. Each layer is a V-cycle, down for l = 0, 1, ... and then up:

        v_{l+1} <- gelu( v_{l+1} + K_{l+1,l} v_l ),   v_l <- gelu( W_l v_l + b_l + K_{l,l} v_l + K_{l,l+1} v_{l+1} )

    with K_{l,m} the average of a learned kernel over balls, of radius r_l within a level and of the coarser one's
    between two. It starts at v_l = P (a, x), a averaged over the boxes, and ends in u = Q(v_0), the last v_0 without
    gelu; Q has one hidden layer with gelu. The boxes keep their size as nodes are refined, so that the same weights
    mean one operator on all grids and clouds.

    Good where near nodes count in detail and far ones together, as in elliptic problems; on points of any kind. Every
    ball between levels or on a coarse one holds about 4 pi nodes in two dimensions, whatever the resolution, so that
    only the kernel within level 0 costs points x points in a ball. It has 3 levels - 2 kernels a layer.

    Args:
        in_channels, out_channels: channels of a and u.
        dim: axes of the domain.
        radius: r, in units of the box's longest side. Good: about three spacings.
        levels: their number. Good: 2^(levels-1) r about 1/2, the whole domain.
        width: channels of v.
        layers: V-cycles.
        kernel, terms, hidden, sees_input, window, neighbours, seed: see `GNO`.
        projection_width: hidden channels of Q.

    Raises:
        ValueError: for an argument out of range; on a call, for inputs whose channels, dtype or grid do not fit.

    Source: Li et al., Multipole Graph Neural Operator for Parametric Partial Differential Equations, 2020; Kovachki
    et al., JMLR 24, 2023, section 4.3. There a level's nodes are a random sample of those below; boxes are opnet's
    choice.

    >>> import torch
    >>> model = MultipoleGNO(1, 1, radius=0.2, levels=2, width=8, layers=1, hidden=(16,))
    >>> model(torch.zeros(3, 1, 8, 10)).shape, model.forward_points(torch.zeros(3, 50, 1), torch.rand(50, 2)).shape
    (torch.Size([3, 1, 8, 10]), torch.Size([3, 50, 1]))
    """

    registered_name = "MultipoleGNO"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        dim: int = 2,
        radius: float = 0.125,
        levels: int = 3,
        width: int = 32,
        *,
        layers: int = 4,
        kernel: str = "matrix",
        terms: int = 8,
        hidden: Sequence[int] = (64, 64),
        sees_input: bool = False,
        window: str = "smooth",
        neighbours: int | None = None,
        seed: int = 0,
        projection_width: int = 128,
    ) -> None:
        super().__init__()
        self.arguments = {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "dim": dim,
            "radius": radius,
            "levels": levels,
            "width": width,
            "layers": layers,
            "kernel": kernel,
            "terms": terms,
            "hidden": hidden,
            "sees_input": sees_input,
            "window": window,
            "neighbours": neighbours,
            "seed": seed,
            "projection_width": projection_width,
        }
        check_arguments("MultipoleGNO", self.arguments)
        self.levels, self.sees_input = levels, sees_input
        self._make_ends(in_channels, out_channels, dim, width, projection_width)
        seen = in_channels if sees_input else 0
        self.cycles = nn.ModuleList(_Cycle(levels, width, dim, kernel, terms, hidden, seen) for _ in range(layers))

    def geometry(self, points: Points) -> _Levels:
        radii = [2**level * self.arguments["radius"] for level in range(self.levels)]
        nodes, boxes = [points], []
        for radius in radii[1:]:
            coarse, box = nodes[-1].pooled(radius / 2)
            nodes.append(coarse)
            boxes.append(box)

        def balls(targets: Sequence[Points], sources: Sequence[Points], sizes: Sequence[float]) -> list[Neighbourhoods]:
            chosen = {key: self.arguments[key] for key in ("window", "neighbours", "seed")}
            return [
                Neighbourhoods.between(x, y, radius, **chosen)
                for x, y, radius in zip(targets, sources, sizes, strict=True)
            ]

        return _Levels(
            nodes,
            boxes,
            within=balls(nodes, nodes, radii),
            down=balls(nodes[1:], nodes[:-1], radii[1:]),
            up=balls(nodes[:-1], nodes[1:], radii[1:]),
        )

    def operator(self, a: Tensor, points: Points, geometry: _Levels) -> Tensor:
        values = [a]
        for nodes, coarse, box in zip(geometry.points, geometry.points[1:], geometry.boxes, strict=False):
            values.append(average(values[-1], nodes.measure, box, coarse.n))
        v = [self.lifted(each, nodes) for each, nodes in zip(values, geometry.points, strict=True)]

        seen = values if self.sees_input else None
        for number, cycle in enumerate(self.cycles):
            v = cycle(v, geometry, seen, is_last=number + 1 == len(self.cycles))
        return v[0]
