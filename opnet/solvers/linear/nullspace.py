"""Kernels of singular operators: made orthonormal, checked, and the part of b that no A x can reach."""

from __future__ import annotations

import torch
from torch import Tensor

from opnet.core.expect import expect
from opnet.linops.base import LinearOperator
from opnet.solvers.linear.base import components
from opnet.solvers.linear.vectors import divisor, norms
from opnet.solvers.linear.verify import operator_norm

ROUNDINGS = 100  # unit roundoffs that ||A n|| / (||A|| ||n||) may be for n to be in the kernel


def kernel(A: LinearOperator, nullspace: Tensor | None) -> Tensor | None:
    """An orthonormal basis of `nullspace`, or of what A declares; None if there is neither.

    Raises:
        ValueError: if a given vector is not in the kernel of A and A^H, or the vectors are linearly dependent.
    """
    basis = A.nullspace() if nullspace is None else nullspace
    if basis is None:
        return None
    expect("solve_linear: nullspace", basis, Tensor, "a Tensor")
    if tuple(basis.shape[1:]) != A.in_shape or basis.ndim != len(A.in_shape) + 1 or not 0 < len(basis) < A.shape[0]:
        raise ValueError(
            f"solve_linear: nullspace: expected shape (k, {', '.join(map(str, A.in_shape))}) with k > 0, "
            f"found {tuple(basis.shape)}"
        )
    basis = basis.detach().to(A.device, A.dtype)
    Q, R = torch.linalg.qr(basis.flatten(1).mT)
    pivots = R.diagonal().abs()
    eps = torch.finfo(A.dtype).eps
    if not bool(pivots.min() > ROUNDINGS * eps * pivots.max()):
        raise ValueError("solve_linear: nullspace: expected linearly independent finite vectors")
    orthonormal = Q.mT.reshape(basis.shape).contiguous()
    if nullspace is not None:
        _check(A, orthonormal, eps)
    return orthonormal


def unreachable(b: Tensor, basis: Tensor, A: LinearOperator) -> Tensor:
    """||N N^H b|| / ||b|| of every batch element: 0 for a consistent system."""
    return torch.linalg.vector_norm(components(b, basis), dim=-1) / divisor(norms(b, A))


def _check(A: LinearOperator, basis: Tensor, eps: float) -> None:
    size = operator_norm(A)
    for name, operator in (("A", A), ("A^H", A.adjoint())):
        vectors = basis.reshape(len(basis), *(1,) * len(A.batch_shape), *A.in_shape)
        share = norms(operator.apply(vectors.expand(len(basis), *A.batch_shape, *A.in_shape)), A) / divisor(size)
        if bool((share > ROUNDINGS * eps).any()):  # an element with NaN ends as NON_FINITE later
            worst = int(share.flatten(1).amax(1).argmax()) if A.batch_shape else int(share.argmax())
            raise ValueError(
                f"solve_linear: nullspace: expected vectors n with {name} n = 0, found ||{name} n|| = "
                f"{float(share.max()):.2g} ||A|| ||n|| for vector {worst}"
            )
