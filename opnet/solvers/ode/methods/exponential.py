"""`ETDRK4`: an exponential Runge-Kutta method, which treats the linear part of a semilinear system exactly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, factorial, isfinite, log2
from typing import NamedTuple

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.linops.base import LinearOperator
from opnet.linops.composed import Scaled, Sum
from opnet.linops.convolution import Convolution
from opnet.linops.dense import Dense
from opnet.linops.diagonal import Diagonal, Identity
from opnet.linops.spectral import Spectral
from opnet.solvers.ode.fields import Semilinear
from opnet.solvers.ode.problem import Problem, Rows
from opnet.solvers.ode.stages import Time
from opnet.solvers.ode.stepper import Step, Stepper

KEPT = 8  # steps whose coefficients are kept
TERMS = 16  # of the series of phi_3 for |z| <= 1: what is left out is below 1e-17


@register("stepper", "ETDRK4")
@dataclass(frozen=True)
class ETDRK4(Stepper):
    r"""Exponential time differencing, fourth order, for `y' = L y + N(t, y)` (a `Semilinear` field).

    With `phi_0(z) = e^z`, `phi_{k+1}(z) = (phi_k(z) - 1/k!) / z` of z = h L, or of h L / 2 where written `phi(/2)`:

        a  = phi_0(/2) y + h/2 phi_1(/2) N(y)
        b  = phi_0(/2) y + h/2 phi_1(/2) N(a)
        c  = phi_0(/2) a + h/2 phi_1(/2) (2 N(b) - N(y))
        y1 = phi_0 y + h (phi_1 - 3 phi_2 + 4 phi_3) N(y) + h (2 phi_2 - 4 phi_3) (N(a) + N(b))
             + h (4 phi_3 - phi_2) N(c)

    (Cox and Matthews, J. Comput. Phys. 176 (2002), eqs. (26)-(29).) Their cancellations for small z are avoided by a
    series for |z| <= 1 and recurrences beyond, and for matrices by scaling and doubling, which costs less than the
    contour integrals of Kassam and Trefethen, SIAM J. Sci. Comput. 26 (2005). Exact for N = 0 whatever h L; the
    classical Runge-Kutta method for L = 0. Where h L is large and N stiff too, orders down to 2 may be seen (Hochbruck
    and Ostermann, SIAM J. Numer. Anal. 43 (2005)). What belongs to a step size is made once for each, but anew for
    every step where L or h carry gradients.

    L is `Diagonal`, `Identity`, `Spectral`, a `Convolution` that is periodic on every axis, `Dense`, or a sum or
    multiple of operators of one of these kinds; its axes are the last ones of the state, a tensor. Equal steps, which
    end at every time asked for.

    The heat equation with a reaction, `u_t = u_xx / 100 + u (1 - u)`, in steps 100 times longer than explicit ones:

    >>> from math import pi
    >>> from opnet.solvers.ode.solve import solve_ode
    >>> from opnet.spaces.grid import Grid
    >>> grid = Grid((256,), boundary="periodic")
    >>> fisher = Semilinear(0.01 * Spectral.laplacian(grid), lambda t, u: u * (1 - u))
    >>> u0 = 0.5 + 0.4 * torch.cos(2 * pi * grid.axis(0))[None]
    >>> ts = torch.tensor([0.0, 5.0], dtype=torch.float64)
    >>> coarse, fine = (solve_ode(fisher, u0, ts, ETDRK4(), step=step).ys[-1] for step in (0.25, 0.025))
    >>> bool((coarse - fine).abs().max() < 1e-5)
    True
    """

    @property
    def order(self) -> int:
        return 4

    @property
    def dense_order(self) -> int:
        return 0

    def start(self, problem: Problem, t: Time, y: Tensor, k: Tensor) -> tuple[Tensor, ...]:
        self._parts(problem)
        return ()

    def step(self, problem: Problem, t: Time, y: Tensor, h: Time, carry: tuple[Tensor, ...]) -> Step:
        basis, nonlinear = self._parts(problem)
        m = _multipliers(problem, basis, h, y.dtype)
        u, n = basis.into(y), basis.into(nonlinear(t, y))
        rest = basis.times(m.decay_half, u)
        a = rest + basis.times(m.half, n)
        n_a = basis.into(nonlinear(t + 0.5 * h, basis.back(a)))
        b = rest + basis.times(m.half, n_a)
        n_b = basis.into(nonlinear(t + 0.5 * h, basis.back(b)))
        c = basis.times(m.decay_half, a) + basis.times(m.half, 2 * n_b - n)
        n_c = basis.into(nonlinear(t + h, basis.back(c)))
        stages = basis.times(m.first, n) + basis.times(m.middle, n_a + n_b) + basis.times(m.last, n_c)
        y1 = basis.back(basis.times(m.decay, u) + stages)
        return Step(torch.where(h == 0, y, y1) if isinstance(h, Tensor) else y1)

    def _parts(self, problem: Problem) -> tuple[Basis, Rows]:
        """L in its basis, and N in rows."""
        field = problem.structure(Semilinear, "ETDRK4")
        return problem.cached(
            "ETDRK4",
            lambda: (_basis_of(field.linear, problem), problem.wrap("Semilinear.nonlinear", field.nonlinear)),
        )


class Multipliers(NamedTuple):
    """What a step of one size multiplies by, in the basis of L."""

    decay: Tensor
    decay_half: Tensor
    half: Tensor
    first: Tensor
    middle: Tensor
    last: Tensor


@dataclass(frozen=True)
class Basis:
    """A basis in which functions of L are products with functions of its symbol.

    Attributes:
        symbol: (*batch, *axes): eigenvalues, or (*batch, n, n) with `matrix`.
        shape: of the state of an element.
        axes: how many trailing dimensions of the symbol are not batch.
        lengths: of the axes that are Fourier transformed; empty if none.
        matrix: whether the basis is that of the state and the symbol the matrix of L.
    """

    symbol: Tensor
    shape: tuple[int, ...]
    axes: int
    lengths: tuple[int, ...] = ()
    matrix: bool = False

    @property
    def kind(self) -> tuple[int, tuple[int, ...], bool]:
        return self.axes, self.lengths, self.matrix

    def into(self, rows: Tensor) -> Tensor:
        x = rows.reshape(-1, *self.shape)
        return torch.fft.rfftn(x, dim=self._dims) if self.lengths else x

    def back(self, u: Tensor) -> Tensor:
        x = torch.fft.irfftn(u, self.lengths, self._dims) if self.lengths else u
        return x.flatten(1)

    @property
    def _dims(self) -> tuple[int, ...]:
        return tuple(range(-len(self.lengths), 0))

    def times(self, m: Tensor, u: Tensor) -> Tensor:
        if not self.matrix:
            return m * u
        return u @ m.mT if m.ndim == 2 else (m @ u.unsqueeze(-1)).squeeze(-1)

    def scaled(self, h: Time) -> Tensor:
        """h L in double precision, with the step of each element first where they differ."""
        symbol = self.symbol.to(torch.complex128 if self.symbol.is_complex() else torch.float64)
        if isinstance(h, Tensor) and h.ndim:
            h = h.reshape(-1, *(1,) * (len(self.shape) + self.matrix))
        return h * symbol


def _multipliers(problem: Problem, basis: Basis, h: Time, dtype: torch.dtype) -> Multipliers:
    """Those of a step h; kept unless gradients reach them, which belong to the graph of one step."""
    wanted = torch.is_grad_enabled() and (basis.symbol.requires_grad or (isinstance(h, Tensor) and h.requires_grad))
    if wanted:
        return _made(basis, h, dtype)
    store: dict[float, tuple[Time, Multipliers]] = problem.cached("ETDRK4 multipliers", dict)
    key = float(id(h)) if isinstance(h, Tensor) else h
    if key not in store:
        if len(store) == KEPT:
            del store[next(iter(store))]
        store[key] = (h, _made(basis, h, dtype))  # h is held: its id stays its own
    return store[key][1]


def _made(basis: Basis, h: Time, dtype: torch.dtype) -> Multipliers:
    z = basis.scaled(h)
    whole, half = matrix_phis(z) if basis.matrix else (phis(z), phis(z / 2))
    step = h.reshape(-1, *(1,) * (z.ndim - 1)) if isinstance(h, Tensor) and h.ndim else h
    made = combined(step, whole, half)
    return Multipliers(*(x.to(dtype.to_complex() if x.is_complex() else dtype) for x in made))


def combined(step: Time, whole: Phis, half: Phis) -> Multipliers:
    """The multipliers of a step h from the functions of h L and of h L / 2."""
    return Multipliers(
        whole[0],
        half[0],
        step / 2 * half[1],
        step * (whole[1] - 3 * whole[2] + 4 * whole[3]),
        step * (2 * whole[2] - 4 * whole[3]),
        step * (4 * whole[3] - whole[2]),
    )


Phis = tuple[Tensor, Tensor, Tensor, Tensor]

_SERIES = tuple(1 / factorial(n + 3) for n in range(TERMS))  # of phi_3


def phis(z: Tensor) -> Phis:
    r"""`\phi_0, ..., \phi_3` of every entry, to rounding; real or complex.

    >>> [round(float(p), 4) for p in phis(torch.tensor(0.0))]
    [1.0, 1.0, 0.5, 0.1667]
    """
    is_small = z.abs() <= 1
    near, far = torch.where(is_small, z, 0), torch.where(is_small, 1, z)
    third = torch.full_like(near, _SERIES[-1])
    for term in _SERIES[-2::-1]:
        third = third * near + term
    second = 1 / 2 + near * third
    first = 1 + near * second
    phi_0 = torch.exp(far)
    phi_1 = (phi_0 - 1) / far
    phi_2 = (phi_1 - 1) / far
    phi_3 = (phi_2 - 1 / 2) / far
    return (
        torch.where(is_small, 1 + near * first, phi_0),
        torch.where(is_small, first, phi_1),
        torch.where(is_small, second, phi_2),
        torch.where(is_small, third, phi_3),
    )


def matrix_phis(A: Tensor) -> tuple[Phis, Phis]:
    r"""`\phi_0, ..., \phi_3` of matrices A and A / 2: a series for A / 2^s, doubled s times.

    `2^k \phi_k(2 z) = \phi_0(z) \phi_k(z) + \sum_{j=1}^k \phi_j(z) / (k - j)!` (Skaflestad and Wright, Appl. Numer.
    Math. 59 (2009), eq. (2.3)). As in any scaling and squaring, errors are relative to the norm of A.

    # shape: (*batch, n, n)
    """
    norm = float(A.detach().abs().sum(-2).amax())
    doublings = 1 + max(0, ceil(log2(norm))) if norm > 0 and isfinite(norm) else 1
    Z, eye = A / 2**doublings, torch.eye(A.shape[-1], dtype=A.dtype, device=A.device)
    third = _SERIES[-1] * eye
    for term in _SERIES[-2::-1]:
        third = third @ Z + term * eye
    second = eye / 2 + Z @ third
    first = eye + Z @ second
    whole = half = (eye + Z @ first, first, second, third)
    for _ in range(doublings):
        half = whole
        p0, p1, p2, p3 = half
        whole = (p0 @ p0, (p0 @ p1 + p1) / 2, (p0 @ p2 + p1 + p2) / 4, (p0 @ p3 + p1 / 2 + p2 + p3) / 8)
    return whole, half


def _basis_of(linear: LinearOperator, problem: Problem) -> Basis:
    """The basis for L and the state.

    Raises:
        ValueError: for a state or an L that the method does not take.
    """
    shapes, keys = problem.layout.shapes, problem.layout.keys
    axes = len(linear.in_shape)
    if keys is not None or shapes[0][len(shapes[0]) - axes :] != linear.in_shape or linear.dtype != problem.y0.dtype:
        state = f"{problem.y0.dtype} of {shapes[0]}" if keys is None else f"{len(shapes)} tensors"
        raise ValueError(
            f"y0: ETDRK4 expected a tensor on whose elements L acts, {linear.dtype} of (..., "
            f"{', '.join(map(str, linear.in_shape))}), found {state}"
        )
    return replace(_basis(linear), shape=shapes[0])


def _basis(linear: LinearOperator) -> Basis:
    shape, axes = linear.in_shape, len(linear.in_shape)
    if isinstance(linear, (Diagonal, Identity)):
        return Basis(linear.diagonal(), shape, axes)
    if isinstance(linear, Spectral):
        return Basis(linear.m, shape, axes, lengths=shape)
    if isinstance(linear, Convolution) and all(linear.periodic):
        impulse = torch.zeros(shape, dtype=linear.dtype, device=linear.device)
        impulse[(0,) * axes] = 1
        return Basis(torch.fft.rfftn(linear.apply(impulse), dim=tuple(range(-axes, 0))), shape, axes, lengths=shape)
    if isinstance(linear, Dense) and linear.shape[0] == linear.shape[1]:
        return Basis(linear.matrix, shape, 2, matrix=True)
    if isinstance(linear, Scaled):
        basis = _basis(linear.operator)
        return replace(basis, symbol=linear.times(basis.symbol, basis.axes))
    if isinstance(linear, Sum):
        left, right = _basis(linear.left), _basis(linear.right)
        if left.kind == right.kind:
            return replace(left, symbol=left.symbol + right.symbol)
    raise ValueError(
        "Semilinear.linear: ETDRK4 expected Diagonal, Identity, Spectral, a Convolution periodic on every axis, Dense, "
        f"or a sum or multiple of operators of one of these kinds, found {type(linear).__name__}"
    )
