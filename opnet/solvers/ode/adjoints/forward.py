"""The forward solve of adjoints that do without its graph."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from opnet.solvers.ode.adjoints.captured import Captured
from opnet.solvers.ode.integrate import Integration
from opnet.solvers.ode.joint import Ending
from opnet.solvers.ode.layout import Layout, State
from opnet.solvers.ode.observer import Observer
from opnet.solvers.ode.problem import Problem

AGREE = 1e-3  # relative: two values of f at one argument, of which sums in another order are no cause to complain


class Forward(NamedTuple):
    """A solve without its graph.

    Attributes:
        ys: outputs, (time, batch, n).
        y0: in rows, with its graph.
        captured: tensors with gradients that the solve used, besides y0, ts and the args of the field.
    """

    ys: Tensor
    y0: Tensor
    captured: tuple[Tensor, ...]
    problem: Problem
    observer: Observer
    ending: Ending


def run_forward(name: str, integration: Integration, y0: State, ts: Tensor, *, dense: bool = False) -> Forward:
    """Solve, for the adjoint called `name`, which may want the dense solution.

    Raises:
        ValueError: for events and dense output, which have gradients with `Direct` alone, and an f that is random.
    """
    if integration.events or integration.dense:
        what = "events" if integration.events else "dense"
        raise ValueError(f"{what}: expected adjoint=Direct(), with which they have gradients, found {name}(...)")
    layout = Layout.of(y0)
    rows, field = layout.rows(y0), integration.field
    start = layout.state(rows.detach())
    args = tuple(arg.detach() for arg in field.args)
    plain = integration.again(field=replace(field, args=args), dense=dense)  # type: ignore[type-var]
    with torch.no_grad(), Captured() as captured:
        _refuse_random(plain.problem(start), ts.detach())
        problem, observer, ending = plain.run(start, ts.detach())
        ys = observer.outputs.stack()
    return Forward(ys, rows, captured.tensors, problem, observer, ending)


def refuse_graph(name: str) -> None:
    """Refuse a backward pass that is to be differentiated.

    Raises:
        RuntimeError: within one with `create_graph=True`.
    """
    if torch.is_grad_enabled():
        raise RuntimeError(
            f"solve_ode: expected first derivatives with adjoint={name}(...), found create_graph=True; Direct() has "
            "higher ones"
        )


def _refuse_random(problem: Problem, ts: Tensor) -> None:
    t = ts[0, 0] if problem.joint else ts[:, :1].expand(problem.count, 1)
    a, b = (torch.nan_to_num(problem.f(t, problem.y0)) for _ in range(2))
    if not torch.allclose(a, b, rtol=AGREE, atol=AGREE * float(b.abs().max())):
        raise ValueError("f: expected nothing random, as the backward pass evaluates it again, found two values at y0")
