"""`CSR`: an operator on one axis, stored in compressed sparse rows."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.core.typing import Float
from opnet.linops.base import LinearOperator


@register("operator", "CSR")
class CSR(LinearOperator):
    """A sparse matrix, `(A x)_i = sum over the stored j of A_ij x_j`.

    Args:
        rows: where each row begins in `columns` and `values`; ascending from 0 to the number of entries; (m + 1,).
        columns: the column of each entry; (entries,).
        values: the entries; (entries,). Entries with equal indices add up.
        shape: (m, n).

    Raises:
        ValueError: for arrays that do not describe a matrix of that shape, or a dtype that is not floating.

    >>> import scipy.sparse
    >>> A = CSR.from_scipy(scipy.sparse.eye(3, format="csr"))
    >>> A @ torch.arange(3, dtype=torch.float64)
    tensor([0., 1., 2.], dtype=torch.float64)
    """

    def __init__(
        self,
        rows: Tensor,
        columns: Tensor,
        values: Tensor,
        shape: tuple[int, int],
    ) -> None:
        m, n = int(shape[0]), int(shape[1])
        _check_structure(rows, columns, values, m, n)
        self.column_index, self.values = columns, values
        with warnings.catch_warnings():  # torch announces on first use that its sparse layouts may still change
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support", category=UserWarning)
            self.matrix = torch.sparse_csr_tensor(rows, columns, values, (m, n), check_invariants=False)
        self.row_start = rows
        self.out_shape, self.in_shape = (m,), (n,)
        self.dtype, self.device = values.dtype, values.device

    @classmethod
    def from_scipy(cls, matrix: Any, dtype: torch.dtype = torch.float64, device: Any = None) -> CSR:
        """The operator of any SciPy sparse matrix or array."""
        csr = matrix.tocsr()
        index = [torch.as_tensor(np.asarray(part, dtype=np.int64), device=device) for part in (csr.indptr, csr.indices)]
        return cls(index[0], index[1], torch.as_tensor(csr.data).to(dtype=dtype, device=device), csr.shape)

    def to_scipy(self) -> Any:
        """The same matrix as a `scipy.sparse.csr_array`."""
        from scipy.sparse import csr_array

        arrays = [part.detach().cpu().numpy() for part in (self.values, self.column_index, self.row_start)]
        return csr_array(tuple(arrays), shape=self.shape)

    def apply(self, x: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch m"]:
        self.check_argument(x)
        vectors = x.reshape(-1, self.in_shape[0])
        return self.columns(vectors.mT).mT.reshape(*x.shape[:-1], *self.out_shape)

    def columns(self, x: Float[Tensor, "*batch n k"]) -> Float[Tensor, "*batch m k"]:
        """A applied to every column of `x`: one sparse product for the whole batch."""
        if x.ndim == 2:
            return self.matrix @ x
        side_by_side = x.movedim(-2, 0)  # shape: (n, *batch, k)
        product = self.matrix @ side_by_side.reshape(len(side_by_side), -1)
        return product.reshape(self.out_shape[0], *side_by_side.shape[1:]).movedim(0, -2)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> CSR:
        index = self.row_start.to(device), self.column_index.to(device)
        return CSR(*index, self.values.to(device, dtype), self.shape)

    def transpose(self) -> CSR:
        m, n = self.shape
        row = torch.repeat_interleave(torch.arange(m, device=self.device), self.row_start.diff())
        order = torch.argsort(self.column_index, stable=True)
        counts = torch.bincount(self.column_index, minlength=n)
        start = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        return CSR(start, row[order], self.values[order], (n, m))

    def diagonal(self) -> Tensor:
        row = torch.repeat_interleave(torch.arange(self.shape[0], device=self.device), self.row_start.diff())
        on_diagonal = row == self.column_index
        zero = torch.zeros(self.out_shape, dtype=self.dtype, device=self.device)
        return zero.index_add(0, row[on_diagonal], self.values[on_diagonal])


def _check_structure(rows: Tensor, columns: Tensor, values: Tensor, m: int, n: int) -> None:
    if not values.dtype.is_floating_point:
        raise ValueError(f"CSR.values: expected a floating dtype, found {values.dtype}")
    if values.shape != columns.shape:
        raise ValueError(f"CSR: expected as many values as columns, found {len(values)} and {len(columns)}")
    if len(rows) != m + 1 or int(rows[0]) != 0 or int(rows[-1]) != len(columns) or bool((rows.diff() < 0).any()):
        raise ValueError(f"CSR.rows: expected {m + 1} ascending offsets from 0 to {len(columns)}")
    if len(columns) and (int(columns.min()) < 0 or int(columns.max()) >= n):
        raise ValueError(f"CSR.columns: expected indices in 0 ... {n - 1}, found {columns.min()} ... {columns.max()}")
