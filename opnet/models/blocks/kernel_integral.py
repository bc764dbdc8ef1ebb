"""`KernelIntegral`: a learned kernel integrated over balls."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from opnet.models.blocks.mlp import MLP
from opnet.models.blocks.neighbourhoods import Neighbourhoods

KERNELS = ("matrix", "diagonal")
PAIRS = 2**18
"""Pairs of points whose kernels are held together. With more than these, gradients compute kernels anew."""


class KernelIntegral(nn.Module):
    """`(K v)(x) = sum_y q(x, y) kappa(x, y) v(y)`, the average over the balls of a `Neighbourhoods`.

    "matrix": `kappa(x, y) = sum_j g_j(x, y) M_j` with an MLP g and matrices M_j: the kernel of an MLP whose last layer
    gives all width^2 entries is of this form, with one term for every hidden unit and one for the bias. The matrices
    meet `sum_y q g_j v`, once a target and not once a pair, and no matrix is stored for any pair.
    "diagonal": kappa(x, y) is a diagonal matrix, its entries those of g.

    g sees x, (y - x) / r and, where `values` > 0, a(x) and a(y).

    Args:
        width: channels of v.
        dim: of the positions.
        kernel: "matrix" or "diagonal".
        terms: of the sum, for "matrix".
        hidden: widths of the hidden layers of g.
        values: channels of a, for a kernel that depends on it; else 0.

    Signals are (point, batch, channel). Time and memory are in pairs x (hidden + terms x batch), with `values` in
    pairs x batch x (hidden + terms).
    """

    def __init__(self, width: int, dim: int, kernel: str, terms: int, hidden: Sequence[int], values: int = 0) -> None:
        super().__init__()
        self.is_matrix, self.sees_values = kernel == "matrix", values > 0
        self.network = MLP((2 * dim + 2 * values, *hidden, terms if self.is_matrix else width), "relu")
        self.mix = nn.Linear(terms * width, width, bias=False) if self.is_matrix else None

    def forward(self, v: Tensor, near: Neighbourhoods, a: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """# shape: (source, batch, width) -> (target, batch, width)

        Args:
            a: of the targets and of the sources; (point, batch, channel).
        """
        pieces = list(near.pieces(max(1, PAIRS // v.shape[1]) if self.sees_values else PAIRS))
        again = len(pieces) > 1 and torch.is_grad_enabled()
        parts = []
        for piece in pieces:
            if again:
                # Nothing is drawn here, so that the state of random numbers needs no keeping.
                parts.append(
                    checkpoint(self._integral, v, near, a, *piece, use_reentrant=False, preserve_rng_state=False)
                )
            else:
                parts.append(self._integral(v, near, a, *piece))
        return torch.cat(parts).index_select(0, torch.argsort(near.order))

    def _integral(
        self,
        v: Tensor,
        near: Neighbourhoods,
        a: tuple[Tensor, Tensor] | None,
        rows: Tensor,
        columns: Tensor,
        there: Tensor,
    ) -> Tensor:
        (m, k), (_, batch, width) = columns.shape, v.shape
        offsets = near.offsets(rows, columns)
        q = near.quadrature(rows, columns, there, offsets).to(v.dtype)
        source = near.origin[columns].flatten()
        features = torch.cat([near.x[rows, None].expand_as(offsets), offsets], -1).to(v.dtype)
        features = features[:, :, None]  # (target, k, sample, feature), one sample for all where a is not seen
        if self.sees_values:
            assert a is not None
            seen = [
                a[0][rows, None].expand(-1, k, -1, -1),
                a[1].index_select(0, source).unflatten(0, (m, k)),
            ]
            features = torch.cat([features.expand(-1, -1, batch, -1), *seen], -1)
        g = self.network(features) * q[..., None, None]
        values = v.index_select(0, source).unflatten(0, (m, k))  # (target, k, batch, width)
        if self.mix is None:
            return (g * values).sum(1)
        samples = g.shape[2]
        values = values.reshape(m, k, samples, batch // samples * width).transpose(1, 2)
        sums = g.permute(0, 2, 3, 1) @ values  # (target, sample, term, ...)
        sums = sums.unflatten(-1, (batch // samples, width)).transpose(2, 3)
        return self.mix(sums.reshape(m, batch, -1))
