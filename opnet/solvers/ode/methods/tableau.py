"""`Tableau`: an explicit Runge-Kutta method with its continuous extension, as data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
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
        extension: rows d_1, d_2, ... of the continuous extension (see `terms`); none leave a cubic.
        extra: rows of a of the stages that only the extension needs, after f at the end of the step.
        first_same_as_last: whether the last stage is f at the end of the step, so that the next step has it for free.
    """

    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    c: tuple[float, ...]
    order: int
    source: str
    error: tuple[float, ...] = ()
    extension: tuple[tuple[float, ...], ...] = ()
    extra: tuple[tuple[float, ...], ...] = ()
    first_same_as_last: bool = False

    @property
    def stages(self) -> int:
        return len(self.b)

    @property
    def dense_order(self) -> int:
        """Order of the continuous extension."""
        return min(self.order, 3 + len(self.extension))

    @cached_property
    def later(self) -> tuple[tuple[tuple[float, ...], float], ...]:
        """Row of a and c of every stage of a step but the first."""
        return tuple(zip(self.a[1:], self.c[1:], strict=True))

    @cached_property
    def dense(self) -> tuple[tuple[tuple[float, ...], float], ...]:
        """Row of a and c of every stage that the extension needs beyond those of a step."""
        end = () if self.first_same_as_last else ((self.b, 1.0),)
        return (*end, *((row, sum(row)) for row in self.extra))

    @cached_property
    def pair_at_end(self) -> bool:
        """Whether the last two stages are of the same time: how f differs there is then due to y alone."""
        return self.first_same_as_last and self.c[-2] == self.c[-1]

    @cached_property
    def terms(self) -> tuple[tuple[float, ...], ...]:
        """Weights of the terms q_1, q_2, ... of the continuous extension, over all stages.

        `y(t + s h) = y + s h (q_1 + (1 - s) (q_2 + s (q_3 + (1 - s) (q_4 + s (q_5 + ...)))))`: the first three make the
        cubic with the values and slopes of both ends, the others are `q_(3 + j) = sum_i d_ji k_i`, so that every
        extension is continuously differentiable by construction. (Hairer, Norsett, Wanner I, section II.6.)
        """
        count = self.stages + len(self.dense)
        last = self.stages - 1 if self.first_same_as_last else self.stages
        rise = (*self.b, *(0.0,) * (count - self.stages))
        start = tuple((i == 0) - b for i, b in enumerate(rise))
        end = tuple(b - (i == last) - s for i, (b, s) in enumerate(zip(rise, start, strict=True)))
        return (rise, start, end, *self.extension)

    def weights(self, theta: Any) -> tuple[Any, ...]:
        """b_i(theta) of `y(t + theta h) = y + h sum_i b_i(theta) k_i`, over all stages; theta: a number or a tensor."""
        return tuple(nested(theta, column) for column in zip(*self.terms, strict=True))


def nested(theta: Any, terms: Any) -> Any:
    """theta (q_1 + (1 - theta) (q_2 + theta (q_3 + (1 - theta) (q_4 + ...)))), of numbers or tensors."""
    value = terms[-1]
    for i in range(len(terms) - 2, -1, -1):
        value = terms[i] + (theta if i % 2 else 1 - theta) * value
    return theta * value


EULER = Tableau(a=((),), b=(1.0,), c=(0.0,), order=1, source="Euler 1768")

MIDPOINT = Tableau(a=((), (1 / 2,)), b=(0.0, 1.0), c=(0.0, 1 / 2), order=2, source="Runge 1895")

HEUN = Tableau(
    a=((), (1.0,)),
    b=(1 / 2, 1 / 2),
    c=(0.0, 1.0),
    order=2,
    source="Heun 1900; the embedded method is Euler's",
    error=(-1 / 2, 1 / 2),
)

RK4 = Tableau(
    a=((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)),
    b=(1 / 6, 1 / 3, 1 / 3, 1 / 6),
    c=(0.0, 1 / 2, 1 / 2, 1.0),
    order=4,
    source="Kutta 1901",
)

BS3 = Tableau(
    a=((), (1 / 2,), (0.0, 3 / 4), (2 / 9, 1 / 3, 4 / 9)),
    b=(2 / 9, 1 / 3, 4 / 9, 0.0),
    c=(0.0, 1 / 2, 3 / 4, 1.0),
    order=3,
    source="Bogacki and Shampine 1989, A 3(2) pair of Runge-Kutta formulas, Appl. Math. Lett. 2",
    error=(-5 / 72, 1 / 12, 1 / 9, -1 / 8),
    first_same_as_last=True,
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
        (
            -12715105075 / 11282082432,
            0.0,
            87487479700 / 32700410799,
            -10690763975 / 1880347072,
            701980252875 / 199316789632,
            -1453857185 / 822651844,
            69997945 / 29380423,
        ),
    ),
    first_same_as_last=True,
)

_TSIT5_B = (
    0.09646076681806523,
    1 / 100,
    0.4798896504144996,
    1.379008574103742,
    -3.290069515436081,
    2.324710524099774,
    0.0,
)

TSIT5 = Tableau(
    a=(
        (),
        (161 / 1000,),
        (-0.008480655492356989, 0.335480655492357),
        (2.8971530571054935, -6.359448489975075, 4.3622954328695815),
        (5.325864828439257, -11.748883564062828, 7.4955393428898365, -0.09249506636175525),
        (5.86145544294642, -12.92096931784711, 8.159367898576159, -0.071584973281401, -0.028269050394068383),
        _TSIT5_B[:6],
    ),
    b=_TSIT5_B,
    c=(0.0, 161 / 1000, 327 / 1000, 9 / 10, 0.9800255409045097, 1.0, 1.0),
    order=5,
    source="Tsitouras 2011, Runge-Kutta pairs of order 5(4) satisfying only the first column simplifying assumption, "
    "Comput. Math. Appl. 62",
    error=(
        0.0017800110522257773,
        0.0008164344596567463,
        -0.007880878010261994,
        0.1447110071732629,
        -0.5823571654525552,
        0.45808210592918686,
        -1 / 66,
    ),
    extension=(
        (
            -1.0530884977290216,
            0.1017,
            2.490627285651253,
            -16.548102889244902,
            47.37952196281928,
            -34.87065786149661,
            2.5,
        ),
    ),
    first_same_as_last=True,
)
