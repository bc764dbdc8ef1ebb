"""Vector fields: what is integrated, with the structure that a method may use."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from opnet.core.expect import expect
from opnet.linops.base import LinearOperator

Function = Callable[..., Any]
"""f(t, y, *args), of the form of y: a tensor, or a tuple or dict of tensors."""


class VectorField(ABC):
    """The right-hand side of `y' = f(t, y, *args)`; a frozen dataclass.

    Attributes:
        args: tensors with one row an element of the batch, handed to every function after the state. Parameters that
            all elements share need not be here: functions may close over them, and modules own theirs.
    """

    args: tuple[Tensor, ...]

    @abstractmethod
    def whole(self) -> Function:
        """f itself, for methods that use no structure."""


@dataclass(frozen=True, eq=False)
class Field(VectorField):
    """`M y' = f(t, y, *args)`, with what an implicit method may want to know about f.

    Args:
        f: the vector field.
        args: see `VectorField`.
        jacobian: df/dy as a function of (t, y, *args), of shape (batch, n, n) where the state of an element has n
            entries ((n, n) for a state without a batch); by automatic differentiation if None.
        sparsity: where df/dy may differ from zero, a boolean (n, n) tensor; rows that share no column are then
            differentiated together (after Curtis, Powell and Reid 1974).
        mass: M, (n, n), possibly singular (then some components are algebraic); the identity if None.
    """

    f: Function
    args: tuple[Tensor, ...] = ()
    jacobian: Function | None = None
    sparsity: Tensor | None = None
    mass: Tensor | None = None

    def __post_init__(self) -> None:
        _check_args("Field", self.args)

    def whole(self) -> Function:
        return self.f


@dataclass(frozen=True, eq=False)
class Split(VectorField):
    """`y' = explicit(t, y, *args) + implicit(t, y, *args)`: the second, stiff part is what an IMEX method solves for.

    Args:
        explicit, implicit: the two parts.
        args: see `VectorField`.
        jacobian, sparsity: of the implicit part; see `Field`.
    """

    explicit: Function
    implicit: Function
    args: tuple[Tensor, ...] = ()
    jacobian: Function | None = None
    sparsity: Tensor | None = None

    def __post_init__(self) -> None:
        _check_args("Split", self.args)

    def whole(self) -> Function:
        return lambda t, y, *args: _add(self.explicit(t, y, *args), self.implicit(t, y, *args))


@dataclass(frozen=True, eq=False)
class Semilinear(VectorField):
    """`y' = L y + nonlinear(t, y, *args)` for a constant linear operator L, which exponential methods treat exactly.

    Args:
        linear: L, a `LinearOperator` on the state of an element.
        nonlinear: the rest.
        args: see `VectorField`.
    """

    linear: LinearOperator
    nonlinear: Function
    args: tuple[Tensor, ...] = ()

    def __post_init__(self) -> None:
        expect("Semilinear.linear", self.linear, LinearOperator, "a LinearOperator such as Diagonal(d)")
        _check_args("Semilinear", self.args)

    def whole(self) -> Function:
        return lambda t, y, *args: self.linear.apply(y) + self.nonlinear(t, y, *args)


@dataclass(frozen=True, eq=False)
class Separable(VectorField):
    """`q' = velocity(t, p, *args)`, `p' = force(t, q, *args)` for a state (q, p): a separable Hamiltonian system.

    With H(q, p) = T(p) + V(q), velocity is dT/dp and force is -dV/dq.
    """

    velocity: Function
    force: Function
    args: tuple[Tensor, ...] = ()

    def __post_init__(self) -> None:
        _check_args("Separable", self.args)

    def whole(self) -> Function:
        return lambda t, y, *args: (self.velocity(t, y[1], *args), self.force(t, y[0], *args))


@dataclass(frozen=True, eq=False)
class SDE(VectorField):
    """`dy = drift(t, y, *args) dt + diffusion(t, y, *args) dW`, in the sense of Ito.

    Args:
        drift: of the form of y.
        diffusion: by `noise`: of the form of y ("diagonal": one Wiener process an entry; "additive": the same, and
            independent of y; "scalar": one process for all entries of an element), or (batch, n, m) for m processes
            ("general").
        args: see `VectorField`.
        noise: "diagonal", "additive", "scalar" or "general".
        processes: m, for general noise.
        seed: of the Wiener process; element i of a batch has the path (seed, i) whatever the steps and the batch.
    """

    NOISES: ClassVar[tuple[str, ...]] = ("diagonal", "additive", "scalar", "general")

    drift: Function
    diffusion: Function
    args: tuple[Tensor, ...] = ()
    noise: str = "diagonal"
    processes: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        _check_args("SDE", self.args)
        if self.noise not in self.NOISES:
            raise ValueError(f"SDE.noise: expected one of {', '.join(self.NOISES)}, found {self.noise!r}")
        if (self.processes is None) == (self.noise == "general"):
            raise ValueError(
                f"SDE.processes: expected a number for general noise and none otherwise, found {self.processes}"
            )

    def whole(self) -> Function:
        return self.drift


def _check_args(name: str, args: Any) -> None:
    expect(f"{name}.args", args, tuple, "a tuple of tensors, one row an element of the batch")
    for i, arg in enumerate(args):
        expect(f"{name}.args[{i}]", arg, Tensor, "a tensor with one row an element of the batch")


def _add(a: Any, b: Any) -> Any:
    if isinstance(a, dict):
        return {key: a[key] + b[key] for key in a}
    return a + b if isinstance(a, Tensor) else tuple(x + y for x, y in zip(a, b, strict=True))
