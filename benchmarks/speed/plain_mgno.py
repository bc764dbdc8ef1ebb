"""The structure of MgNO as published and run for Darcy flow: strided and transposed convolutions, channels first.

Source: He, Liu and Xu, MgNO: Efficient Parameterization of Linear Operators via Multigrid, 2024, algorithm 1.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import gelu


def stencil(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)


class PlainVCycle(nn.Module):
    """One smoothing step on the finest level, one on every other and two on the coarsest, none on the way up."""

    def __init__(self, in_channels: int, width: int, levels: int) -> None:
        super().__init__()
        counts = [1] * (levels - 1) + [2]
        self.first = stencil(in_channels, width)
        self.S = nn.ModuleList(nn.ModuleList(stencil(in_channels, width) for _ in range(n)) for n in counts[1:])
        self.A = nn.ModuleList(nn.ModuleList(stencil(width, in_channels) for _ in range(n)) for n in counts[1:])
        self.restrict_u = nn.ModuleList(stencil(width, width, 2) for _ in counts[1:])
        self.restrict_f = nn.ModuleList(stencil(in_channels, in_channels, 2) for _ in counts[1:])
        self.prolong = nn.ModuleList(
            nn.ConvTranspose2d(width, width, 4, stride=2, padding=1, bias=False) for _ in counts[1:]
        )

    def forward(self, f: Tensor) -> Tensor:
        kept = [self.first(f)]
        for level in range(len(self.S)):
            u, f = self.restrict_u[level](kept[-1]), self.restrict_f[level](f)
            for S, A in zip(self.S[level], self.A[level], strict=True):
                u = u + S(f - A(u))
            kept.append(u)
        u = kept.pop()
        for prolong in reversed(self.prolong):
            u = kept.pop() + prolong(u)
        return u


class PlainMgNO(nn.Module):
    """Layers `gelu(K v + W v + b)` and a pointwise projection, on numbers of nodes that the levels halve."""

    def __init__(self, width: int, layers: int, levels: int) -> None:
        super().__init__()
        sizes = [1] + [width] * (layers - 1)
        self.cycles = nn.ModuleList(PlainVCycle(size, width, levels) for size in sizes)
        self.pointwise = nn.ModuleList(nn.Conv2d(size, width, 1) for size in sizes)
        self.projection = nn.Conv2d(width, 1, 1, bias=False)

    def forward(self, v: Tensor) -> Tensor:
        for cycle, pointwise in zip(self.cycles, self.pointwise, strict=True):
            v = gelu(cycle(v) + pointwise(v))
        return self.projection(v)
