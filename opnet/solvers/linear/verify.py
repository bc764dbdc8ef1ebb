"""The verdict on a solution, whatever the iteration believed: recomputed residual and normwise backward error."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from opnet.core.errors import AccuracyWarning
from opnet.core.status import Status, raise_for_status
from opnet.linops.base import LinearOperator
from opnet.solvers.linear.monitor import mark
from opnet.solvers.linear.solution import Solution
from opnet.solvers.linear.vectors import divisor, norms, spread

ROUNDINGS = 8  # unit roundoffs of backward error that count as exact


def verified(status: Tensor, residual: Tensor, backward_error: Tensor, rtol: float) -> Tensor:
    """The status that a recomputed relative residual deserves.

    An element whose residual misses the tolerance is solved as well as the precision allows when its backward error is
    at the unit roundoff (N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., SIAM 2002, theorem
    7.1): ROUNDING_FLOOR. A diverging x makes that error small too, so the residual must be small in itself as well.
    """
    eps = torch.finfo(residual.dtype).eps
    finite = torch.isfinite(residual)
    reached = finite & (residual <= rtol)
    floor = finite & ~reached & (backward_error <= ROUNDINGS * eps) & (residual <= eps**0.375)
    status = status.clone()
    mark(status, ~reached & (status == Status.CONVERGED), Status.STAGNATED)
    mark(status, floor, Status.ROUNDING_FLOOR)
    mark(status, reached, Status.CONVERGED)
    mark(status, ~finite, Status.NON_FINITE)
    return status


def operator_norm(A: LinearOperator, steps: int = 3) -> Tensor:
    """A lower bound of the largest singular value of each batch element: the operator's own, or by power iteration."""
    known = A.norm_bound()
    if known is not None:
        return known
    generator = torch.Generator().manual_seed(0)
    signs = torch.randint(0, 2, A.in_shape, generator=generator).to(A.device, A.dtype) * 2 - 1
    v = signs.expand(*A.batch_shape, *A.in_shape)
    bound = torch.zeros(A.batch_shape, dtype=A.dtype.to_real(), device=A.device)
    for _ in range(steps):
        image = A.apply(v / spread(divisor(norms(v, A)), A))
        bound = torch.maximum(bound, norms(image, A))
        v = image
    return bound


def report(what: str, solution: Solution, rtol: float) -> None:
    """Raise for the first element that failed; warn of those whose residual rounding keeps above the tolerance."""
    worst = float(solution.residual.max()) if solution.residual.numel() else 0.0
    detail = f"largest relative residual {worst:.2g}, asked {rtol:.2g}"
    raise_for_status(what, solution.status, detail=detail)
    floored = solution.status == Status.ROUNDING_FLOOR
    if bool(floored.any()):
        message = f"{what}: {Status.ROUNDING_FLOOR.meaning} ({int(floored.sum())} of {floored.numel()} elements)"
        warnings.warn(f"{message}; {detail}", AccuracyWarning, stacklevel=3)
