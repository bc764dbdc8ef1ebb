"""`Backward`: the adjoint equation solved from each time asked for to the one before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from opnet.core.errors import SolveError
from opnet.core.status import Status
from opnet.solvers.ode.adjoints.captured import pull
from opnet.solvers.ode.control import PID
from opnet.solvers.ode.fields import Field
from opnet.solvers.ode.integrate import Integration
from opnet.solvers.ode.layout import Layout
from opnet.solvers.ode.problem import Problem
from opnet.solvers.ode.solution import Dense
from opnet.solvers.ode.stepper import Stepper


@dataclass(frozen=True)
class How:
    """How to solve backward.

    Attributes:
        name: of the adjoint, for messages.
        forward: the forward solve.
        stepper, control, rtol, atol: of the backward solve, in which one step serves the batch.
        seminorm: whether integrals count in the error.
        layout: the form of the forward state.
        dense: the forward solution; None to solve for it backward.
    """

    name: str
    forward: Integration
    stepper: Stepper
    control: PID
    rtol: float
    atol: float
    seminorm: bool
    layout: Layout
    dense: Dense | None


class Backward:
    r"""One backward pass: with L a function of y at the times t_j asked for and a = dL/dy(t), from the last time on

    .. math:: \dot y = f, \qquad \dot a = -a^T \partial f / \partial y, \qquad
        \dot g = -a^T \partial f / \partial \theta, \qquad a(t_j^-) = a(t_j^+) + \partial L / \partial y(t_j)

    (Chen et al. 2018, eqs. (4) and (5), appendices B and C; the first equation is not needed where y is interpolated).
    Theta is all that gradients go to; dL/dt_j is f . dL/dy(t_j), and -f . a for the first. Every interval is a solve of
    its own in [0, 1], from y as the forward solve found it at its end, so that elements may have times of their own;
    one step serves the batch, as theta may be common to it. Elements without a solution at the end of an interval are
    not in it.

    Args:
        how: see there.
        ys: the forward solution at ts, in rows.
        ts: (1, time) or (batch, time).
        args: of the field, detached; with gradients where they go to them.
        captured: what else gradients go to.
    """

    def __init__(self, how: How, ys: Tensor, ts: Tensor, args: tuple[Tensor, ...], captured: Sequence[Tensor]) -> None:
        self.how, self.ys, self.ts, self.args, self.captured = how, ys, ts, args, captured
        self.problem = how.forward.problem(how.layout.state(ys[0]))
        self.times = ts.detach().double()
        self.reached = ys.isfinite().all(2, keepdim=True)
        self.wanted = [arg for arg in args if arg.requires_grad]
        self.sums = [torch.zeros_like(x) for x in (*self.wanted, *captured)]
        self.time_sums = torch.zeros_like(ts)

    def run(self, gradients: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The gradients of y0 and of args and captured tensors, given those of the outputs (time, batch, n).

        Raises:
            SolveError: for a backward solve that failed.
        """
        gradients = torch.where(self.reached, gradients, 0.0)
        a = torch.zeros_like(self.ys[0])
        for j in reversed(range(1, len(self.ys))):
            self._move_time(j, gradients[j])
            a = a + gradients[j]
            if bool(a.any()):
                a = self._before(j, a)
        self._move_time(0, -a)
        return a + gradients[0], self.sums

    def _move_time(self, j: int, a: Tensor) -> None:
        """Add to the gradient of t_j the product of f and `a` there."""
        if self.ts.requires_grad:
            rows = self._enter(j)
            product = self.problem.f(self._time(j, rows), _of(self.ys[j], rows)) * _of(a, rows)
            per_row = product.sum(1).to(self.ts.dtype)
            if len(self.ts) == 1:
                self.time_sums[0, j] += per_row.sum()
            elif rows is None:
                self.time_sums[:, j] += per_row
            else:
                self.time_sums[rows, j] += per_row

    def _enter(self, j: int) -> Tensor | None:
        """Make f that of the elements that reached t_j, and give them; None if all did."""
        reached = self.reached[j, :, 0]
        rows = None if bool(reached.all()) else reached.nonzero()[:, 0]
        if rows is not None and self.problem.joint:
            raise self._error(Status.NON_FINITE, j, "elements without a solution are part of the common state")
        self.problem.rows = rows
        self.problem.args = tuple(_of(x, rows).detach().requires_grad_(x.requires_grad) for x in self.args)
        return rows

    def _time(self, j: int, rows: Tensor | None) -> Tensor:
        """t_j as (1 or rows, 1)."""
        return _of(self.times, rows if len(self.times) > 1 else None)[:, j, None]

    def _before(self, j: int, a: Tensor) -> Tensor:
        """a after t_(j - 1), given that before t_j; the integrals in between are added up."""
        rows = self._enter(j)
        own = [arg for arg in self.problem.args if arg.requires_grad]
        starts = [_of(a, rows), *map(torch.zeros_like, (*own, *self.captured))]
        equation = Augmented(
            self.problem,
            self.how.dense,
            self.times[:, j, None],
            self.times[:, j - 1, None],
            rows,
            [*own, *self.captured],
            [x.shape for x in starts],
        )
        if self.how.dense is None:
            starts.insert(0, _of(self.ys[j], rows))
        ends = equation.split(self._solve(j, equation, torch.cat([x.reshape(-1) for x in starts])))
        a_before, *integrals = ends if self.how.dense is not None else ends[1:]
        for i, (total, part) in enumerate(zip(self.sums, integrals, strict=True)):
            if rows is None or i >= len(own):
                total += part
            else:
                total[rows] += part
        return a_before if rows is None else torch.zeros_like(a).index_copy(0, rows, a_before)

    def _solve(self, j: int, equation: Augmented, z: Tensor) -> Tensor:
        how, gap = self.how, float((self.times[:, j] - self.times[:, j - 1]).abs().max())
        step = how.forward.step
        count = equation.size if how.seminorm else None
        integration = how.forward.again(
            field=Field(equation),
            stepper=how.stepper,
            control=how.control,
            rtol=how.rtol,
            atol=how.atol,
            step=None if how.stepper.adaptive or step is None else step / gap,
            seminorm=count,
        )
        _, observer, ending = integration.run(z, self.times.new_tensor([[0.0, 1.0]]))
        status = Status(int(ending.status[0]))
        if not status.ok:
            raise self._error(status, j, status.meaning)
        return observer.outputs.stack()[-1, 0]

    def _error(self, status: Status, j: int, why: str) -> SolveError:
        first, last = (float(self.times[0, i]) for i in (j - 1, j))
        where = f"between t = {first:.6g} and t = {last:.6g}"
        return SolveError(f"solve_ode, backward solve of {self.how.name}: {why} ({where})", status=status, index=0)


