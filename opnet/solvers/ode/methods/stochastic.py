"""Methods for Ito stochastic differential equations, on Wiener paths that do not depend on the steps."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from opnet.core.expect import expect
from opnet.core.registry import register
from opnet.solvers.ode.brownian import BrownianPath
from opnet.solvers.ode.fields import SDE
from opnet.solvers.ode.layout import Layout, State
from opnet.solvers.ode.problem import Problem, Rows
from opnet.solvers.ode.stages import Time
from opnet.solvers.ode.stepper import Step, Stepper


class Increments(NamedTuple):
    """What a step sees of the Wiener processes, each of size sqrt(h) and 0 for elements at rest; in the state's dtype.

    With I_1 the increment of W, I_10 the integral of W - W(t) over the step, `I_11 = (I_1^2 - h) / 2` and
    `I_111 = (I_1^3 - 3 h I_1) / 6`.

    Attributes:
        h, root: the step and its square root; NaN where it is negative.
        w: I_1, (batch, processes), as are the following.
        second: I_11 / sqrt(h).
        area: I_10 / h.
        third: I_111 / h.
    """

    h: Time
    root: Time
    w: Tensor
    second: Tensor
    area: Tensor
    third: Tensor


@dataclass(frozen=True, eq=False)
class System:
    """The parts of an `SDE` in rows, and its Wiener processes."""

    noise: str
    drift: Rows
    diffusion: Rows
    path: BrownianPath

    def times(self, g: Tensor, w: Tensor) -> Tensor:
        """g w in rows, for a diffusion g in rows."""
        if self.noise != "general":
            return g * w
        return (g.reshape(len(g), -1, w.shape[1]) @ w.unsqueeze(-1)).squeeze(-1)


class Stochastic(Stepper):
    """One step from a time to the next of a path. `order` is the strong order: of the mean error along each path.

    Steps end at every time asked for, and t increases. W and its integral are carried from step to step, so that the
    increments add up to the path.
    """

    noises: ClassVar[tuple[str, ...]] = ("diagonal", "additive", "scalar")

    @property
    def dense_order(self) -> float:
        return 0

    def start(self, problem: Problem, t: Time, y: Tensor, k: Tensor) -> tuple[Tensor, ...]:
        system = self._system(problem)
        if system.noise not in self.noises:
            raise ValueError(
                f"SDE.noise: {type(self).__name__} expected {', '.join(self.noises)} noise, found {system.noise!r}"
            )
        return system.path.with_integral(t, problem.rows)

    def step(self, problem: Problem, t: Time, y: Tensor, h: Time, carry: tuple[Tensor, ...]) -> Step:
        if isinstance(h, Tensor) and h.requires_grad:
            raise ValueError("ts: expected times without gradients for an SDE, whose paths have no derivative in time")
        if not isinstance(h, Tensor) and h < 0:
            raise ValueError(f"ts: expected increasing times for an SDE, found a step of {h:g}")
        system = self._system(problem)
        after = system.path.with_integral(t + h, problem.rows)
        y1, error = self.advance(system, t, y, h, _increments(h, carry, after, y.dtype))
        return Step(y1, carry=after, error=error if error is None or problem.estimates else error.detach())

    @abstractmethod
    def advance(self, system: System, t: Time, y: Tensor, h: Time, d: Increments) -> tuple[Tensor, Tensor | None]:
        """y at the end of the step, and the estimate of its error."""

    def _system(self, problem: Problem) -> System:
        field = problem.structure(SDE, type(self).__name__)
        return problem.cached("SDE", lambda: _system_of(field, problem))


@register("stepper", "EulerMaruyama")
@dataclass(frozen=True)
class EulerMaruyama(Stochastic):
    """`y1 = y + f h + g I_1`, strong order 1/2, and 1 for additive noise (Maruyama 1955); for every kind of noise.

    >>> from opnet.solvers.ode.solve import solve_ode
    >>> walk = SDE(lambda t, y: torch.ones_like(y), lambda t, y: torch.ones_like(y), noise="additive", seed=1)
    >>> y0, ts = torch.zeros(3, 2, dtype=torch.float64), torch.tensor([0.0, 1.0], dtype=torch.float64)
    >>> y1 = solve_ode(walk, y0, ts, EulerMaruyama(), step=0.25).ys[-1]
    >>> torch.allclose(y1, 1 + BrownianPath(seed=1, elements=3, processes=2)(1.0))
    True
    """

    noises = SDE.NOISES

    @property
    def order(self) -> float:
        return 0.5

    def advance(self, system: System, t: Time, y: Tensor, h: Time, d: Increments) -> tuple[Tensor, Tensor | None]:
        return y + d.h * system.drift(t, y) + system.times(system.diffusion(t, y), d.w), None


@register("stepper", "Milstein")
@dataclass(frozen=True)
class Milstein(Stochastic):
    """`y1 = y + f h + g I_1 + (g' g) I_11`, strong order 1 (Milstein 1974), g' g by automatic differentiation.

    Entry i of a diagonal diffusion must depend on entry i of y alone: otherwise the noise does not commute, and the
    order is 1/2.
    """

    @property
    def order(self) -> float:
        return 1.0

    def advance(self, system: System, t: Time, y: Tensor, h: Time, d: Increments) -> tuple[Tensor, Tensor | None]:
        g = system.diffusion(t, y)
        y1 = y + d.h * system.drift(t, y) + g * d.w
        if system.noise == "additive":
            return y1, None
        slope = torch.func.jvp(lambda x: system.diffusion(t, x), (y,), (g,))[1]
        return y1 + slope * (d.second * d.root), None


@dataclass(frozen=True)
class StochasticTableau:
    """A stochastic Runge-Kutta method for one process an entry, as data.

    With `F_i = f(t + c_i h, H_i)`, `G_i = g(t + d_i h, K_i)` and I_1, ... as in `Increments`,

        H_i = y + h sum_j A_ij F_j + I_10 / h sum_j B_ij G_j
        K_i = y + h sum_j C_ij F_j + sqrt(h) sum_j D_ij G_j
        y1  = y + h sum_i a_i F_i + sum_i (b1_i I_1 + b2_i I_11 / sqrt(h) + b3_i I_10 / h + b4_i I_111 / h) G_i

    (A. Roessler, SIAM J. Numer. Anal. 48 (2010), eq. (6.1)-(6.3)); rows of A, ..., D have the entries before i.
    """

    A: tuple[tuple[float, ...], ...]
    B: tuple[tuple[float, ...], ...]
    C: tuple[tuple[float, ...], ...]
    D: tuple[tuple[float, ...], ...]
    a: tuple[float, ...]
    b1: tuple[float, ...]
    b2: tuple[float, ...]
    b3: tuple[float, ...]
    b4: tuple[float, ...]
    c: tuple[float, ...]
    d: tuple[float, ...]
    source: str


# Drifts 3 and 4 of the source are evaluated where the first is: C has their weights in its first column.
SRIW1_TABLEAU = StochasticTableau(
    A=((), (3 / 4,)),
    B=((), (3 / 2,)),
    C=((), (1 / 4,), (1.0, 0.0), (1 / 4, 0.0)),
    D=((), (1 / 2,), (-1.0, 0.0), (-5.0, 3.0, 1 / 2)),
    a=(1 / 3, 2 / 3),
    b1=(-1.0, 4 / 3, 2 / 3, 0.0),
    b2=(-1.0, 4 / 3, -1 / 3, 0.0),
    b3=(2.0, -4 / 3, -2 / 3, 0.0),
    b4=(-2.0, 5 / 3, -2 / 3, 1.0),
    c=(0.0, 3 / 4),
    d=(0.0, 1 / 4, 1.0, 1 / 4),
    source="Roessler 2010, table 6.2",
)


@register("stepper", "SRIW1")
@dataclass(frozen=True)
class SRIW1(Stochastic):
    """Roessler's method of strong order 3/2 (see `StochasticTableau`), without derivatives; steps by an estimate.

    Two drifts and four diffusions a step. Without the terms of I_10 and I_111, and with F_1 for the drift, the same
    stages give a method of strong order 1; the difference is the error estimate (an embedding as in Rackauckas and Nie,
    Discrete Contin. Dyn. Syst. B 22 (2017)). Entry i of a diagonal diffusion must depend on entry i of y alone.

    Args:
        adaptive: choose steps by the error estimate; else take equal ones. The path is the same whatever the steps,
            those rejected included.

    Geometric Brownian motion, beside its solution on the same path:

    >>> from opnet.solvers.ode.solve import solve_ode
    >>> stock = SDE(lambda t, y: 0.1 * y, lambda t, y: 0.3 * y, seed=7)
    >>> y0, ts = torch.ones(4, 1, dtype=torch.float64), torch.tensor([0.0, 1.0], dtype=torch.float64)
    >>> y1 = solve_ode(stock, y0, ts, SRIW1(), rtol=1e-4, atol=1e-4).ys[-1]
    >>> exact = torch.exp(0.1 - 0.3**2 / 2 + 0.3 * BrownianPath(seed=7, elements=4, processes=1)(1.0))
    >>> bool((y1 - exact).abs().max() < 1e-3)
    True
    """

    adaptive: bool = True

    @property
    def order(self) -> float:
        return 1.5

    def advance(self, system: System, t: Time, y: Tensor, h: Time, d: Increments) -> tuple[Tensor, Tensor | None]:
        method = SRIW1_TABLEAU
        F: list[Tensor] = []
        G: list[Tensor] = []
        for i, at in enumerate(method.d):
            if i < len(method.c):
                inner = y + d.h * _total(method.A[i], F) + d.area * _total(method.B[i], G) if i else y
                drift = system.drift(t + method.c[i] * h, inner)
            inner = y + d.h * _total(method.C[i], F) + d.root * _total(method.D[i], G) if i else y
            if i < len(method.c):
                F.append(drift)
            G.append(system.diffusion(t + at * h, inner))
        first = y + d.h * F[0] + d.w * _total(method.b1, G) + d.second * _total(method.b2, G)
        error = d.h * (_total(method.a, F) - F[0]) + d.area * _total(method.b3, G) + d.third * _total(method.b4, G)
        return first + error, error


def _total(weights: tuple[float, ...], stages: list[Tensor]) -> Tensor:
    """sum_i weights_i stages_i, over the stages that count."""
    return sum((w * k for w, k in zip(weights, stages, strict=False) if w), torch.zeros_like(stages[0]))


def _increments(h: Time, before: tuple[Tensor, ...], after: tuple[Tensor, ...], dtype: torch.dtype) -> Increments:
    w = after[0] - before[0]
    area = after[1] - before[1] - h * before[0]
    size = torch.as_tensor(h, dtype=torch.float64, device=w.device)
    size = torch.where(size < 0, torch.nan, size)
    some = torch.where(size == 0, 1.0, size)  # at rest the integrals are 0
    parts = (
        size,
        size.sqrt(),
        w,
        (w.square() - size) / (2 * some.sqrt()),
        area / some,
        (w**3 - 3 * size * w) / (6 * some),
    )
    return Increments(*(x.to(dtype) for x in parts))


def _system_of(field: SDE, problem: Problem) -> System:
    layout, entries = problem.layout, problem.y0.shape[1]
    if field.noise == "general":
        assert field.processes is not None, "SDE looked at its processes"
        processes, shape = field.processes, (entries, field.processes)
        target = Layout((shape,), None, layout.batched)

        def diffusion(t: Tensor, y: State, *args: Tensor) -> Tensor:
            value = field.diffusion(t, y, *args)
            expect("SDE.diffusion", value, Tensor, "a Tensor")
            if value.shape[layout.batched :] != shape or value.dtype != problem.y0.dtype:
                batch = "batch, " if layout.batched else ""
                raise ValueError(
                    f"SDE.diffusion: expected {problem.y0.dtype} of ({batch}{shape[0]} entries, {shape[1]} processes), "
                    f"found {value.dtype} of {tuple(value.shape)}"
                )
            return value

        rows = problem.wrap("SDE.diffusion", diffusion, target=target)
    else:
        processes = 1 if field.noise == "scalar" else entries
        rows = problem.wrap("SDE.diffusion", field.diffusion)
    path = BrownianPath(field.seed, problem.count, processes, problem.y0.device)
    return System(field.noise, problem.wrap("SDE.drift", field.drift), rows, path)
