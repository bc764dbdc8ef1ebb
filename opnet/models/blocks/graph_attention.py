"""`GraphAttention`: weights of a graph's edges computed from the signal on its nodes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from opnet.core.typing import Float
from opnet.linops.base import LinearOperator
from opnet.linops.dense import Dense
from opnet.linops.sparse import CSR


class GraphAttention(nn.Module):
    """`A_ij = 1/h sum_heads softmax_j( <K X_i, Q X_j> / sqrt(d) )` over the edges j of each node i.

    Rows sum to one; a node without edges has an empty row. Time and memory are linear in the edges.

    Args:
        features: features of X.
        heads: h.
        width: d, the length of keys and queries a head; by default features / heads, at least 1.

    Raises:
        ValueError: for no heads or no width.

    Source: Chamberlain et al., GRAND: Graph Neural Diffusion, 2021, section 4, arXiv 2106.10934, whose d_k is sqrt(d)
    here, as in Vaswani et al., arXiv 1706.03762, equation 1.
    """

    def __init__(self, features: int, heads: int, width: int | None = None) -> None:
        super().__init__()
        width = max(1, features // max(1, heads)) if width is None else width
        if heads < 1 or width < 1:
            raise ValueError(f"GraphAttention: expected at least one head and width 1, found {heads} and {width}")
        self.heads, self.width = heads, width
        self.key, self.query = (nn.Linear(features, heads * width) for _ in range(2))

    def forward(self, edges: CSR, X: Float[Tensor, "batch node feature"]) -> CSR:
        """The operator A, one for each signal of the batch, with the entries that `edges` has."""
        i, j = edges.row_index, edges.column_index.long()
        key, query = (
            linear(X).unflatten(-1, (self.heads, self.width))  # shape: (batch, node, head, width)
            for linear in (self.key, self.query)
        )
        scores = (key.index_select(1, i) * query.index_select(1, j)).sum(-1) * self.width**-0.5
        return edges.rebuild((_softmax_of_rows(scores, i, edges.shape[0]).mean(-1),))


def edges_of(shift: LinearOperator) -> CSR:
    """The edges of a graph: the entries that a CSR operator stores, or a dense one has other than zero.

    Raises:
        ValueError: for another operator, which knows no edges.

    >>> edges_of(Dense(torch.tensor([[0.0, 2.0], [1.0, 1.0]]))).column_index
    tensor([1, 0, 1], dtype=torch.int32)
    """
    if isinstance(shift, CSR):
        return shift
    if not isinstance(shift, Dense) or shift.batch_shape:
        raise ValueError(
            f"attention: expected a graph whose edges are known, a CSR or Dense, found {type(shift).__name__}"
        )
    i, j = torch.nonzero(shift.matrix, as_tuple=True)
    return CSR.from_entries(i, j, shift.matrix[i, j], shift.shape)


def _softmax_of_rows(scores: Tensor, row: Tensor, n: int) -> Tensor:
    """Softmax over the entries of each row.  # shape: (batch, entry, head)"""
    batch, _, heads = scores.shape
    index = row[None, :, None].expand_as(scores)
    largest = scores.new_zeros(batch, n, heads).scatter_reduce(1, index, scores.detach(), "amax", include_self=False)
    weights = torch.exp(scores - largest.index_select(1, row))
    return weights / weights.new_zeros(batch, n, heads).index_add(1, row, weights).index_select(1, row)