class Augmented:
    """The equations of one interval in s from 0 at its end to 1 at its start, of (y,) a and the integrals, as a vector.

    Args:
        problem: f of the elements `rows`, with their args.
        dense: gives y; None where it is solved for.
        end, start: times, (1 or batch, 1).
        rows: which elements these are; None for all.
        tensors: what integrals belong to.
        shapes: of a and the integrals.
    """

    def __init__(
        self,
        problem: Problem,
        dense: Dense | None,
        end: Tensor,
        start: Tensor,
        rows: Tensor | None,
        tensors: Sequence[Tensor],
        shapes: Sequence[torch.Size],
    ) -> None:
        self.problem, self.dense, self.end, self.start, self.rows, self.tensors = (
            problem,
            dense,
            end,
            start,
            rows,
            tensors,
        )
        self.shapes = list(shapes) if dense is not None else [shapes[0], *shapes]
        self.sizes = [shape.numel() for shape in self.shapes]
        self.size = sum(self.sizes[: len(self.sizes) - len(tensors)])  # entries of y and a, which the others depend on

    def split(self, z: Tensor) -> list[Tensor]:
        """(y,) a and the integrals."""
        return [part.view(shape) for part, shape in zip(z.split(self.sizes), self.shapes, strict=True)]

    def __call__(self, s: Tensor, z: Tensor) -> Tensor:
        """dz/ds."""
        times = torch.lerp(self.end, self.start, s.double())  # exact at both ends
        length = (self.start - self.end).to(z.dtype)
        t = times
        if self.rows is not None and len(times) > 1:
            t, length = times[self.rows], length[self.rows]
        y, a = self._state(s, times, z)
        again = torch.is_grad_enabled() and z.requires_grad  # as the Jacobian of an implicit method asks for
        with torch.enable_grad():
            y = y if again and y.requires_grad else y.detach().requires_grad_()
            k = self.problem.f(t, y)
            pulled: tuple[Tensor | None, ...] = (None,) * (1 + len(self.tensors))
            if k.requires_grad:
                pulled = pull([k], [y, *self.tensors], [-length * a], create_graph=again)
        k = k if again else k.detach()
        parts = [torch.zeros_like(x) if g is None else g for x, g in zip((y, *self.tensors), pulled, strict=True)]
        return torch.cat([x.reshape(-1) for x in ([] if self.dense else [length * k]) + parts])

    def _state(self, s: Tensor, times: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """y and a."""
        if self.dense is None:
            y, a, *_ = self.split(z)
            return y, a
        if not 0 <= float(s.detach()) <= 1:
            raise ValueError(
                "Interpolated.method: expected one whose stages lie within its steps, found a stage beyond"
            )
        everyone = times.expand(self.dense.count, 1)
        return _of(self.dense.rows(everyone)[0], self.rows), self.split(z)[0]


def _of(x: Tensor, rows: Tensor | None) -> Tensor:
    return x if rows is None else x[rows]
