"""`Factors`: matrices of a batch of operators, factorised, dense or sparse; a kernel may be bordered out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from opnet.linops.base import LinearOperator


class Factors(ABC):
    """A factorisation of every batch element of an operator.

    Attributes:
        basis: orthonormal vectors of the kernel of A and A^H that are bordered out, or None; (k, *in_shape).
        singular: elements that could not be factorised; (*batch_shape,).
        definite: whether `solve` is taken for a Hermitian positive definite map.
    """

    basis: Tensor | None
    singular: Tensor
    definite: bool

    @abstractmethod
    def solve(self, r: Tensor, adjoint: bool) -> Tensor:
        """A^-1 r or A^-H r, zero for singular elements.  # shape: (*batch, n) -> the same"""


class DenseFactors(Factors):
    """Cholesky factors if every element is Hermitian positive definite, else LU; of A + s N N^H with a kernel N.

    On right-hand sides orthogonal to N the sum has the inverse that A has on the complement of N, whatever s > 0.
    """

    def __init__(self, A: LinearOperator, basis: Tensor | None) -> None:
        self.basis, self.batch_shape = basis, A.batch_shape
        matrix = A.to_dense()
        if basis is not None:
            N = basis.flatten(1)
            size = matrix.diagonal(dim1=-2, dim2=-1).abs().mean(-1)[..., None, None]
            matrix = matrix + size * (N.mT @ N.conj())
        self.cholesky: Tensor | None = None
        if torch.equal(matrix, matrix.mH):
            factor, failed = torch.linalg.cholesky_ex(matrix)
            self.cholesky = None if bool(failed.any()) else factor
        self.definite = self.cholesky is not None
        if self.cholesky is None:
            self.lu, self.pivots, failed = torch.linalg.lu_factor_ex(matrix)
        self.singular = failed > 0

    def solve(self, r: Tensor, adjoint: bool) -> Tensor:
        # Batch dimensions that A has not are columns of one system.
        extra = r.ndim - 1 - len(self.batch_shape)
        columns = r.reshape(-1, *r.shape[extra:]).movedim(0, -1)
        if self.cholesky is not None:
            x = torch.cholesky_solve(columns, self.cholesky)
        else:
            x = torch.linalg.lu_solve(self.lu, self.pivots, columns, adjoint=adjoint)
            x = torch.where(self.singular[..., None, None], 0.0, x)
        return x.movedim(-1, 0).reshape(r.shape)


class SparseFactors(Factors):
    """SuperLU's factors of every element, bordered by a kernel N as [[A, N], [N^H, 0]]."""

    def __init__(self, A: Any, basis: Tensor | None) -> None:
        self.basis, self.batch_shape = basis, A.batch_shape
        matrices = [element.to_scipy() for element in elements(A)]
        symmetric = [bool(abs(M - M.T.conj()).max() == 0) for M in matrices]
        # Definiteness is not known before a solve finds it out: conjugate gradients then report BREAKDOWN.
        self.definite = basis is None and all(
            same and bool((M.diagonal().real > 0).all()) for same, M in zip(symmetric, matrices, strict=True)
        )
        self.border = 0 if basis is None else len(basis)
        self.factors = [
            _superlu(M if basis is None else _bordered(M, basis.flatten(1).numpy()), same)
            for M, same in zip(matrices, symmetric, strict=True)
        ]
        singular = torch.tensor([factor is None for factor in self.factors])
        self.singular = singular.reshape(A.batch_shape)

    def solve(self, r: Tensor, adjoint: bool) -> Tensor:
        count = len(self.factors)
        owner = torch.arange(count).reshape(self.batch_shape).expand(r.shape[:-1]).flatten()
        rows = torch.nn.functional.pad(r.reshape(-1, r.shape[-1]), (0, self.border))
        x = torch.zeros_like(rows)
        for i, factor in enumerate(self.factors):
            if factor is not None:
                mine = owner == i
                image = factor.solve(rows[mine].numpy().T, trans="H" if adjoint else "N")
                x[mine] = torch.from_numpy(image.T)
        return x[:, : r.shape[-1]].reshape(r.shape)


def elements(A: LinearOperator) -> list[Any]:
    """The operators of every batch element, in C order; for kinds whose tensors end with as many axes as A acts on."""
    if not A.batch_shape:
        return [A]
    depth, k = len(A.batch_shape), len(A.in_shape)
    flat = [t.expand(*A.batch_shape, *t.shape[t.ndim - k :]).flatten(0, depth - 1) for t in A.tensors]
    return [A.rebuild(parts) for parts in zip(*flat, strict=True)]


def _superlu(matrix: Any, symmetric: bool) -> Any:
    """SuperLU's object, or None for a singular or non-finite matrix."""
    import numpy as np
    from scipy.sparse import csc_array
    from scipy.sparse.linalg import splu

    matrix = csc_array(matrix)
    if not np.isfinite(matrix.data).all():
        return None
    options = {"SymmetricMode": True} if symmetric else {}
    try:
        # Any diagonal pivot above a thousandth of its column keeps the ordering; refinement makes up for growth.
        return splu(
            matrix,
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=1e-3 if symmetric else None,
            options=options,
        )
    except RuntimeError as error:
        if "singular" not in str(error):
            raise
        return None


def _bordered(matrix: Any, N: Any) -> Any:
    from scipy.sparse import block_array

    size = abs(matrix.diagonal()).mean()
    return block_array([[matrix, size * N.T], [size * N.conj(), None]])
