"""`Stencil`: a linear operator that couples every node of a grid with its nearest neighbours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor

from opnet.core.expect import expect
from opnet.core.registry import register
from opnet.linops.base import LinearOperator, joint_batch

Offset = tuple[int, ...]


@register("operator", "Stencil")
class Stencil(LinearOperator):
    r"""Each node's value times a coefficient, plus each neighbour's times another.

    .. math:: (A x)_p = \sum_q c_q(p) x_{p+q}, \qquad q \in \{-1, 0, 1\}^d

    Neighbours beyond the end of an axis that is not periodic are zero; periodic axes wrap, and on one of 1 or 2 nodes
    the offsets -1 and 1 name the same neighbour, whose coefficients add up.

    A symmetric stencil has c_{-q}(p) = c_q(p - q), so that half of the coefficients are stored and read: of two
    opposite offsets the one whose first non-zero entry is 1.

    Args:
        coefficients: c_q by offset q; (*batch, *grid) each, batches that broadcast; absent ones are zero. Some are
            kept, not copied: they are not to be changed in place afterwards.
        periodic: whether each axis wraps.
        symmetric: say so where A^T = A. Of opposite offsets either may then be left out, and one is not looked at.

    Attributes:
        periodic: whether each axis wraps.
        coefficients: c_q of every offset that may differ from zero, zero where the neighbour is beyond an end.

    Raises:
        ValueError: for offsets that are not of -1, 0 and 1, one an axis, or coefficients that do not fit together.

    >>> row = torch.ones(4)
    >>> Stencil({(0,): 2 * row, (1,): -row}, [False], symmetric=True).to_dense()
    tensor([[ 2., -1.,  0.,  0.],
            [-1.,  2., -1.,  0.],
            [ 0., -1.,  2., -1.],
            [ 0.,  0., -1.,  2.]])
    """

    self_contained = True

    def __init__(
        self, coefficients: Mapping[Offset, Tensor], periodic: Sequence[bool], *, symmetric: bool = False
    ) -> None:
        periodic = tuple(bool(wraps) for wraps in periodic)
        _check(coefficients, periodic)
        kept = {}
        for q, c in coefficients.items():
            if symmetric and q < _opposite(q):
                if _opposite(q) in coefficients:
                    continue
                q, c = _opposite(q), shifted(c, _opposite(q), periodic)
            kept[q] = _inside(c, q, periodic)
        self._hold(kept, periodic, symmetric)

    @classmethod
    def of_half(cls, half: dict[Offset, Tensor], periodic: Sequence[bool]) -> Stencil:
        """The symmetric stencil of the half that it stores, zero beyond the ends; neither checked nor copied."""
        stencil = cls.__new__(cls)
        stencil._hold(half, tuple(periodic), True)
        return stencil

    def _hold(self, kept: dict[Offset, Tensor], periodic: tuple[bool, ...], symmetric: bool) -> None:
        self.periodic, self.symmetric, self._kept = periodic, symmetric, kept
        d, first = len(periodic), next(iter(kept.values()))
        self.in_shape = self.out_shape = tuple(first.shape[first.ndim - d :])
        self.batch_shape = joint_batch("Stencil", *(c.shape[: c.ndim - d] for c in kept.values()))
        self.dtype, self.device = first.dtype, first.device
        centre = kept.get((0,) * d)
        self._centre = None if centre is None else centre.expand(*self.batch_shape, *self.in_shape)
        self._couplings = [
            (c[rows], rows, columns)
            for q, c in kept.items()
            if any(q)
            for rows, columns in _pairs(q, self.in_shape, periodic)
        ]

    @property
    def coefficients(self) -> dict[Offset, Tensor]:
        if not self.symmetric:
            return dict(self._kept)
        opposite = {_opposite(q): shifted(c, _opposite(q), self.periodic) for q, c in self._kept.items() if any(q)}
        return {**self._kept, **opposite}

    @property
    def half(self) -> dict[Offset, Tensor]:
        """The coefficients that are stored: half of a symmetric stencil's, all of another's."""
        return dict(self._kept)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return tuple(self._kept.values())

    def rebuild(self, tensors: tuple[Tensor, ...]) -> Stencil:
        stencil = Stencil.__new__(Stencil)
        stencil._hold(dict(zip(self._kept, tensors, strict=True)), self.periodic, self.symmetric)
        return stencil

    def apply(self, x: Tensor) -> Tensor:
        self.check_argument(x)
        if self._centre is None:
            y = x.new_zeros(torch.broadcast_shapes((*self.batch_shape, *self.in_shape), x.shape))
        else:
            y = self._centre * x
        for c, rows, columns in self._couplings:
            y[rows].addcmul_(c, x[columns])
            if self.symmetric:
                y[columns].addcmul_(c, x[rows])
        return y

    def transpose(self) -> Stencil:
        if self.symmetric:
            return self
        return Stencil(
            {_opposite(q): shifted(c, _opposite(q), self.periodic) for q, c in self._kept.items()}, self.periodic
        )

    def diagonal(self) -> Tensor:
        """The centre, and the neighbours that are the node itself, on periodic axes of one node."""
        wraps = [n == 1 and periodic for n, periodic in zip(self.in_shape, self.periodic, strict=True)]
        total = torch.zeros(*self.batch_shape, *self.in_shape, dtype=self.dtype, device=self.device)
        for q, c in self._kept.items():
            if all(itself or not step for step, itself in zip(q, wraps, strict=True)):
                total = total + (2 * c if self.symmetric and any(q) else c)
        return total

    def norm_bound(self) -> Tensor | None:
        """The largest entry, which ||A||_2 exceeds at most 3^d-fold; None where neighbours are one node."""
        if any(wraps and n <= 2 for n, wraps in zip(self.in_shape, self.periodic, strict=True)):
            return None
        dims = tuple(range(-len(self.in_shape), 0))
        largest = [c.abs().amax(dims) if c.is_complex() else c.amax(dims).maximum(-c.amin(dims)) for c in self.tensors]
        return torch.stack([size.expand(self.batch_shape) for size in largest]).amax(0)

    def to_scipy(self) -> Any:
        """The same matrix as a `scipy.sparse.csr_array` without stored zeros, unknowns in C order; not batched."""
        from scipy.sparse import coo_array

        if self.batch_shape:
            raise ValueError(f"Stencil.to_scipy: expected one matrix, found a batch of {self.batch_shape}")
        index = torch.arange(self.shape[0]).reshape(self.in_shape)
        entries = [
            (c[rows].detach().cpu(), index[rows], index[columns])
            for q, c in self.coefficients.items()
            for rows, columns in _pairs(q, self.in_shape, self.periodic)
        ]
        values, i, j = (torch.cat([part.flatten() for part in parts]).numpy() for parts in zip(*entries, strict=True))
        matrix = coo_array((values, (i, j)), shape=self.shape).tocsr()
        matrix.eliminate_zeros()
        return matrix


def shifted(c: Tensor, q: Offset, periodic: Sequence[bool]) -> Tensor:
    """The field p -> c(p + q), zero where p + q is beyond the end of an axis that is not periodic."""
    dims = range(-len(q), 0)
    return _inside(torch.roll(c, _opposite(q), tuple(dims)), q, periodic)


def _inside(c: Tensor, q: Offset, periodic: Sequence[bool]) -> Tensor:
    """c, but zero at the nodes p whose neighbour p + q is beyond an end."""
    ends = [(axis, step) for axis, step in enumerate(q) if step and not periodic[axis]]
    if ends:
        c = c.clone()
    for axis, step in ends:
        c.select(axis - len(q), -1 if step > 0 else 0).zero_()
    return c


def _opposite(q: Offset) -> Offset:
    return tuple(-step for step in q)


def _pairs(q: Offset, shape: tuple[int, ...], periodic: Sequence[bool]) -> Iterator[tuple[Any, Any]]:
    """Index pairs of equal boxes: nodes p, and their neighbours p + q on the grid or around it."""
    choices = []
    for step, n, wraps in zip(q, shape, periodic, strict=True):
        if step == 0:
            choices.append([(slice(None), slice(None))])
            continue
        near, far = (slice(0, n - 1), slice(1, n)), (slice(n - 1, n), slice(0, 1))
        pairs = ([near] if n > 1 else []) + ([far] if wraps else [])
        choices.append(pairs if step > 0 else [(b, a) for a, b in pairs])
    for box in product(*choices):
        rows, columns = zip(*box, strict=True)
        yield (..., *rows), (..., *columns)


def _check(coefficients: Mapping[Offset, Tensor], periodic: tuple[bool, ...]) -> None:
    d = len(periodic)
    for q, c in coefficients.items():
        if len(q) != d or any(step not in (-1, 0, 1) for step in q):
            raise ValueError(f"Stencil.coefficients: expected offsets of {d} numbers -1, 0 or 1, found {q}")
        expect(f"Stencil.coefficients[{q}]", c, Tensor, "a Tensor")
    kinds = {(c.dtype, tuple(c.shape[max(0, c.ndim - d) :])) for c in coefficients.values()}
    if len(kinds) != 1 or any(c.ndim < d for c in coefficients.values()):
        raise ValueError(
            f"Stencil.coefficients: expected tensors of one dtype and shape (..., {d} axes), at least one, found "
            f"{', '.join(f'{tuple(c.shape)} of {c.dtype}' for c in coefficients.values()) or 'none'}"
        )
    dtype = next(iter(kinds))[0]
    if not (dtype.is_floating_point or dtype.is_complex):
        raise ValueError(f"Stencil.coefficients: expected a floating or complex dtype, found {dtype}")
