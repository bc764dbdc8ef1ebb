"""Inverses of small matrices by elementwise operations over the batch, which a compiler fuses with the rest."""

from __future__ import annotations

import torch
from torch import Tensor


def inverses(W: Tensor) -> tuple[Tensor, Tensor]:
    """Inverses of (batch, n, n) matrices and which have none, (batch, 1): Gauss and Jordan's elimination.

    The pivot is the entry of largest modulus left in each column. About n^2 operations, each on (batch, 2n) entries. A
    matrix that is singular or not finite spoils its own inverse alone.

    >>> inverses(torch.tensor([[[0.0, 2.0], [4.0, 0.0]], [[1.0, 1.0], [1.0, 1.0]]]))[0][0]
    tensor([[0.0000, 0.2500],
            [0.5000, 0.0000]])
    """
    n = W.shape[-1]
    identity = torch.eye(n, dtype=W.dtype, device=W.device).expand_as(W)
    rows = list(torch.cat([W, identity], 2).unbind(1))
    singular = torch.zeros(len(W), 1, dtype=torch.bool, device=W.device)
    for k in range(n):
        for i in range(k + 1, n):
            larger = rows[i][:, k : k + 1].abs() > rows[k][:, k : k + 1].abs()
            rows[k], rows[i] = torch.where(larger, rows[i], rows[k]), torch.where(larger, rows[k], rows[i])
        pivot = rows[k][:, k : k + 1]
        singular = singular | (pivot == 0)
        rows[k] = rows[k] / pivot
        for i in range(n):
            if i != k:
                rows[i] = rows[i] - rows[i][:, k : k + 1] * rows[k]
    return torch.stack([row[:, n:] for row in rows], 1), singular


def product(A: Tensor, b: Tensor) -> Tensor:
    """A b of each element, (batch, n, n) and (batch, n), likewise."""
    total = A[:, :, 0] * b[:, :1]
    for j in range(1, b.shape[1]):
        total = torch.addcmul(total, A[:, :, j], b[:, j : j + 1])
    return total
