"""`LNO`: the low-rank neural operator, integrals over the whole domain by kernels of low rank."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from opnet.core.registry import register
from opnet.models.blocks.low_rank_integral import LowRankIntegral
from opnet.models.kernel_model import KernelModel, check_arguments
from opnet.spaces.points import Points


@register("model", "LNO")
class LNO(KernelModel):
    """The low-rank neural operator on a grid (`forward`) or on any points (`forward_points`).

        v_0 = P (a, x),   v_{j+1}(x) = gelu( W_j v_j(x) + b_j + sum_k phi_jk(x) avg_y psi_jk(y) . v_j(y) ),   u = Q(v_n)

    (the last layer without gelu; Q one hidden layer with gelu): kernels `sum_{k<rank} phi_k(x) psi_k(y)^T`, with phi
    and psi by MLPs. The average over the domain is a quadrature, so that the same weights mean one operator on all
    grids and clouds.

    Good at smooth operators with global influence, in time linear in the points, and on points of any kind. Bad where
    u has detail that neither a nor few functions of x have: each layer passes `rank` numbers of a from place to place.
    Layers are to it what branch and trunk are to a DeepONet.

    Args:
        in_channels, out_channels: channels of a and u.
        dim: axes of the domain.
        rank: of the kernel. Published: 4.
        width: channels of v.
        layers: integral layers.
        hidden: widths of the hidden layers of phi and psi (gelu).
        sees_input: phi and psi see a at their point too, which multiplies their cost by the batch.
        projection_width: hidden channels of Q.

    Raises:
        ValueError: for an argument out of range; on a call, for inputs whose channels, dtype or grid do not fit.

    Source: Kovachki et al., Neural Operator: Learning Maps Between Function Spaces, JMLR 24, 2023, section 4.2.

    >>> model = LNO(1, 1, rank=4, width=8, layers=2, hidden=(16,))
    >>> model(torch.zeros(3, 1, 8, 10)).shape, model.forward_points(torch.zeros(3, 50, 1), torch.rand(50, 2)).shape
    (torch.Size([3, 1, 8, 10]), torch.Size([3, 50, 1]))
    """

    registered_name = "LNO"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        dim: int = 2,
        rank: int = 4,
        width: int = 32,
        *,
        layers: int = 4,
        hidden: Sequence[int] = (64, 64),
        sees_input: bool = False,
        projection_width: int = 128,
    ) -> None:
        super().__init__()
        self.arguments = {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "dim": dim,
            "rank": rank,
            "width": width,
            "layers": layers,
            "hidden": hidden,
            "sees_input": sees_input,
            "projection_width": projection_width,
        }
        check_arguments("LNO", self.arguments)
        self.sees_input = sees_input
        self._make_ends(in_channels, out_channels, dim, width, projection_width)
        features = dim + (in_channels if sees_input else 0)
        self.integrals = nn.ModuleList(LowRankIntegral(width, features, rank, hidden) for _ in range(layers))
        self.pointwise = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))

    def geometry(self, points: Points) -> Tensor:
        return points.measure

    def operator(self, a: Tensor, points: Points, geometry: Tensor) -> Tensor:
        v = self.lifted(a, points)
        seen = points.positions.to(a.dtype)[:, None]
        if self.sees_input:
            seen = torch.cat([seen.expand(-1, a.shape[1], -1), a], -1)
        for layer, (integral, pointwise) in enumerate(zip(self.integrals, self.pointwise, strict=True)):
            v = pointwise(v) + integral(v, seen, geometry.to(a.dtype))
            if layer + 1 < len(self.integrals):
                v = gelu(v)
        return v
