"""How an iterative computation ended, one code per batch element."""

from __future__ import annotations

from enum import IntEnum

import torch

from opnet.core.errors import SolveError


class Status(IntEnum):
    """How one element of a batch ended. Two codes are successes: CONVERGED (0), and ROUNDING_FLOOR, which says that
    the result is as good as the precision allows though the tolerance asked for more.

    >>> Status.CONVERGED.ok, Status.ROUNDING_FLOOR.ok, Status.NON_FINITE.ok
    (True, True, False)
    """

    CONVERGED = 0
    MAX_ITERATIONS = 1
    ROUNDING_FLOOR = 2
    BREAKDOWN = 3
    NON_FINITE = 4
    MAX_STEPS = 5
    STEP_UNDERFLOW = 6
    STAGNATED = 7
    INCONSISTENT = 8

    @property
    def ok(self) -> bool:
        return self in (Status.CONVERGED, Status.ROUNDING_FLOOR)

    @property
    def meaning(self) -> str:
        return _MEANINGS[self]


_MEANINGS = {
    Status.CONVERGED: "converged",
    Status.MAX_ITERATIONS: "the iteration limit was reached before the tolerance",
    Status.ROUNDING_FLOOR: "the result is exact for a problem within rounding of this one, and no better one can be "
    "had in this precision, but the tolerance asked for more: a larger rtol or a higher precision is needed to meet it",
    Status.BREAKDOWN: "the method broke down: the operator or preconditioner is not what the method needs "
    "(for CG, symmetric positive definite)",
    Status.NON_FINITE: "a NaN or Inf appeared",
    Status.MAX_STEPS: "the step limit was reached before the final time",
    Status.STEP_UNDERFLOW: "the step size fell below what the precision resolves",
    Status.STAGNATED: "no progress over many iterations, above the tolerance: the method is too weak for this "
    "problem, or it has no solution",
    Status.INCONSISTENT: "b has a component in the kernel of A^H: no solution exists",
}


def raise_for_status(what: str, status: torch.Tensor, times: torch.Tensor | None = None, detail: str = "") -> None:
    """Raise `SolveError` for the first element of `status` that is not `ok`; `what` opens the message."""
    flat = status.reshape(-1)
    failed = torch.nonzero((flat != Status.CONVERGED) & (flat != Status.ROUNDING_FLOOR))
    if len(failed) == 0:
        return
    index = int(failed[0])
    code = Status(int(flat[index]))
    time = None if times is None else float(times.reshape(-1)[index])
    where = f"batch element {index} of {flat.numel()}" + (f" at t = {time:.6g}" if time is not None else "")
    others = f"; {len(failed)} elements failed" if len(failed) > 1 else ""
    message = f"{what}: {code.meaning} ({where}{others})" + (f"; {detail}" if detail else "")
    raise SolveError(message, status=code, index=index, time=time)
