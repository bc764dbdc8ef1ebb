"""`CSR`: an operator on one axis, stored in compressed sparse rows."""

from __future__ import annotations

import warnings
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.core.typing import Inexact
from opnet.linops.base import LinearOperator

# Unknowns from which vectors of a CPU are multiplied one by one: torch's product with several of them then costs up to
# five times as much, because its operands no longer stay in the cache. Below, one product saves the calls.
ONE_BY_ONE = 4096


@register("operator", "CSR")
class CSR(LinearOperator):
    """A sparse matrix, `(A x)_i = sum over the stored j of A_ij x_j`.

    Args:
        rows: where each row begins in `columns` and `values`; ascending from 0 to the number of entries; (m + 1,).
        columns: the column of each entry; (entries,).
        values: the entries; (*batch, entries), one pattern for the whole batch. Entries with equal indices add up.
            Indices of either integer type are kept as int32 where they fit.
        shape: (m, n).

    Raises:
        ValueError: for arrays that do not describe a matrix of that shape, or a dtype that is neither
            floating nor complex.

    >>> import scipy.sparse
    >>> A = CSR.from_scipy(scipy.sparse.eye(3, format="csr"))
    >>> A @ torch.arange(3, dtype=torch.float64)
    tensor([0., 1., 2.], dtype=torch.float64)
    """

    def __init__(self, rows: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> None:
        m, n = int(shape[0]), int(shape[1])
        _check_structure(rows, columns, values, m, n)
        self._hold(rows, columns, values, m, n)

    def _hold(self, rows: Tensor, columns: Tensor, values: Tensor, m: int, n: int) -> None:
        # torch's products convert indices of 64 bits anew each time.
        index = torch.int32 if max(m, n, len(columns)) <= torch.iinfo(torch.int32).max else torch.int64
        self.row_start, self.column_index, self.values = rows.to(index), columns.to(index), values
        self.out_shape, self.in_shape, self.batch_shape = (m,), (n,), tuple(values.shape[:-1])
        self.dtype, self.device = values.dtype, values.device
        if not self.batch_shape:
            with warnings.catch_warnings():  # torch announces on first use that its sparse layouts may still change
                warnings.filterwarnings("ignore", message="Sparse CSR tensor support", category=UserWarning)
                self.matrix = torch.sparse_csr_tensor(
                    self.row_start, self.column_index, values.detach(), (m, n), check_invariants=False
                )

    @cached_property
    def row_index(self) -> Tensor:
        """The row of each entry."""
        return torch.repeat_interleave(torch.arange(self.shape[0], device=self.device), self.row_start.diff())

    @classmethod
    def from_scipy(cls, matrix: Any, dtype: torch.dtype | None = None, device: Any = None) -> CSR:
        """The operator of any SciPy sparse matrix or array; float64 or complex128 by default.

        Raises:
            ValueError: for a real dtype asked of a complex matrix, or an integer one.
        """
        csr = matrix.tocsr()
        is_complex = np.iscomplexobj(csr.data)
        dtype = dtype or (torch.complex128 if is_complex else torch.float64)
        if is_complex and not dtype.is_complex:
            raise ValueError(f"CSR.from_scipy: expected a complex dtype for a complex matrix, found {dtype}")
        index = [torch.as_tensor(part, device=device) for part in (csr.indptr, csr.indices)]
        return cls(index[0], index[1], torch.as_tensor(csr.data).to(dtype=dtype, device=device), csr.shape)

    @classmethod
    def from_entries(cls, row: Tensor, column: Tensor, values: Tensor, shape: tuple[int, int]) -> CSR:
        """The operator of entries in any order, (row, column, value) one an entry; equal indices add up.

        >>> CSR.from_entries(torch.tensor([1, 0]), torch.tensor([0, 1]), torch.tensor([2.0, 3.0]), (2, 2)).to_dense()
        tensor([[0., 3.],
                [2., 0.]])
        """
        order = torch.argsort(row * shape[1] + column)
        start = torch.cat([row.new_zeros(1), torch.bincount(row, minlength=shape[0]).cumsum(0)])
        return cls(start, column[order], values[order], shape)

    def to_scipy(self) -> Any:
        """The same matrix as a `scipy.sparse.csr_array`; not batched."""
        from scipy.sparse import csr_array

        if self.batch_shape:
            raise ValueError(f"CSR.to_scipy: expected one matrix, found a batch of {self.batch_shape}")
        arrays = [part.detach().cpu().numpy() for part in (self.values, self.column_index, self.row_start)]
        return csr_array(tuple(arrays), shape=self.shape)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return (self.values,)

    def rebuild(self, tensors: tuple[Tensor, ...]) -> CSR:
        return self._with(self.row_start, self.column_index, tensors[0], self.shape)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> CSR:
        moved = super().to(device, dtype)
        return self._with(self.row_start.to(device), self.column_index.to(device), moved.values, self.shape)

    @classmethod
    def _with(cls, rows: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> CSR:
        operator = cls.__new__(cls)
        operator._hold(rows, columns, values, *shape)
        return operator

    def apply(self, x: Inexact[Tensor, "*batch n"]) -> Inexact[Tensor, "*batch_out m"]:
        self.check_argument(x)
        if self._entrywise:
            return self.columns(x.unsqueeze(-1)).squeeze(-1)
        vectors = x.reshape(-1, self.in_shape[0])
        if self._one_by_one(vectors, len(vectors)):
            products = [self.matrix @ vector for vector in vectors]
            images = torch.stack(products) if len(products) > 1 else products[0]
        else:
            images = self._times(vectors.mT).mT
        return images.reshape(*x.shape[:-1], *self.out_shape)

    def columns(self, x: Inexact[Tensor, "*batch n k"]) -> Inexact[Tensor, "*batch_out m k"]:
        """A applied to every column of `x`, for the whole batch together."""
        if self._entrywise:
            # Of 64 bits: sums at indices of 32, which its gradient takes, are many times slower.
            products = self.values.unsqueeze(-1) * x.index_select(-2, self.column_index.long())
            return _row_sums(products, self.row_index, self.shape[0])
        if self._one_by_one(x, x.numel() // max(1, self.in_shape[0])):
            return self.apply(x.mT).mT
        if x.ndim == 2:
            return self._times(x)
        side_by_side = x.movedim(-2, 0)  # shape: (n, *batch, k)
        product = self._times(side_by_side.reshape(len(side_by_side), -1))
        return product.reshape(self.out_shape[0], *side_by_side.shape[1:]).movedim(0, -2)

    def _one_by_one(self, x: Tensor, count: int) -> bool:
        """Whether to multiply the `count` vectors in x one by one; a single one always is."""
        if x.requires_grad and torch.is_grad_enabled():
            return False  # a gradient for every product
        return count == 1 or (count > 1 and self.device.type == "cpu" and self.in_shape[0] >= ONE_BY_ONE)

    def _times(self, x: Tensor) -> Tensor:
        """A x for a matrix x."""
        return _Product.apply(x, self) if x.requires_grad and torch.is_grad_enabled() else self.matrix @ x

    @cached_property
    def _adjoint(self) -> CSR:
        """A^H, for gradients."""
        adjoint = self.adjoint()
        assert isinstance(adjoint, CSR)
        adjoint.__dict__["_adjoint"] = self
        return adjoint

    @property
    def _entrywise(self) -> bool:
        """Whether to sum products of single entries: torch's own gradient to a sparse matrix is dense on the way."""
        return bool(self.batch_shape) or (self.values.requires_grad and torch.is_grad_enabled())

    def transpose(self) -> CSR:
        order = torch.argsort(self.column_index, stable=True)
        counts = torch.bincount(self.column_index, minlength=self.shape[1])
        start = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        return self._with(start, self.row_index[order], self.values[..., order], (self.shape[1], self.shape[0]))

    def scaled(self, left: Tensor, right: Tensor) -> CSR:
        return self.rebuild((left[self.row_index] * self.values * right[self.column_index],))

    def diagonal(self) -> Tensor:
        on_diagonal = self.row_index == self.column_index
        entries = self.values[..., on_diagonal].unsqueeze(-1)
        return _row_sums(entries, self.row_index[on_diagonal], self.shape[0]).squeeze(-1)


class _Product(torch.autograd.Function):
    """A x with the gradient A^H g; torch's own sorts the entries anew for each."""

    @staticmethod
    def forward(x: Tensor, A: CSR) -> Tensor:
        return A.matrix @ x

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, CSR], output: Tensor) -> None:
        ctx.A = inputs[1]

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        return ctx.A._adjoint._times(g), None


def _row_sums(entries: Tensor, row: Tensor, m: int) -> Tensor:
    """Sums of the entries of each row.  # shape: (*batch, entries, k) -> (*batch, m, k)"""
    return entries.new_zeros(*entries.shape[:-2], m, entries.shape[-1]).index_add(-2, row, entries)


def _check_structure(rows: Tensor, columns: Tensor, values: Tensor, m: int, n: int) -> None:
    if not (values.dtype.is_floating_point or values.dtype.is_complex):
        raise ValueError(f"CSR.values: expected a floating or complex dtype, found {values.dtype}")
    if columns.ndim != 1 or values.shape[-1:] != columns.shape:
        raise ValueError(
            f"CSR: expected as many values as columns, found {tuple(values.shape)} and {tuple(columns.shape)}"
        )
    if len(rows) != m + 1 or int(rows[0]) != 0 or int(rows[-1]) != len(columns) or bool((rows.diff() < 0).any()):
        raise ValueError(f"CSR.rows: expected {m + 1} ascending offsets from 0 to {len(columns)}")
    if len(columns) and (int(columns.min()) < 0 or int(columns.max()) >= n):
        raise ValueError(f"CSR.columns: expected indices in 0 ... {n - 1}, found {columns.min()} ... {columns.max()}")
