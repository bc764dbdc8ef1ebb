"""Every registered method of time integration, and a vector field in the form that it needs."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import lru_cache
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from opnet.core.registry import lookup, names
from opnet.linops.diagonal import Diagonal
from opnet.solvers.ode import methods
from opnet.solvers.ode.fields import SDE, Field, Function, Semilinear, Separable, Split, VectorField
from opnet.solvers.ode.methods.torchdiffeq import TorchDiffEq
from opnet.solvers.ode.solution import ODESolution
from opnet.solvers.ode.solve import solve_ode
from opnet.solvers.ode.stepper import Method

for module in pkgutil.iter_modules(methods.__path__):
    import_module(f"{methods.__name__}.{module.name}")


def _variants() -> dict[str, Method]:
    """A method that chooses its steps is also one of equal steps."""
    found: dict[str, Method] = {}
    for name in names("stepper"):
        kind = lookup("stepper", name)
        found[name] = kind()
        if kind is TorchDiffEq:
            found[f"{name} rk4"] = kind("rk4")
        elif any(field.name == "adaptive" for field in fields(kind)):
            found[f"{name} equal"] = kind(adaptive=False)
    return found


METHODS = _variants()


def is_adaptive(method: Method) -> bool:
    """Whether it chooses its steps."""
    return method == TorchDiffEq() or bool(getattr(method, "adaptive", False))


@dataclass(frozen=True)
class Form:
    """y' = f(t, y, *args) in one of the forms of a vector field; `state` makes its state of y, and `value` y of it."""

    field: Callable[[Function, Tensor, tuple[Tensor, ...]], VectorField]
    state: Callable[[Tensor], Any] = lambda y: y
    value: Callable[[Any], Tensor] = lambda state: state


def _split(f: Function, y0: Tensor, args: tuple[Tensor, ...]) -> VectorField:
    """Nothing of the stiffness of f is in the explicit part."""
    return Split(lambda t, y, *a: -y, lambda t, y, *a: f(t, y, *a) + y, args)


def _semilinear(f: Function, y0: Tensor, args: tuple[Tensor, ...]) -> VectorField:
    element = y0[0] if y0.ndim > 1 else y0
    L = Diagonal(-torch.ones_like(element.detach()), axes=element.ndim)
    return Semilinear(L, lambda t, y, *a: f(t, y, *a) + y, args)


NOISE = 1e-3

FORMS = {
    "Field": Form(lambda f, y0, args: Field(f, args)),
    "Split": Form(_split),
    "Semilinear": Form(_semilinear),
    # q' = f(t, p), p' = f(t, q) from q = p
    "Separable": Form(lambda f, y0, args: Separable(f, f, args), lambda y: (y, y.clone()), lambda state: state[0]),
    "SDE": Form(
        lambda f, y0, args: SDE(f, lambda t, y, *a: torch.full_like(y, NOISE), args, noise="additive"),
    ),
}


@lru_cache
def form_name(method: Method) -> str:
    """The form that a method asks for; most take any."""
    try:
        solve_ode(lambda t, y: -y, torch.ones(1), torch.tensor([0.0, 1e-3]), method)
    except ValueError as error:
        found = re.search(r"needs the structure of (\w+)\(", str(error))
        if found is None:
            raise
        return found[1]
    return "Field"


def solve(
    method: Method, f: Function, y0: Tensor, ts: Tensor, *, args: tuple[Tensor, ...] = (), **options: Any
) -> tuple[ODESolution, Tensor]:
    """The solution by a method in its form, and y (time, *shape) of it."""
    form = FORMS[form_name(method)]
    solution = solve_ode(form.field(f, y0, args), form.state(y0), ts, method, **options)
    return solution, form.value(solution.ys)
