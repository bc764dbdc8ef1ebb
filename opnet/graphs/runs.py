"""`Runs`: for each of many rows a union of intervals; `RunSum`: sums over the columns that lie in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.linops.base import LinearOperator
from opnet.linops.sparse import CSR


@dataclass(frozen=True)
class Runs:
    """Disjoint ascending intervals [low, high) in each of m rows, row after row.

    Args:
        start: where each row begins in `low` and `high`, ascending from 0 to the number of runs; (m + 1,), int64.
        low, high: the ends, low < high: positions (float64) or columns (int64); (runs,).

    Raises:
        ValueError: for arrays that do not describe such intervals.

    >>> runs = Runs.union(torch.tensor([1, 0, 1]), torch.tensor([4, 2, 0]), torch.tensor([6, 3, 4]), 2)
    >>> runs.start.tolist(), runs.low.tolist(), runs.high.tolist()
    ([0, 1, 2], [2, 0], [3, 6])
    """

    start: Tensor
    low: Tensor
    high: Tensor

    def __post_init__(self) -> None:
        start, low, high = self.start, self.low, self.high
        if low.ndim != 1 or low.shape != high.shape or low.dtype != high.dtype:
            raise ValueError(
                f"Runs: expected as many low as high ends of one dtype, found {tuple(low.shape)} of {low.dtype} and "
                f"{tuple(high.shape)} of {high.dtype}"
            )
        if low.dtype not in (torch.float64, torch.int64):
            raise ValueError(f"Runs: expected positions in float64 or columns in int64, found {low.dtype}")
        ascending = start.ndim == 1 and len(start) > 0 and not bool((start.diff() < 0).any())
        if not ascending or int(start[0]) != 0 or int(start[-1]) != len(low):
            raise ValueError(f"Runs.start: expected ascending offsets from 0 to {len(low)}")
        if not bool((low < high).all()):
            raise ValueError("Runs: expected low < high in every run")
        # Only neighbours in one row have to ascend.
        fine = low[1:] >= high[:-1]
        first = start[1:-1]
        fine[first[(first > 0) & (first < len(low))] - 1] = True
        if not bool(fine.all()):
            raise ValueError("Runs: expected disjoint ascending runs in every row, found some that overlap")

    @classmethod
    def union(cls, row: Tensor, low: Tensor, high: Tensor, rows: int, *, gap: float = 0) -> Runs:
        """The union of intervals [low, high) in any order; those with low >= high are empty.

        Args:
            row: the row of each interval, in 0 ... rows - 1; (intervals,).
            gap: intervals of a row that are this near to each other are joined.
        """
        some = low < high
        if not bool(some.all()):
            row, low, high = row[some], low[some], high[some]
        if len(low) == 0:
            return cls(torch.zeros(rows + 1, dtype=torch.int64), low, high)
        order = _by_row(row, low)
        row, low, high = row[order], low[order], high[order]
        reach = _running_maximum(row, high)
        first = torch.ones(len(row), dtype=torch.bool)
        first[1:] = (row[1:] != row[:-1]) | (low[1:] > reach[:-1] + gap)
        last = torch.ones_like(first)
        last[:-1] = first[1:]
        return cls(_offsets(row[first], rows), low[first], reach[last])

    @classmethod
    def stack(cls, parts: Sequence[Runs]) -> Runs:
        """The rows of all parts, one part below the other."""
        counts = torch.cat([part.start.diff() for part in parts])
        start = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        return cls(start, torch.cat([part.low for part in parts]), torch.cat([part.high for part in parts]))

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.start) - 1

    @property
    def row(self) -> Tensor:
        """The row of each run."""
        return torch.repeat_interleave(torch.arange(self.rows), self.start.diff())

    @property
    def total(self) -> Tensor:
        """What the runs of each row measure together; (m,)."""
        lengths = self.high - self.low
        return lengths.new_zeros(self.rows).index_add(0, self.row, lengths)

    def cover(self, row: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Whether [low, high) of each row lies in one run of it; columns only.  # shape: (k,), (k,), (k,) -> (k,)"""
        assert not self.low.is_floating_point(), "cover() needs columns"
        if len(self.low) == 0:
            return torch.zeros(len(row), dtype=torch.bool)
        width = max(int(self.high.max()), int(high.max()) if len(high) else 0) + 1
        key = self.row * width + self.low
        before = torch.searchsorted(key, row * width + low, right=True) - 1
        run = before.clamp(min=0)
        return (before >= self.start[row]) & (high <= self.high[run])

    def without(self, column: Tensor) -> Runs:
        """The same columns except one of each row.  # shape: (m,) -> Runs"""
        row = self.row
        gone = column[row]
        cut = (self.low <= gone) & (gone < self.high)
        low = torch.cat([self.low, gone[cut] + 1])
        high = torch.cat([torch.where(cut, gone, self.high), self.high[cut]])
        return Runs.union(torch.cat([row, row[cut]]), low, high, self.rows)


