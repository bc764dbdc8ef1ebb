"""`Problem`: an initial value problem with its state as rows, as steppers and loops see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from opnet.solvers.ode.fields import SDE, Field, Function, VectorField
from opnet.solvers.ode.layout import Layout, State
from opnet.solvers.ode.stages import Buffer, Stages, Time

Rows = Callable[[Time, Tensor], Tensor]
"""A function of a time and rows (batch, n), giving rows."""


class Problem:
    """`y' = f(t, y, *args)`, `y(t0) = y0`, in rows: (batch, n), one row an element.

    Attributes:
        field: the vector field as given.
        layout: the form of the state.
        y0: the start in rows.
        joint: whether one time and one step serve the batch; then t reaches f without dimensions. Otherwise it reaches
            f as (batch, 1, ..., 1), with as many dimensions as the first leaf of the state.
        rtol, atol: tolerances of the local error.
        keep: whether what a step made must outlive the next (dense output; steps looked at in blocks).
        estimates: whether error and stiffness estimates carry gradients.
        f: the whole vector field, counted.
        evaluations: calls so far of all functions of the field.
        seminorm: how many leading entries of an element count in the error norm; None: all.
        args: the rows of `field.args` still integrated.
        rows: which elements of the batch the rows are (long); None while they are all of them.
    """

    def __init__(
        self, field: VectorField, y0: State, *, joint: bool, rtol: float, atol: float, keep: bool, estimates: bool
    ) -> None:
        self.field, self.layout, self.joint = field, Layout.of(y0), joint
        self.y0 = self.layout.rows(y0)
        self.rtol, self.atol, self.keep, self.estimates = rtol, atol, keep, estimates
        self.args = field.args
        self.evaluations = 0
        self._buffer: Buffer | None = None
        self._cache: dict[Any, Any] = {}
        self.rows: Tensor | None = None
        self.seminorm: int | None = None
        self._time_shape = () if joint or not self.layout.batched else (-1, *(1,) * len(self.layout.shapes[0]))
        for i, arg in enumerate(self.args):
            if arg.ndim == 0 or arg.shape[0] != self.count:
                raise ValueError(
                    f"args[{i}]: expected one row an element of the batch ({self.count}), found {tuple(arg.shape)}"
                )
        self.f = self.wrap("f", field.whole())

    @property
    def count(self) -> int:
        """Elements of the batch."""
        return self.y0.shape[0]

    def wrap(self, name: str, f: Function, source: Layout | None = None, target: Layout | None = None) -> Rows:
        """f in rows, counted, its first value checked. `source`, `target`: forms of its state and value, if not y's."""
        source, target = source or self.layout, target or self.layout
        seen = False

        def rows(t: Time, y: Tensor) -> Tensor:
            nonlocal seen
            self.evaluations += 1
            if seen:
                return target.rows(f(self.time(t, y), source.state(y), *self.args))
            given = y if torch.compiler.is_compiling() else y.clone()
            value = f(self.time(t, y), source.state(given), *self.args)
            if given is not y and not torch.equal(torch.nan_to_num(given), torch.nan_to_num(y)):
                raise ValueError(
                    f"{name}: expected a function that leaves y as it is, found one that changes it in place"
                )
            target.check(name, value, target.state(y) if source == target else value)
            seen = True
            return target.rows(value)

        return rows

    def stages(self, count: int, y: Tensor) -> Stages:
        """Room for the stages of a step: the same for every step, unless they must outlive it."""
        if torch.compiler.is_compiling() or (torch.is_grad_enabled() and y.requires_grad):
            return Stages(None)
        if self.keep:
            return Stages(Buffer(count, y))
        if self._buffer is None or not self._buffer.fits(count, y):
            self._buffer = Buffer(count, y)
        return Stages(self._buffer)

    def time(self, t: Time, y: Tensor) -> Tensor:
        """t as f gets it: of y's dtype, without dimensions or (batch, 1, ..., 1)."""
        if not isinstance(t, Tensor):
            return y.new_full((1,) * len(self._time_shape), t)
        t = t.to(y.dtype)
        return t if t.ndim == len(self._time_shape) else t.reshape(self._time_shape)

    def size(self, y: Tensor, other: Tensor) -> Tensor:
        """atol + rtol max(|y|, |other|): what an error is measured by."""
        return torch.maximum(y.abs(), other.abs()).mul_(self.rtol).add_(self.atol)

    def take(self, rows: Tensor) -> None:
        """Go on with some of the rows (long): `args` keep theirs."""
        self.args = tuple(arg[rows] for arg in self.args)
        self.rows = rows if self.rows is None else self.rows[rows]

    def cached(self, key: Any, make: Callable[[], Any]) -> Any:
        """make(), called once in this solve for each key."""
        if key not in self._cache:
            self._cache[key] = make()
        return self._cache[key]

    def structure(self, kind: type[Any], method: str) -> Any:
        """The field, if it is of the kind that `method` needs.

        Raises:
            ValueError: naming both kinds.
        """
        if not isinstance(self.field, kind):
            raise ValueError(
                f"f: {method} needs the structure of {kind.__name__}(...), found {type(self.field).__name__}(...)"
            )
        return self.field


def refuse_more_than_f(problem: Problem, method: str) -> None:
    """Refuse fields of which a method that knows f alone would leave something out.

    Raises:
        ValueError: for a mass matrix or noise, naming the method.
    """
    if isinstance(problem.field, Field) and problem.field.mass is not None:
        raise ValueError(f"Field.mass: expected none for {method}, which solves y' = f(t, y), found a mass matrix")
    if isinstance(problem.field, SDE):
        raise ValueError(f"f: expected an ordinary differential equation for {method}, found SDE(...)")
