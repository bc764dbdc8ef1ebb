"""`LowRankIntegral`: a learned kernel of low rank, integrated over the whole domain."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from opnet.models.blocks.mlp import MLP


class LowRankIntegral(nn.Module):
    """`(K v)(x) = sum_(j<r) phi_j(x) sum_y w(y) psi_j(y) . v(y)`, the kernel `sum_j phi_j(x) psi_j(y)^T` of rank r.

    Args:
        width: channels of v.
        features: entries of what the MLPs phi and psi see at a point.
        rank: r.
        hidden: widths of their hidden layers.

    Signals are (point, batch, channel); time and memory are in points x rank x width.
    """

    def __init__(self, width: int, features: int, rank: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.phi, self.psi = (MLP((features, *hidden, rank * width), "gelu") for _ in range(2))
        self.rank, self.width = rank, width

    def forward(self, v: Tensor, seen: Tensor, weights: Tensor) -> Tensor:
        """# shape: (point, batch, width) -> (point, batch, width)

        Args:
            seen: (point, batch, feature), or (point, 1, feature) where it is the same for all samples.
            weights: w; (point,).
        """
        phi, psi = (net(seen).unflatten(-1, (self.rank, self.width)) for net in (self.phi, self.psi))
        psi = psi * weights[:, None, None, None]
        if seen.shape[1] == 1:
            coefficients = torch.einsum("prc,pbc->br", psi[:, 0], v)
            return torch.einsum("prc,br->pbc", phi[:, 0], coefficients)
        return torch.einsum("pbrc,br->pbc", phi, torch.einsum("pbrc,pbc->br", psi, v))
