"""Which operators multigrid sees as stencils."""

from __future__ import annotations

from opnet.linops.base import LinearOperator
from opnet.linops.composed import Scaled, Sum
from opnet.linops.diagonal import Diagonal, Identity
from opnet.linops.diffusion import Diffusion
from opnet.linops.stencil import Stencil


def as_stencil(what: str, operator: LinearOperator) -> Stencil:
    """`Diffusion` and `Stencil`, and their sums with each other, with `Diagonal` and with `Identity`, scaled or not.

    Raises:
        ValueError: for another operator, or one without a diagonal.

    >>> import torch
    >>> from opnet.spaces.grid import Grid
    >>> A = Diffusion(torch.ones(3, dtype=torch.float64), Grid((3,), nodes="interior"))
    >>> as_stencil("Multigrid", Identity(3) + 0.25 * A).to_dense()
    tensor([[ 9., -4.,  0.],
            [-4.,  9., -4.],
            [ 0., -4.,  9.]], dtype=torch.float64)
    """
    stencil = _stencil(operator, _periodic(operator))
    if stencil is None:
        raise ValueError(
            f"{what}: expected a Diffusion or Stencil operator, or a sum of such with Identity or Diagonal, found "
            f"{type(operator).__name__}"
        )
    if (0,) * len(stencil.in_shape) not in stencil.half:
        raise ValueError(f"{what}: expected a Stencil with a diagonal, found one of the offsets {list(stencil.half)}")
    return stencil


def _periodic(A: LinearOperator) -> tuple[bool, ...] | None:
    """Which axes wrap, as the first stencil in A has it."""
    if isinstance(A, Diffusion):
        return A.stencil().periodic
    if isinstance(A, Stencil):
        return A.periodic
    if isinstance(A, Scaled):
        return _periodic(A.operator)
    if isinstance(A, Sum):
        return _periodic(A.left) or _periodic(A.right)
    return None


def _stencil(A: LinearOperator, periodic: tuple[bool, ...] | None) -> Stencil | None:
    if isinstance(A, Diffusion):
        return A.stencil()
    if isinstance(A, Stencil):
        return A
    if isinstance(A, (Diagonal, Identity)) and periodic is not None and len(periodic) == len(A.in_shape):
        return Stencil.of_half({(0,) * len(periodic): A.diagonal()}, periodic)
    if isinstance(A, Scaled):
        inner = _stencil(A.operator, periodic)
        return None if inner is None else inner.rebuild(tuple(A.times(c, len(A.in_shape)) for c in inner.tensors))
    if isinstance(A, Sum):
        left, right = _stencil(A.left, periodic), _stencil(A.right, periodic)
        if left is None or right is None or left.periodic != right.periodic:
            return None
        symmetric = left.symmetric and right.symmetric
        total = left.half if symmetric else left.coefficients
        for q, c in (right.half if symmetric else right.coefficients).items():
            total[q] = total[q] + c if q in total else c
        return Stencil.of_half(total, left.periodic) if symmetric else Stencil(total, left.periodic)
    return None
