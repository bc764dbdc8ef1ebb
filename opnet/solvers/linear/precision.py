"""`in_precision`: a map of residuals applied in another dtype than theirs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from opnet.linops.base import LinearOperator
from opnet.solvers.linear.vectors import divisor, norms, spread


def in_precision(apply: Callable[[Tensor], Tensor], r: Tensor, dtype: torch.dtype, A: LinearOperator) -> Tensor:
    """`apply` to residuals of A scaled to unit norm and cast to `dtype`, the result scaled and cast back.

    Scaled, because small residuals would underflow in a lower precision. For complex residuals and a real dtype it is
    the map of the real and of the imaginary part.  # shape: (*batch, *in_shape) -> the same

    >>> from opnet.linops.dense import Dense
    >>> A = Dense(torch.eye(2, dtype=torch.complex128))
    >>> in_precision(lambda r: 2 * r, torch.tensor([1.0 + 1.0j, 0.0], dtype=torch.complex128), torch.float32, A)
    tensor([2.0000+2.0000j, 0.0000+0.0000j], dtype=torch.complex128)
    """
    size = spread(divisor(norms(r, A)), A)
    unit = r / size
    if r.is_complex() and not dtype.is_complex:
        real, imaginary = (apply(part.to(dtype)).to(size.dtype) for part in (unit.real, unit.imag))
        return torch.complex(real, imaginary) * size
    return apply(unit.to(dtype)).to(r.dtype) * size
