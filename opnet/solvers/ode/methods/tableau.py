"""`Tableau`: an explicit Runge-Kutta method as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Tableau:
    """`k_i = f(t + c_i h, y + h sum_j a_ij k_j)`, `y(t + h) = y + h sum_i b_i k_i`.

    Attributes:
        a: rows of the strictly lower triangle; row i has i entries.
        b: weights of the step, of order `order`.
        c: stage times.
        order: order of convergence.
        source: where the numbers stand.
        error: weights of the local error estimate `h sum_i e_i k_i`; empty for a method without one.
        extension: d of the continuous extension (see `dense`); empty for a method without one.
        first_same_as_last: whether the last stage is f at the end of the step, so that the next step has it for free.
    """

    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    c: tuple[float, ...]
    order: int
    source: str
    error: tuple[float, ...] = ()
    extension: tuple[float, ...] = ()
    first_same_as_last: bool = False

    @property
    def stages(self) -> int:
        return len(self.b)

    def dense(self, theta: Any) -> tuple[Any, ...]:
        """Weights of `y(t + theta h)`: the cubic Hermite interpolant plus `theta^2 (1 - theta)^2 h sum_i d_i k_i`.

        theta is a number or a tensor. (Hairer, Norsett, Wanner I, section II.6; fourth order for Dormand-Prince.)
        """
        last = len(self.b) - 1
        weights = []
        for i, (b, d) in enumerate(zip(self.b, self.extension, strict=True)):
            start = (i == 0) - b
            end = b - (i == last) - start
            weights.append(theta * (b + (1 - theta) * (start + theta * (end + (1 - theta) * d))))
        return tuple(weights)


EULER = Tableau(a=((),), b=(1.0,), c=(0.0,), order=1, source="Euler 1768")

MIDPOINT = Tableau(a=((), (1 / 2,)), b=(0.0, 1.0), c=(0.0, 1 / 2), order=2, source="Runge 1895")

RK4 = Tableau(
    a=((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)),
    b=(1 / 6, 1 / 3, 1 / 3, 1 / 6),
    c=(0.0, 1 / 2, 1 / 2, 1.0),
    order=4,
    source="Kutta 1901",
)

_DOPRI5_B = (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0.0)
_DOPRI5_B4 = (5179 / 57600, 0.0, 7571 / 16695, 393 / 640, -92097 / 339200, 187 / 2100, 1 / 40)

DOPRI5 = Tableau(
    a=(
        (),
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
        _DOPRI5_B[:6],
    ),
    b=_DOPRI5_B,
    c=(0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0),
    order=5,
    source="Dormand and Prince 1980; continuous extension: Hairer, Norsett, Wanner I, II.6 and their code DOPRI5",
    error=tuple(b - b4 for b, b4 in zip(_DOPRI5_B, _DOPRI5_B4, strict=True)),
    extension=(
        -12715105075 / 11282082432,
        0.0,
        87487479700 / 32700410799,
        -10690763975 / 1880347072,
        701980252875 / 199316789632,
        -1453857185 / 822651844,
        69997945 / 29380423,
    ),
    first_same_as_last=True,
)