@register("operator", "RunSum")
class RunSum(LinearOperator):
    """`y_i = l_i sum over the runs of row i of sum_{low <= j < high} w_j g_j` in O(n + runs), by prefix sums.

    With `P_k = sum_{j<k} w_j g_j` it is `y = l D P`, D the sparse differences P_high - P_low; the transpose is
    `y = w C^T D^T l g`, C the prefix sums. The sums accumulate in float64 whatever the dtype: digits are lost relative
    to the largest P_k only.

    Args:
        runs: of integer columns in 0 ... n.
        weights: w, shape (n,); its dtype is the operator's.
        left: l, one a row; 1 by default.
        order: the columns of g in the order that the runs count them, where it is another; (n,).

    Raises:
        ValueError: for runs of positions, weights that do not fit, or a dtype that is not floating.

    >>> runs = Runs.union(torch.tensor([0, 1]), torch.tensor([0, 1]), torch.tensor([2, 3]), 2)
    >>> RunSum(runs, torch.ones(3, dtype=torch.float64)).to_dense()
    tensor([[1., 1., 0.],
            [0., 1., 1.]], dtype=torch.float64)
    """

    def __init__(self, runs: Runs, weights: Tensor, left: Tensor | None = None, *, order: Tensor | None = None) -> None:
        if runs.low.is_floating_point():
            raise ValueError("RunSum.runs: expected integer columns, found positions")
        if weights.ndim != 1 or not weights.dtype.is_floating_point:
            raise ValueError(
                f"RunSum.weights: expected floating numbers (n,), found {tuple(weights.shape)} of {weights.dtype}"
            )
        left = weights.new_ones(runs.rows) if left is None else left
        if tuple(left.shape) != (runs.rows,) or left.dtype != weights.dtype:
            raise ValueError(
                f"RunSum.left: expected {runs.rows} numbers of {weights.dtype}, one a row, found {tuple(left.shape)} "
                f"of {left.dtype}"
            )
        n = len(weights)
        if len(runs.low) and (int(runs.low.min()) < 0 or int(runs.high.max()) > n):
            raise ValueError(
                f"RunSum.runs: expected columns in 0 ... {n}, found {runs.low.min()} ... {runs.high.max()}"
            )
        if order is not None and not torch.equal(order.sort().values.cpu(), torch.arange(n)):
            raise ValueError(f"RunSum.order: expected each of 0 ... {n - 1} once")
        index = torch.int32 if 2 * len(runs.low) <= torch.iinfo(torch.int32).max else torch.int64
        ends = torch.stack([runs.low.to(index), runs.high.to(index)], -1).reshape(-1)
        signs = torch.tensor([-1.0, 1.0], dtype=torch.float64).repeat(len(runs.low))
        differences = CSR((2 * runs.start).to(index), ends, signs, (runs.rows, n + 1)).to(weights.device)
        self._hold(differences, weights, left, order, transposed=False)

    def _hold(self, differences: CSR, w: Tensor, left: Tensor, order: Tensor | None, *, transposed: bool) -> None:
        # Of the transpose, `differences` is D^T.
        self.differences, self.w, self.left, self.order, self.transposed = differences, w, left, order, transposed
        self.rank_of = None if order is None or not transposed else torch.argsort(order)
        shapes = (len(w),), (len(left),)
        self.in_shape, self.out_shape = reversed(shapes) if transposed else shapes
        self.dtype, self.device = w.dtype, w.device

    def apply(self, x: Tensor) -> Tensor:
        self.check_argument(x)
        return self.columns(x.unsqueeze(-1)).squeeze(-1)

    def columns(self, x: Tensor) -> Tensor:
        w, left = self.w.to(torch.float64)[:, None], self.left.to(torch.float64)[:, None]
        if self.transposed:
            # The sum of z over all k is zero, so its sum over k > j is minus that over k <= j.
            z = self.differences.columns(left * x)
            y = -torch.cumsum(z[..., :-1, :], -2)
            y = w * (y if self.rank_of is None else y[..., self.rank_of, :])
        else:
            g = w * x
            P = torch.cumsum(g if self.order is None else g[..., self.order, :], -2)
            y = left * self.differences.columns(torch.nn.functional.pad(P, (0, 0, 1, 0)))
        return y.to(self.dtype)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return self.w, self.left

    def rebuild(self, tensors: tuple[Tensor, ...]) -> RunSum:
        return self._with(self.differences, tensors[0], tensors[1], self.order, transposed=self.transposed)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> RunSum:
        w, left = (t.to(device, dtype) for t in self.tensors)
        order = None if self.order is None else self.order.to(device)
        return self._with(self.differences.to(device), w, left, order, transposed=self.transposed)

    def scaled(self, left: Tensor, right: Tensor) -> RunSum:
        if self.transposed:
            left, right = right, left
        return self.rebuild((self.w * right, self.left * left))

    def transpose(self) -> RunSum:
        differences = self.differences.transpose()
        return self._with(differences, self.w, self.left, self.order, transposed=not self.transposed)

    @classmethod
    def _with(cls, differences: CSR, w: Tensor, left: Tensor, order: Tensor | None, *, transposed: bool) -> RunSum:
        operator = cls.__new__(cls)
        operator._hold(differences, w, left, order, transposed=transposed)
        return operator

    def diagonal(self) -> Tensor:
        if self.shape[0] != self.shape[1]:
            raise ValueError(f"RunSum.diagonal: expected a square operator, found {self.shape[0]} x {self.shape[1]}")
        D = self.differences
        row, end = (D.column_index, D.row_index) if self.transposed else (D.row_index, D.column_index)
        place = torch.arange(len(self.w), device=self.device) if self.order is None else torch.argsort(self.order)
        # Of the signs at the ends up to j, those of runs before j cancel.
        signs = torch.where(end <= place[row.long()], -D.values, 0.0)
        return self.left * self.w * signs.new_zeros(len(self.w)).index_add(0, row.long(), signs).to(self.dtype)


def _by_row(row: Tensor, value: Tensor) -> Tensor:
    """The permutation that sorts by row, then by value."""
    if not value.is_floating_point() and len(value):
        return torch.argsort(row * (int(value.max()) + 1) + value)
    order = torch.argsort(value)
    return order[torch.argsort(row[order], stable=True)]


def _running_maximum(row: Tensor, value: Tensor) -> Tensor:
    """The largest value so far in each row; rows ascend."""
    if bool(((row[1:] != row[:-1]) | (value[1:] >= value[:-1])).all()):
        return value
    if not value.is_floating_point():
        offset = row * (int(value.max()) + 1)
        return (value + offset).cummax(0).values - offset
    # Ranks, which are exact, ascend from row to row as well.
    order = _by_row(row, value)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order))
    return value[order[rank.cummax(0).values]]


def _offsets(row: Tensor, rows: int) -> Tensor:
    counts = torch.bincount(row, minlength=rows)
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])
